//! Received resets that the kernel refused, counted by its reason to drop the packet.

use aya::maps::{MapData, MapError, PerCpuArray};
use gateway_ebpf_common::layout::DROP_REASONS;

use crate::kernel::btf::Btf;

const ENUM: &str = "skb_drop_reason";
const PREFIX: &str = "SKB_DROP_REASON_";

/// Reasons under which the kernel drops a RST that it does not believe, or that ends something
/// else than a connection: half-open requests and `TIME_WAIT` have no reason of their own.
const REFUSALS: [&str; 5] = [
    "not_specified",
    "tcp_invalid_ack_sequence",
    "tcp_invalid_sequence",
    "tcp_old_sequence",
    "tcp_reset",
];

/// Which numbers of the running kernel's `enum skb_drop_reason` stand for [`REFUSALS`].
///
/// They differ between kernels; before Linux 5.17 there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropReasons(Vec<(&'static str, u32)>);

impl DropReasons {
    /// Reads the enum.
    #[must_use]
    pub fn from_btf(btf: &Btf) -> Self {
        let values = btf.enum_values(ENUM).unwrap_or_default();
        let number = |reason: &str| {
            let (_, number) = values.iter().find(|(name, _)| {
                name.strip_prefix(PREFIX)
                    .is_some_and(|name| name.eq_ignore_ascii_case(reason))
            })?;
            let number = u32::try_from(*number).ok()?;
            ((number as usize) < DROP_REASONS).then_some(number)
        };
        Self(
            REFUSALS
                .iter()
                .filter_map(|name| Some((*name, number(name)?)))
                .collect(),
        )
    }

    /// A bit for each number.
    #[must_use]
    pub fn refusals(&self) -> [u32; DROP_REASONS / 32] {
        let mut bits = [0; DROP_REASONS / 32];
        for (_, number) in &self.0 {
            bits[*number as usize / 32] |= 1 << (number % 32);
        }
        bits
    }
}

/// The programs' counts.
pub struct Refusals {
    map: PerCpuArray<MapData, u64>,
    reasons: DropReasons,
}

impl Refusals {
    /// Over the map `REFUSED` of the object.
    #[must_use]
    pub fn new(map: PerCpuArray<MapData, u64>, reasons: DropReasons) -> Self {
        Self { map, reasons }
    }

    /// The kernel's name of each reason, lower case without its prefix, and the sum over all CPUs.
    pub fn read(&self) -> Result<Vec<(&'static str, u64)>, MapError> {
        let reasons = self.reasons.0.iter();
        reasons
            .map(|(name, number)| Ok((*name, self.map.get(number, 0)?.iter().sum())))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::btf::fixtures;

    #[test]
    fn numbers_of_the_recorded_kernels() {
        // As bpftool shows the enum of each.
        let tcp_reset = [None, Some(28), Some(39), Some(45), Some(45), Some(45)];
        let known = [0, 3, 5, 5, 5, 5];
        for (number, (kernel, bytes)) in fixtures::ALL.iter().enumerate() {
            let reasons = DropReasons::from_btf(&Btf::parse(bytes.to_vec()).unwrap());
            let found = reasons.0.iter().find(|(name, _)| *name == "tcp_reset");
            assert_eq!(found.map(|(_, n)| *n), tcp_reset[number], "Linux {kernel}");
            assert_eq!(reasons.0.len(), known[number], "Linux {kernel}");
            let bits: u32 = reasons
                .refusals()
                .iter()
                .map(|word| word.count_ones())
                .sum();
            assert_eq!(bits as usize, known[number], "Linux {kernel}");
        }
    }

    #[test]
    fn bits_stand_where_the_programs_look() {
        let reasons = DropReasons(vec![("not_specified", 2), ("tcp_reset", 45)]);
        assert_eq!(reasons.refusals(), [4, 1 << 13, 0, 0, 0, 0, 0, 0]);
    }
}
