//! The programs' own counters.

use aya::maps::{MapData, MapError, PerCpuArray};
use gateway_ebpf_common::tally::Tally;

/// Totals by kind.
pub type Totals = [(Tally, u64); Tally::ALL.len()];

/// One of the totals.
#[must_use]
pub fn total(totals: &Totals, tally: Tally) -> u64 {
    totals[tally as usize].1
}

/// Reads the per-CPU counters of what could not be delivered.
pub struct Tallies {
    map: PerCpuArray<MapData, u64>,
}

impl Tallies {
    /// Over the map `TALLY` of the object.
    #[must_use]
    pub fn new(map: PerCpuArray<MapData, u64>) -> Self {
        Self { map }
    }

    /// Every counter's sum over all CPUs. They only grow.
    pub fn read(&self) -> Result<Totals, MapError> {
        let mut totals = Tally::ALL.map(|tally| (tally, 0));
        for (tally, total) in &mut totals {
            *total = self.map.get(&(*tally as u32), 0)?.iter().sum();
        }
        Ok(totals)
    }
}
