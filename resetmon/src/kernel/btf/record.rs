//! One type as it stands in the type section: `struct btf_type` and what follows it.

use super::BtfError;

/// `struct btf_type`: name, info, size or type.
const FIXED: usize = 12;

/// Kinds of BTF types (`BTF_KIND_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Integer, bool or char.
    Int,
    /// Pointer.
    Ptr,
    /// Array.
    Array,
    /// Struct.
    Struct,
    /// Union.
    Union,
    /// Enum of up to 32 bits.
    Enum,
    /// Struct or union that is only declared.
    Fwd,
    /// Typedef.
    Typedef,
    /// `volatile`.
    Volatile,
    /// `const`.
    Const,
    /// `restrict`.
    Restrict,
    /// Function.
    Func,
    /// Parameters and return type of a function.
    FuncProto,
    /// Variable.
    Var,
    /// Section of variables.
    Datasec,
    /// Floating point number.
    Float,
    /// Attribute of a declaration.
    DeclTag,
    /// Attribute of a type.
    TypeTag,
    /// Enum of 64 bits.
    Enum64,
    /// A kind newer than this reader, whose length the BTF itself tells.
    Unknown(u8),
}

impl Kind {
    const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Int,
            2 => Self::Ptr,
            3 => Self::Array,
            4 => Self::Struct,
            5 => Self::Union,
            6 => Self::Enum,
            7 => Self::Fwd,
            8 => Self::Typedef,
            9 => Self::Volatile,
            10 => Self::Const,
            11 => Self::Restrict,
            12 => Self::Func,
            13 => Self::FuncProto,
            14 => Self::Var,
            15 => Self::Datasec,
            16 => Self::Float,
            17 => Self::DeclTag,
            18 => Self::TypeTag,
            19 => Self::Enum64,
            other => Self::Unknown(other),
        }
    }

    /// `(bytes after the type, bytes per element)`.
    const fn size(self) -> Option<(usize, usize)> {
        Some(match self {
            Self::Int | Self::Var | Self::DeclTag => (4, 0),
            Self::Array => (12, 0),
            Self::Struct | Self::Union | Self::Datasec | Self::Enum64 => (0, 12),
            Self::Enum | Self::FuncProto => (0, 8),
            Self::Ptr
            | Self::Fwd
            | Self::Typedef
            | Self::Volatile
            | Self::Const
            | Self::Restrict
            | Self::Func
            | Self::Float
            | Self::TypeTag => (0, 0),
            Self::Unknown(_) => return None,
        })
    }

    /// A typedef, qualifier or tag: says nothing of the layout.
    #[must_use]
    pub const fn is_modifier(self) -> bool {
        matches!(
            self,
            Self::Typedef | Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag
        )
    }

    /// Struct or union.
    #[must_use]
    pub const fn is_composite(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// The index of names holds it.
    pub(super) const fn is_looked_up(self) -> bool {
        matches!(
            self,
            Self::Struct
                | Self::Union
                | Self::Enum
                | Self::Enum64
                | Self::Typedef
                | Self::Func
                | Self::Var
        )
    }
}

/// One type.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Offset of its name in the string section; 0 for none.
    pub name_offset: u32,
    /// Its kind.
    pub kind: Kind,
    /// Bit 31 of `info`: bitfields are told by the members (struct, union), values are signed (enums).
    pub flag: bool,
    /// Size in bytes, or the id of the type referred to, as the kind has it.
    pub size_or_type: u32,
    /// The whole record, `struct btf_type` included.
    pub bytes: &'a [u8],
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Offset of its name in the string section; 0 for an anonymous struct or union.
    pub name_offset: u32,
    /// Id of its type.
    pub type_id: u32,
    /// Offset from the start of the struct, bits.
    pub bit_offset: u32,
    /// Width of a bitfield in bits where the member tells it, else 0.
    pub bit_width: u32,
}

/// A name and value of an enum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enumerator {
    /// Offset of its name in the string section.
    pub name_offset: u32,
    /// Its value.
    pub value: i64,
}

