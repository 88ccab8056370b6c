//! Members by dotted path: `sock.sk_lock.owned`.

use std::collections::HashSet;

use super::record::{Field, Kind, Record};
use super::{Btf, MAX_MODIFIERS};

/// Bytes of a pointer: resetmon's programs run on 64-bit kernels only, and BTF does not tell.
const POINTER: u32 = 8;

/// Where a member lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// From the start of the struct that the path begins with, bytes.
    pub offset: u32,
    /// Bytes of its type; `None` if the BTF does not tell.
    pub size: Option<u32>,
}

/// Why a path leads to no member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// The path names no member.
    #[error("`{path}` is not of the form struct.member")]
    Malformed {
        /// The path.
        path: String,
    },
    /// The kernel has no such struct.
    #[error("this kernel has no `struct {name}` (for `{path}`)")]
    NoStruct {
        /// The path.
        path: String,
        /// Name of the struct.
        name: String,
    },
    /// The struct has no such member.
    #[error("this kernel's `{container}` has no member `{member}`")]
    NoMember {
        /// The path up to the struct.
        container: String,
        /// The member.
        member: String,
    },
    /// The path goes on behind something that has no members.
    #[error("`{path}` is not a struct or union in this kernel")]
    NotComposite {
        /// The path up to it.
        path: String,
    },
    /// The member is not made of whole bytes.
    #[error("`{path}` is a bitfield in this kernel and cannot be loaded by its offset")]
    Bitfield {
        /// The path.
        path: String,
    },
    /// The member does not end within the struct that the path begins with.
    #[error("`{path}` lies outside of its struct in this kernel's BTF, which is damaged")]
    Outside {
        /// The path.
        path: String,
    },
    /// Several structs have this name, and the member lies elsewhere in each.
    #[error("`{path}` is ambiguous: this kernel has different structs `{name}`")]
    Ambiguous {
        /// The path.
        path: String,
        /// Name of the struct.
        name: String,
    },
}

/// A member found in one struct, with anonymous ones looked through.
struct Found<'a> {
    bit_offset: u64,
    field: Field,
    container: Record<'a>,
}

impl Btf {
    /// Offset of a member in bytes; see [`Btf::member`].
    pub fn member_offset(&self, path: &str) -> Result<u32, MemberError> {
        self.member(path).map(|member| member.offset)
    }

    /// Finds a member by the name of a struct or union and the members down to it, joined by dots.
    ///
    /// Anonymous structs and unions on the way are not named, as in C. A bitfield is an error
    /// unless it is whole bytes at a byte boundary.
    pub fn member(&self, path: &str) -> Result<Member, MemberError> {
        let (name, members) = path
            .split_once('.')
            .filter(|(name, members)| !name.is_empty() && !members.split('.').any(str::is_empty))
            .ok_or_else(|| MemberError::Malformed {
                path: path.to_owned(),
            })?;
        let mut result = Err(MemberError::NoStruct {
            path: path.to_owned(),
            name: name.to_owned(),
        });
        for id in self.ids(name) {
            if !self
                .record(id)
                .is_some_and(|record| record.kind.is_composite())
            {
                continue;
            }
            match (&result, self.walk(id, name, members)) {
                (Ok(first), Ok(second)) if *first != second => {
                    return Err(MemberError::Ambiguous {
                        path: path.to_owned(),
                        name: name.to_owned(),
                    });
                }
                (Ok(_), _) => {}
                (Err(_), other) => result = other,
            }
        }
        result
    }

    /// Follows the members from a struct on.
    fn walk(&self, id: u32, name: &str, members: &str) -> Result<Member, MemberError> {
        let mut walked = name.to_owned();
        let mut container = id;
        let mut bits = 0;
        let mut names = members.split('.').peekable();
        while let Some(member) = names.next() {
            let found =
                self.find_field(container, member)
                    .ok_or_else(|| MemberError::NoMember {
                        container: walked.clone(),
                        member: member.to_owned(),
                    })?;
            walked.push('.');
            walked.push_str(member);
            bits += found.bit_offset;
            if names.peek().is_none() {
                return match self.place(bits, &found) {
                    Some(place) if self.holds(id, place) => Ok(place),
                    Some(_) => Err(MemberError::Outside { path: walked }),
                    None => Err(MemberError::Bitfield { path: walked }),
                };
            }
            container = self
                .strip(found.field.type_id)
                .filter(|(_, record)| record.kind.is_composite())
                .map(|(id, _)| id)
                .ok_or_else(|| MemberError::NotComposite {
                    path: walked.clone(),
                })?;
        }
        Err(MemberError::Malformed { path: walked })
    }

    /// Looks for a member in a struct and the anonymous structs and unions within it.
    fn find_field(&self, container: u32, name: &str) -> Option<Found<'_>> {
        let mut open = vec![(container, 0)];
        // A struct that was searched in vain need not be again; so a loop in corrupt data ends.
        let mut seen = HashSet::from([container]);
        while let Some((id, base)) = open.pop() {
            let container = self.record(id)?;
            for field in container.fields() {
                let bit_offset = base + u64::from(field.bit_offset);
                let field_name = self.string(field.name_offset);
                if field_name == name {
                    return Some(Found {
                        bit_offset,
                        field,
                        container,
                    });
                }
                if field_name.is_empty()
                    && let Some((inner, record)) = self.strip(field.type_id)
                    && record.kind.is_composite()
                    && seen.insert(inner)
                {
                    open.push((inner, bit_offset));
                }
            }
        }
        None
    }

    /// Offset and size in bytes; `None` for a bitfield.
    fn place(&self, bits: u64, found: &Found<'_>) -> Option<Member> {
        let mut bits = bits;
        let mut size = self.size_of(found.field.type_id);
        if found.container.flag {
            if found.field.bit_width != 0 {
                size = Some(whole_bytes(found.field.bit_width)?);
            }
        } else if let Some((_, integer)) = self.strip(found.field.type_id)
            && let Some((shift, width)) = integer.int_bits()
            && u64::from(width) != u64::from(integer.size_or_type) * 8
        {
            // Without the flag, the type of a bitfield tells its width.
            bits += u64::from(shift);
            size = Some(whole_bytes(width)?);
        }
        if !bits.is_multiple_of(8) {
            return None;
        }
        Some(Member {
            offset: u32::try_from(bits / 8).ok()?,
            size,
        })
    }

    /// True if the member ends within the struct.
    fn holds(&self, id: u32, member: Member) -> bool {
        let end = u64::from(member.offset) + u64::from(member.size.unwrap_or(0));
        self.record(id)
            .is_some_and(|container| end <= u64::from(container.size_or_type))
    }

    /// Bytes of a type; `None` for void, functions, loops and what does not fit.
    #[must_use]
    pub fn size_of(&self, id: u32) -> Option<u32> {
        let mut id = id;
        let mut count: u32 = 1;
        for _ in 0..MAX_MODIFIERS {
            let (_, record) = self.strip(id)?;
            let size = match record.kind {
                Kind::Array => {
                    let (element, _, elements) = record.array()?;
                    count = count.checked_mul(elements)?;
                    id = element;
                    continue;
                }
                Kind::Ptr => POINTER,
                Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Float => record.size_or_type,
                _ => return None,
            };
            return count.checked_mul(size);
        }
        None
    }
}

/// Bytes of a bitfield that a plain load reads.
fn whole_bytes(bits: u32) -> Option<u32> {
    matches!(bits, 8 | 16 | 32 | 64).then_some(bits / 8)
}
