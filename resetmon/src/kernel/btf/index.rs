//! Type ids by name.
//!
//! A kernel has some 80 000 names worth finding. Open addressing over bare ids keeps the index
//! at a few bytes a name, with no string copied; who asks compares the names.

/// Names collected for a [`NameIndex`].
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// `(hash of the name, id)`.
    entries: Vec<(u32, u32)>,
}

impl Builder {
    /// Adds a type; several may have one name.
    pub(super) fn add(&mut self, id: u32, name: &[u8]) {
        self.entries.push((hash(name), id));
    }

    /// The index of what was added.
    pub(super) fn finish(self) -> NameIndex {
        // Half of the slots stay empty, so a search ends.
        let size = (self.entries.len() * 2 + 1).next_power_of_two();
        let mut index = NameIndex {
            slots: vec![EMPTY; size],
        };
        for (hash, id) in self.entries {
            let free = index.walk(hash).find(|&slot| index.slots[slot] == EMPTY);
            if let Some(slot) = free {
                index.slots[slot] = id;
            }
        }
        index
    }
}

/// Id 0 is void and has no name.
const EMPTY: u32 = 0;

/// Type ids by the hash of their names.
#[derive(Debug)]
pub(super) struct NameIndex {
    slots: Vec<u32>,
}

impl NameIndex {
    /// Ids that may have this name, in the order in which they were added, among others.
    pub(super) fn candidates(&self, name: &[u8]) -> impl Iterator<Item = u32> + '_ {
        self.walk(hash(name))
            .map(|slot| self.slots[slot])
            .take_while(|&id| id != EMPTY)
    }

    /// The slots from that of a hash on, each once.
    fn walk(&self, hash: u32) -> impl Iterator<Item = usize> + use<> {
        let mask = self.slots.len() - 1;
        (0..self.slots.len()).map(move |step| (hash as usize + step) & mask)
    }
}

/// Multiplies and folds eight bytes at a time; the names are the kernel's, not an attacker's.
fn hash(name: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = name.len() as u64;
    let (chunks, rest) = name.as_chunks();
    let rest = rest
        .iter()
        .fold(0, |word, byte| word << 8 | u64::from(*byte));
    for word in chunks.iter().copied().map(u64::from_le_bytes).chain([rest]) {
        state = (state ^ word).wrapping_mul(FACTOR);
        state ^= state >> 32;
    }
    (state & 0xffff_ffff) as u32
}
