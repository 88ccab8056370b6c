//! The header: which bytes are types, which are names, and how long an unknown kind is.

use std::ops::Range;

use super::BtfError;
use super::record::{word, word16};

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
/// Up to `str_len`; what follows is optional and announced by `hdr_len`.
const SHORTEST: u32 = 24;
/// With `layout_off` and `layout_len`, as in the headers of Linux 7.2.
const WITH_LAYOUT: u32 = 32;
/// `struct btf_layout`: u8 bytes after a type, u8 bytes per element, u16 flags.
const LAYOUT_ENTRY: usize = 4;

/// Where the sections of one BTF lie in its bytes.
#[derive(Debug)]
pub(super) struct Sections {
    types: Range<usize>,
    strings: Range<usize>,
    layout: Range<usize>,
}

impl Sections {
    pub(super) fn parse(data: &[u8]) -> Result<Self, BtfError> {
        let cut = BtfError::Truncated { section: "header" };
        match word16(data, 0) {
            Some(MAGIC) => {}
            Some(found) if found.swap_bytes() == MAGIC => return Err(BtfError::ByteOrder),
            Some(found) => return Err(BtfError::Magic { found }),
            None => return Err(cut),
        }
        let header = |at: usize| word(data, at).ok_or(BtfError::Truncated { section: "header" });
        let version = *data.get(2).ok_or(cut)?;
        if version != VERSION {
            return Err(BtfError::Version { found: version });
        }
        let length = header(4)?;
        if length < SHORTEST {
            return Err(BtfError::Truncated { section: "header" });
        }
        let section = |name, at| -> Result<Range<usize>, BtfError> {
            let truncated = BtfError::Truncated { section: name };
            let start = u64::from(length) + u64::from(header(at)?);
            let end = start + u64::from(header(at + 4)?);
            match (usize::try_from(start), usize::try_from(end)) {
                (Ok(start), Ok(end)) if end <= data.len() => Ok(start..end),
                _ => Err(truncated),
            }
        };
        let types = section("type section", 8)?;
        let strings = section("string section", 16)?;
        let layout = if length >= WITH_LAYOUT {
            section("layout section", 24)?
        } else {
            0..0
        };
        // Every name ends at a NUL if the last byte is one.
        if data[strings.clone()].last() != Some(&0) {
            return Err(BtfError::Truncated {
                section: "string section",
            });
        }
        // Positions are kept in 32 bits.
        if u32::try_from(types.end).is_err() {
            return Err(BtfError::Truncated {
                section: "type section",
            });
        }
        Ok(Self {
            types,
            strings,
            layout,
        })
    }

    pub(super) fn types<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(self.types.clone()).unwrap_or_default()
    }

    pub(super) fn strings<'a>(&self, data: &'a [u8]) -> &'a [u8] {
        data.get(self.strings.clone()).unwrap_or_default()
    }

    /// End of the type section in the data.
    pub(super) const fn types_end(&self) -> usize {
        self.types.end
    }

    /// Position in the data of a byte of the type section.
    pub(super) fn position(&self, offset: usize) -> u32 {
        u32::try_from(self.types.start + offset).unwrap_or(u32::MAX)
    }

    /// `(bytes after the type, bytes per element)` of a kind, where the BTF itself says so.
    pub(super) fn kind_size(&self, data: &[u8], kind: u8) -> Option<(usize, usize)> {
        let layout = data.get(self.layout.clone())?;
        let entry = layout.get(usize::from(kind) * LAYOUT_ENTRY..)?;
        let [fixed, element, _, _] = *entry.first_chunk::<LAYOUT_ENTRY>()?;
        Some((usize::from(fixed), usize::from(element)))
    }
}
