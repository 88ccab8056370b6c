//! Writes the members' offsets and the switches into the instructions that the programs have marked
//! for them.
//!
//! A global that holds the offsets would be read at run time: the verifier takes its values for
//! constants, but leaves the loads in. One instruction a member instead of five makes half of a
//! program, and what a reset costs is its way through instructions that are in no cache.

use std::mem::offset_of;

use gateway_ebpf_common::layout::{ABSENT, LOAD_MARK, Layout, OFFSET_MARK, SWITCH_MARK, Switches};
use thiserror::Error;

/// Bytes of an instruction.
const INSTRUCTION: usize = 8;
/// `BPF_LDX | BPF_MEM`, whatever the size.
const LOAD: u8 = 0x61;
/// What of an operation code tells [`LOAD`]: not the two bits of the size.
const LOAD_BITS: u8 = 0xe7;
/// `BPF_ALU64 | BPF_MOV | BPF_K`.
const CONSTANT: u8 = 0xb7;
/// `SHF_EXECINSTR`: a section holds instructions.
const EXECUTABLE: u64 = 4;
/// What the loader's parser wants an object aligned to.
const ALIGNMENT: usize = 32;

/// Why the offsets could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MarkError {
    /// Not an ELF file of 64 bits.
    #[error("the eBPF object is damaged: {0} lies outside; build it with `cargo xtask build`")]
    Damaged(&'static str),
    /// There is no such member.
    #[error(
        "the eBPF object has a mark for member {0}, of which the agent does not know: agent and object are of different builds; build both with `cargo xtask build`"
    )]
    Unknown(usize),
    /// An instruction holds offsets of 15 bits.
    #[error("`{0}` lies at byte {1} in this kernel, too far for an eBPF load; report this")]
    TooFar(&'static str, u32),
}

/// An object with the offsets of a kernel, aligned for the loader's parser.
#[derive(Debug)]
pub struct Marked {
    buffer: Vec<u8>,
    start: usize,
}

impl Marked {
    /// A copy of `object` with the offsets of `layout` and the numbers of `switches`; loads of what the
    /// kernel lacks give 0.
    pub fn new(object: &[u8], layout: &Layout, switches: &Switches) -> Result<Self, MarkError> {
        let mut buffer = vec![0; object.len() + ALIGNMENT];
        let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        let copy = &mut buffer[start..start + object.len()];
        copy.copy_from_slice(object);
        for (from, len) in code(object)? {
            let code = from
                .checked_add(len)
                .and_then(|end| copy.get_mut(from..end))
                .ok_or(MarkError::Damaged("a section"))?;
            for instruction in code.as_chunks_mut::<INSTRUCTION>().0 {
                write(instruction, layout, switches)?;
            }
        }
        buffer.truncate(start + object.len());
        Ok(Self { buffer, start })
    }

    /// The object.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }
}

/// Offset and length of each section that holds instructions.
fn code(object: &[u8]) -> Result<Vec<(usize, usize)>, MarkError> {
    // `Elf64_Ehdr`: e_shoff, e_shentsize, e_shnum.
    let table = number::<8>(object, 0x28)?;
    let size = number::<2>(object, 0x3a)?;
    let count = number::<2>(object, 0x3c)?;
    let mut sections = Vec::new();
    for index in 0..count {
        let header = index
            .checked_mul(size)
            .and_then(|offset| offset.checked_add(table))
            .ok_or(MarkError::Damaged("a section header"))?;
        // `Elf64_Shdr`: sh_flags, sh_offset, sh_size.
        let member = |offset| number::<8>(object, header.saturating_add(offset));
        if member(8)? as u64 & EXECUTABLE != 0 {
            sections.push((member(0x18)?, member(0x20)?));
        }
    }
    Ok(sections)
}

/// A little-endian number of `N` bytes.
fn number<const N: usize>(object: &[u8], at: usize) -> Result<usize, MarkError> {
    let bytes = object
        .get(at..)
        .and_then(|tail| tail.first_chunk::<N>())
        .ok_or(MarkError::Damaged("a header"))?;
    let mut wide = [0; 8];
    wide[..N].copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(wide)).map_err(|_| MarkError::Damaged("a header"))
}

/// Writes one instruction (`struct bpf_insn`), if it is marked.
fn write(
    instruction: &mut [u8; INSTRUCTION],
    layout: &Layout,
    switches: &Switches,
) -> Result<(), MarkError> {
    let [code, registers, o0, o1, i0, i1, i2, i3] = *instruction;
    if code & LOAD_BITS == LOAD {
        let mark = i16::from_le_bytes([o0, o1]);
        let Some(place) = mark
            .checked_sub(LOAD_MARK)
            .and_then(|p| u16::try_from(p).ok())
        else {
            return Ok(());
        };
        let (field, offset) = member(layout, usize::from(place))?;
        let value = if offset == ABSENT {
            // The target register becomes 0.
            [CONSTANT, registers & 0x0f, 0, 0, 0, 0, 0, 0]
        } else {
            let word = u32::from(place % 4) * 4;
            let offset = i16::try_from(offset.saturating_add(word))
                .map_err(|_| MarkError::TooFar(field, offset))?;
            let [o0, o1] = offset.to_le_bytes();
            [code, registers, o0, o1, i0, i1, i2, i3]
        };
        *instruction = value;
    } else if code == CONSTANT {
        let mark = i32::from_le_bytes([i0, i1, i2, i3]);
        let place = |from| mark.checked_sub(from).and_then(|p| usize::try_from(p).ok());
        let number = match (place(OFFSET_MARK), place(SWITCH_MARK)) {
            (_, Some(place)) => switch(switches, place),
            (Some(place), None) if place < 4 * Layout::MEMBERS.len() => {
                Some(member(layout, place)?.1)
            }
            // Other constants may be above the marks.
            _ => None,
        };
        if let Some(number) = number {
            let [i0, i1, i2, i3] = number.to_le_bytes();
            *instruction = [code, registers, o0, o1, i0, i1, i2, i3];
        }
    }
    Ok(())
}

/// Name and offset of the member whose place in [`Layout`] is `place`, four bytes each.
fn member(layout: &Layout, place: usize) -> Result<(&'static str, u32), MarkError> {
    let (field, path) = Layout::MEMBERS
        .get(place / 4)
        .ok_or(MarkError::Unknown(place / 4))?;
    let offset = layout.get(field).ok_or(MarkError::Unknown(place / 4))?;
    Ok((path, offset))
}

/// The number whose place in [`Switches`] this is.
fn switch(switches: &Switches, place: usize) -> Option<u32> {
    let numbers = [
        (offset_of!(Switches, has_reason), switches.has_reason),
        (offset_of!(Switches, unmarked_null), switches.unmarked_null),
        (
            offset_of!(Switches, accept_two_args),
            switches.accept_two_args,
        ),
        (offset_of!(Switches, preemptible), switches.preemptible),
        (offset_of!(Switches, detail_rate), switches.detail_rate),
        (offset_of!(Switches, typed_skb_sk), switches.typed_skb_sk),
        (
            offset_of!(Switches, victim_is_task),
            switches.victim_is_task,
        ),
    ];
    let found = numbers.iter().find(|(at, _)| *at == place);
    found.map(|(_, number)| *number)
}

#[cfg(test)]
mod tests;
