//! A reader of BTF, the kernel's own description of its types.
//!
//! Format: `Documentation/bpf/btf.rst` and `include/uapi/linux/btf.h`. Only what resetmon asks of it:
//! member offsets by dotted path, enumerators, and prototypes of functions and tracepoints.
//! The bytes come from outside: whatever is in them, the answer is a value or an error.

use std::ffi::CStr;
use std::io;
use std::path::{Path, PathBuf};

mod excerpt;
mod header;
mod index;
mod member;
mod record;

#[cfg(test)]
pub(crate) mod builder;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

pub use member::{Member, MemberError};
pub use record::{Enumerator, Field, Kind, Record};

use header::Sections;
use index::NameIndex;

/// Where the running kernel keeps its BTF.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Most typedefs and qualifiers between a name and its type; more can only be a loop.
const MAX_MODIFIERS: usize = 32;

/// Why BTF could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The file could not be read.
    #[error("cannot read the kernel's type information {}: {source}; {remedy}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The magic number is not there.
    #[error("not BTF: it starts with {found:#06x}, not 0xeb9f; give the raw `.BTF` section")]
    Magic {
        /// First 16 bits.
        found: u16,
    },
    /// The magic number is there with its bytes swapped.
    #[error("BTF of a machine of the other byte order; use that of the running kernel")]
    ByteOrder,
    /// A version that this reader does not know.
    #[error("BTF version {found} is not known, only version 1; a newer resetmon may know it")]
    Version {
        /// The version.
        found: u8,
    },
    /// A section does not lie within the data.
    #[error("BTF is cut short: its {section} reaches beyond the end; read it again in full")]
    Truncated {
        /// Which part.
        section: &'static str,
    },
    /// A type contradicts the format.
    #[error(
        "BTF is corrupt: type {id}: {what}; the kernel's build wrote it wrongly or it was damaged"
    )]
    Corrupt {
        /// The type's id.
        id: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// A kind of type whose length is not known, so that nothing after it can be read.
    #[error("BTF type {id} is of the unknown kind {kind}; a newer resetmon may know it")]
    UnknownKind {
        /// The type's id.
        id: u32,
        /// The kind's number.
        kind: u8,
    },
}

/// The types of one kernel.
#[derive(Debug)]
pub struct Btf {
    data: Vec<u8>,
    sections: Sections,
    /// Start of each type's record in `data`, by id; id 0 is void and has none.
    records: Vec<u32>,
    names: NameIndex,
}

/// A parameter of a function or tracepoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its name; empty in a prototype without names.
    pub name: &'a str,
    /// Name of its type without typedefs and qualifiers; empty for pointers and unnamed types.
    pub type_name: &'a str,
    /// Kind of that type; `None` for void.
    pub kind: Option<Kind>,
}

impl Btf {
    /// Reads the BTF of the running kernel.
    pub fn from_kernel() -> Result<Self, BtfError> {
        Self::from_file(Path::new(KERNEL_BTF))
    }

    /// Reads a file that holds raw BTF.
    pub fn from_file(path: &Path) -> Result<Self, BtfError> {
        let data = std::fs::read(path).map_err(|source| BtfError::Read {
            path: path.to_owned(),
            remedy: match source.kind() {
                io::ErrorKind::NotFound => {
                    "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, and in a container mount /sys"
                }
                _ => "allow resetmon to read it (the kernel makes it readable for everyone)",
            },
            source,
        })?;
        Self::parse(data)
    }

    /// Takes raw BTF, the content of a `.BTF` section.
    pub fn parse(data: Vec<u8>) -> Result<Self, BtfError> {
        let sections = Sections::parse(&data)?;
        let strings = sections.strings(&data);
        let types = sections.types(&data);
        let mut records = vec![0];
        let mut names = index::Builder::default();
        let mut rest = types;
        while !rest.is_empty() {
            let Ok(id) = u32::try_from(records.len()) else {
                return Err(BtfError::Corrupt {
                    id: u32::MAX,
                    what: "more types than ids",
                });
            };
            let (record, length) = Record::parse(rest, id, |kind| sections.kind_size(&data, kind))?;
            let Some(name) = string_at(strings, record.name_offset) else {
                return Err(BtfError::Corrupt {
                    id,
                    what: "its name lies outside the strings",
                });
            };
            if record.kind.is_looked_up() && !name.is_empty() {
                names.add(id, name);
            }
            records.push(sections.position(types.len() - rest.len()));
            rest = &rest[length..];
        }
        let names = names.finish();
        Ok(Self {
            data,
            sections,
            records,
            names,
        })
    }

    /// How many types there are, void included; ids are below it.
    #[must_use]
    pub fn type_count(&self) -> u32 {
        u32::try_from(self.records.len()).unwrap_or(u32::MAX)
    }

