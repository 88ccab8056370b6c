//! The same random numbers at every run of a seed.

/// `SplitMix64` (Steele, Lea, Flood 2014): small, fast, and good enough to choose damage by.
#[derive(Debug)]
pub(crate) struct Random(u64);

/// Numbers at which parsers tend to differ from what they should do.
const EDGES: [u64; 18] = [
    0,
    1,
    2,
    7,
    8,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

impl Random {
    /// The numbers for one input: `seed` of the run, `name` of the target, number of the input.
    pub(crate) fn of(seed: u64, name: &str, index: u64) -> Self {
        let mut state = Self(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95));
        for byte in name.bytes() {
            state.0 = state.next() ^ u64::from(byte);
        }
        state
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        usize::try_from(wide >> 64).unwrap()
    }

    /// True once in `count` times.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// One of `items`.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }

    /// One of `items`, copied.
    pub(crate) fn choose<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Any byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A number that is often an edge, often small, else anything.
    pub(crate) fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.choose(&EDGES),
            1 => self
                .choose(&EDGES)
                .wrapping_add(self.next() % 5)
                .wrapping_sub(2),
            2 => self.next() % 300,
            _ => self.next(),
        }
    }

    /// The low half of [`Self::number`].
    pub(crate) fn word(&mut self) -> u32 {
        u32::try_from(self.number() & 0xffff_ffff).unwrap()
    }
}