impl<'a> Record<'a> {
    /// Reads the record at the start of `bytes`, and its length.
    ///
    /// `kind_size` tells the length of kinds that this reader does not know.
    #[inline]
    pub(super) fn parse(
        bytes: &'a [u8],
        id: u32,
        kind_size: impl Fn(u8) -> Option<(usize, usize)>,
    ) -> Result<(Self, usize), BtfError> {
        let cut = BtfError::Corrupt {
            id,
            what: "its record reaches beyond the type section",
        };
        let (Some(name_offset), Some(info), Some(size_or_type)) =
            (word(bytes, 0), word(bytes, 4), word(bytes, 8))
        else {
            return Err(cut);
        };
        // Older kernels leave bits 16 to 23, 29 and 30 zero, so the wider fields of 7.2 read both.
        let number = ((info >> 24) & 0x7f) as u8;
        let elements = (info & 0x00ff_ffff) as usize;
        let kind = Kind::from_number(number);
        let size = match kind {
            Kind::Unknown(0) => None,
            Kind::Unknown(number) => kind_size(number),
            known => known.size(),
        };
        let Some((extra, element)) = size else {
            return Err(BtfError::UnknownKind { id, kind: number });
        };
        let Some(bytes) = bytes.get(..FIXED + extra + elements * element) else {
            return Err(cut);
        };
        let record = Self {
            name_offset,
            kind,
            flag: info >> 31 == 1,
            size_or_type,
            bytes,
        };
        Ok((record, bytes.len()))
    }

    /// What follows `struct btf_type`.
    #[must_use]
    pub fn extra(&self) -> &'a [u8] {
        self.bytes.get(FIXED..).unwrap_or_default()
    }

    /// The members; none if it is not a struct or union.
    pub fn fields(&self) -> impl Iterator<Item = Field> + use<'a> {
        let flag = self.flag;
        let extra = if self.kind.is_composite() {
            self.extra()
        } else {
            &[]
        };
        extra.chunks_exact(12).filter_map(move |field| {
            let place = word(field, 8)?;
            Some(Field {
                name_offset: word(field, 0)?,
                type_id: word(field, 4)?,
                bit_offset: if flag { place & 0x00ff_ffff } else { place },
                bit_width: if flag { place >> 24 } else { 0 },
            })
        })
    }

    /// The enumerators; none if it is not an enum.
    pub fn enumerators(&self) -> impl Iterator<Item = Enumerator> + use<'a> {
        let (kind, signed) = (self.kind, self.flag);
        let (extra, size) = match kind {
            Kind::Enum => (self.extra(), 8),
            Kind::Enum64 => (self.extra(), 12),
            _ => (&[][..], 8),
        };
        extra.chunks_exact(size).filter_map(move |enumerator| {
            let low = word(enumerator, 4)?;
            let value = match (kind, signed) {
                (Kind::Enum64, _) => {
                    (u64::from(word(enumerator, 8)?) << 32 | u64::from(low)).cast_signed()
                }
                (_, true) => i64::from(low.cast_signed()),
                (_, false) => i64::from(low),
            };
            Some(Enumerator {
                name_offset: word(enumerator, 0)?,
                value,
            })
        })
    }

    /// `(offset of the name, id of the type)` of the parameters; none if it is not a prototype.
    pub fn params(&self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let extra = if self.kind == Kind::FuncProto {
            self.extra()
        } else {
            &[]
        };
        extra
            .chunks_exact(8)
            .filter_map(|param| Some((word(param, 0)?, word(param, 4)?)))
    }

    /// `(id of the element's type, id of the index's type, elements)` of an array.
    #[must_use]
    pub fn array(&self) -> Option<(u32, u32, u32)> {
        if self.kind != Kind::Array {
            return None;
        }
        let extra = self.extra();
        Some((word(extra, 0)?, word(extra, 4)?, word(extra, 8)?))
    }

    /// `(bit offset, bits)` of an integer within the bytes that it is stored in.
    #[must_use]
    pub fn int_bits(&self) -> Option<(u32, u32)> {
        if self.kind != Kind::Int {
            return None;
        }
        let encoding = word(self.extra(), 0)?;
        Some(((encoding >> 16) & 0xff, encoding & 0xff))
    }
}

/// The 32 bits at an offset.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u32::from_ne_bytes)
}

/// The 16 bits at an offset.
pub(super) fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..)?
        .first_chunk()
        .copied()
        .map(u16::from_ne_bytes)
}