    /// The type of an id; `None` for void (id 0) and ids that do not exist.
    #[must_use]
    pub fn record(&self, id: u32) -> Option<Record<'_>> {
        if id == 0 {
            return None;
        }
        let start = *self.records.get(usize::try_from(id).ok()?)?;
        let bytes = self
            .data
            .get(usize::try_from(start).ok()?..self.sections.types_end())?;
        let size = |kind| self.sections.kind_size(&self.data, kind);
        Record::parse(bytes, id, size)
            .ok()
            .map(|(record, _)| record)
    }

    /// The string at an offset; empty if it lies outside or is not UTF-8, as no name of the kernel is.
    #[must_use]
    pub fn string(&self, offset: u32) -> &str {
        string_at(self.sections.strings(&self.data), offset)
            .and_then(|name| std::str::from_utf8(name).ok())
            .unwrap_or("")
    }

    /// Ids of the structs, unions, enums, typedefs, functions and variables of this name.
    pub fn ids<'a>(&'a self, name: &'a str) -> impl Iterator<Item = u32> + 'a {
        self.names.candidates(name.as_bytes()).filter(move |id| {
            !name.is_empty()
                && self
                    .record(*id)
                    .is_some_and(|r| self.string(r.name_offset) == name)
        })
    }

    /// The first type of this name whose kind is one of `kinds`.
    fn find(&self, name: &str, kinds: &[Kind]) -> Option<(u32, Record<'_>)> {
        self.ids(name)
            .filter_map(|id| Some((id, self.record(id)?)))
            .find(|(_, record)| kinds.contains(&record.kind))
    }

    /// The type behind typedefs, qualifiers and tags; `None` for void, a loop, or an id that does not exist.
    #[must_use]
    pub fn strip(&self, id: u32) -> Option<(u32, Record<'_>)> {
        let mut id = id;
        for _ in 0..MAX_MODIFIERS {
            let record = self.record(id)?;
            if !record.kind.is_modifier() {
                return Some((id, record));
            }
            id = record.size_or_type;
        }
        None
    }

    /// The enumerators of `enum name`; `None` if this kernel has no such enum.
    ///
    /// Values above `i64::MAX` wrap.
    #[must_use]
    pub fn enum_values(&self, name: &str) -> Option<Vec<(&str, i64)>> {
        let (_, record) = self.find(name, &[Kind::Enum, Kind::Enum64])?;
        Some(
            record
                .enumerators()
                .map(|e| (self.string(e.name_offset), e.value))
                .collect(),
        )
    }

    /// The parameters of a tracepoint's typed arguments, without the leading context pointer;
    /// `None` if this kernel has no such tracepoint.
    ///
    /// Read from `typedef void (*btf_trace_NAME)(void *, …)` (`include/trace/bpf_probe.h`), which
    /// tells types but no names.
    #[must_use]
    pub fn tracepoint(&self, name: &str) -> Option<Vec<Param<'_>>> {
        let typedef = format!("btf_trace_{name}");
        let (_, typedef) = self.find(&typedef, &[Kind::Typedef])?;
        let (_, pointer) = self.strip(typedef.size_or_type)?;
        if pointer.kind != Kind::Ptr {
            return None;
        }
        let (_, prototype) = self.strip(pointer.size_or_type)?;
        if prototype.kind != Kind::FuncProto {
            return None;
        }
        Some(self.params(prototype).skip(1).collect())
    }

    /// The parameters of a function; `None` if the BTF has no such function.
    ///
    /// A function that the compiler inlined everywhere has none.
    #[must_use]
    pub fn function(&self, name: &str) -> Option<Vec<Param<'_>>> {
        let (_, function) = self.find(name, &[Kind::Func])?;
        let (_, prototype) = self.strip(function.size_or_type)?;
        (prototype.kind == Kind::FuncProto).then(|| self.params(prototype).collect())
    }

    /// Whether a program can attach to this tracepoint by its typed arguments.
    #[must_use]
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.tracepoint(name).is_some()
    }

    /// Whether the BTF has this function.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.function(name).is_some()
    }

    fn params<'a>(&'a self, prototype: Record<'a>) -> impl Iterator<Item = Param<'a>> {
        prototype.params().map(|(name_offset, type_id)| {
            let stripped = self.strip(type_id).map(|(_, record)| record);
            Param {
                name: self.string(name_offset),
                type_name: stripped.map_or("", |record| self.string(record.name_offset)),
                kind: stripped.map(|record| record.kind),
            }
        })
    }
}

/// The bytes from `offset` up to the next NUL; the section ends with one.
fn string_at(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let tail = strings.get(usize::try_from(offset).ok()?..)?;
    CStr::from_bytes_until_nul(tail).ok().map(CStr::to_bytes)
}
