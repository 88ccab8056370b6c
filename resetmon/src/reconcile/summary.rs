//! What the comparison came to, for readers.

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

use super::{Compared, Counter, Reconciler, SETTLED, Tracing};

/// How many namespaces are named at most.
const NAMED: usize = 10;

/// Both counts of the resets sent, and their difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Which resets are traced on this kernel.
    pub tracing: Tracing,
    /// Two readings agree, so that the figures below mean something.
    pub settled: bool,
    /// Network namespaces that are compared.
    pub namespaces: usize,
    /// Namespaces beyond the limit, which are not compared.
    pub left_out: usize,
    /// Processes whose namespace could not be found out.
    pub hidden: usize,
    /// Resets sent since the start by the kernel's count (`OutRsts`).
    pub kernel: u64,
    /// Of these, how many are neither in our count nor explained; negative if we counted more.
    pub unaccounted: i64,
    /// Of the kernel's, those that were not sent for want of memory.
    pub not_sent: u64,
    /// Of ours, those whose namespace is not known.
    pub unplaced: u64,
    /// Of ours, those that no count of the kernel stands beside: the namespace ended before it was
    /// read again, was not read yet, or is beyond the limit.
    pub unverified: u64,
    /// Namespaces with a difference, the largest first.
    pub differences: Vec<Difference>,
    /// What the difference may come from.
    pub remark: Option<&'static str>,
}

/// A namespace in which the counts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Inode number of the namespace.
    pub netns: u32,
    /// The kernel's count since both are compared.
    pub kernel: u64,
    /// Our count since then.
    pub own: u64,
    /// What is not explained.
    pub unaccounted: i64,
}

impl Reconciler {
    /// As of the last round.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut differences: Vec<_> = self.namespaces.values().filter_map(named).collect();
        differences.sort_by_key(|d| (Reverse(d.unaccounted.unsigned_abs()), d.netns));
        differences.truncate(NAMED);
        let unaccounted = self.unaccounted();
        Summary {
            tracing: self.tracing,
            settled: self.rounds >= SETTLED,
            namespaces: self.namespaces.len(),
            left_out: self.left_out,
            hidden: self.hidden,
            kernel: self.totals[Counter::OutRsts as usize].unwrap_or(0),
            unaccounted,
            not_sent: self
                .namespaces
                .values()
                .map(|compared| compared.account().not_sent)
                .fold(self.gone.not_sent, u64::saturating_add),
            unplaced: self.unplaced,
            unverified: self.unverified,
            differences,
            remark: self.tracing.remark(unaccounted),
        }
    }

    /// Resets in the kernel's count that are neither in ours nor explained, over all namespaces;
    /// negative if we counted more.
    #[must_use]
    pub fn unaccounted(&self) -> i64 {
        let sum = self
            .namespaces
            .values()
            .map(|compared| compared.account().unaccounted)
            .fold(self.gone.unaccounted, i64::saturating_add);
        // What was counted without its namespace is missing in one of them.
        let unplaced = u64::try_from(sum).map_or(0, |missing| missing.min(self.unplaced));
        sum.saturating_sub_unsigned(unplaced)
    }
}

fn named(compared: &Compared) -> Option<Difference> {
    let start = compared.start?;
    let unaccounted = compared.account().unaccounted;
    let kernel = compared.latest.get(Counter::OutRsts)?;
    (unaccounted != 0).then(|| Difference {
        netns: compared.inode,
        kernel: kernel.saturating_sub(start.kernel),
        own: compared.verified.saturating_sub(start.own),
        unaccounted,
    })
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} sent by the kernel's count (OutRsts); network namespaces now: {}",
            self.kernel, self.namespaces
        )?;
        if self.settled {
            writeln!(f, "{} unaccounted", self.unaccounted)?;
        } else {
            writeln!(f, "not compared yet")?;
        }
        if let Some(remark) = self.remark {
            writeln!(f, "may be: {remark}")?;
        }
        for d in &self.differences {
            writeln!(
                f,
                "namespace {}: kernel {}, resetmon {}, unaccounted {}",
                d.netns, d.kernel, d.own, d.unaccounted
            )?;
        }
        for (count, meaning) in [
            (self.not_sent, "not sent for want of memory"),
            (self.unplaced, "counted without their namespace"),
            (
                self.unverified,
                "in namespaces that ended, or were not read, before they could be compared",
            ),
        ] {
            if count > 0 {
                writeln!(f, "{count} {meaning}")?;
            }
        }
        for (count, meaning) in [
            (
                self.left_out,
                "namespaces left out (`metrics.max_network_namespaces`, or the limit of open files)",
            ),
            (
                self.hidden,
                "processes that do not show their namespace (CAP_SYS_PTRACE is for that)",
            ),
        ] {
            if count > 0 {
                writeln!(f, "{meaning}: {count}")?;
            }
        }
        Ok(())
    }
}
