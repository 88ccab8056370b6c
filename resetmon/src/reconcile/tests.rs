use super::*;

/// A kernel with namespaces, whose counters are read as the agent reads them.
#[derive(Default)]
struct Kernel {
    namespaces: BTreeMap<u64, (u32, TcpCounters)>,
    unreadable: BTreeSet<u64>,
    left_out: usize,
}

impl Kernel {
    fn set(&mut self, id: u64, inode: u32, out_rsts: u64) {
        self.set_counter(id, inode, Counter::OutRsts, out_rsts);
    }

    fn set_counter(&mut self, id: u64, inode: u32, counter: Counter, value: u64) {
        let (at, counters) = self.namespaces.entry(id).or_default();
        *at = inode;
        *counters = counters.with(counter, value);
    }

    fn reading(&self, id: u64) -> Option<Reading> {
        let (inode, counters) = self.namespaces.get(&id)?;
        Some(Reading {
            id: NamespaceId(id),
            inode: *inode,
            counters: (!self.unreadable.contains(&id)).then_some(*counters),
        })
    }

    fn readings(&self) -> Readings {
        Readings {
            namespaces: self
                .namespaces
                .keys()
                .filter_map(|id| self.reading(*id))
                .collect(),
            left_out: self.left_out,
            hidden: 0,
        }
    }

    fn again(&self, ids: &BTreeSet<NamespaceId>) -> Vec<Reading> {
        ids.iter().filter_map(|id| self.reading(id.0)).collect()
    }
}

fn round(reconciler: &mut Reconciler, kernel: &Kernel) {
    reconciler.open_round(&kernel.readings());
    let again = reconciler.caught_up();
    reconciler.close_round(&kernel.again(&again));
}

fn rounds(reconciler: &mut Reconciler, kernel: &Kernel, count: usize) {
    for _ in 0..count {
        round(reconciler, kernel);
    }
}

fn out_rsts(reconciler: &Reconciler) -> u64 {
    reconciler.summary().kernel
}

/// Namespace 1 with inode 10, 500 resets older than the agent, compared and quiet.
fn started() -> (Reconciler, Kernel) {
    let mut kernel = Kernel::default();
    let mut reconciler = Reconciler::new(Tracing::Complete);
    kernel.set(1, 10, 500);
    rounds(&mut reconciler, &kernel, 2);
    (reconciler, kernel)
}

#[test]
fn what_was_before_the_start_is_not_compared() {
    let (reconciler, _) = started();
    let summary = reconciler.summary();
    assert!(summary.settled);
    assert_eq!((summary.kernel, summary.unaccounted), (0, 0));
    assert_eq!(summary.differences, []);
}

#[test]
fn both_sides_grow_alike_or_not() {
    for (kernel_growth, own_growth, unaccounted) in [(7, 7, 0), (7, 4, 3), (4, 7, -3), (7, 0, 7)] {
        let (mut reconciler, mut kernel) = started();
        kernel.set(1, 10, 500 + kernel_growth);
        reconciler.record_sent(10, own_growth);
        round(&mut reconciler, &kernel);
        assert_eq!(reconciler.unaccounted(), 0, "after one round");
        assert_eq!(reconciler.is_doubtful(), unaccounted != 0);
        round(&mut reconciler, &kernel);
        assert_eq!(reconciler.unaccounted(), unaccounted);
        assert!(!reconciler.is_doubtful());
        assert_eq!(out_rsts(&reconciler), kernel_growth);
        let differences = reconciler.summary().differences;
        if unaccounted == 0 {
            assert_eq!(differences, []);
        } else {
            assert_eq!(
                differences,
                [Difference {
                    netns: 10,
                    kernel: kernel_growth,
                    own: own_growth,
                    unaccounted
                }]
            );
        }
    }
}

#[test]
fn resets_for_which_there_was_no_memory_are_explained() {
    let (mut reconciler, mut kernel) = started();
    kernel.set(1, 10, 510);
    kernel.set_counter(1, 10, Counter::AbortFailed, 4);
    reconciler.record_sent(10, 5);
    rounds(&mut reconciler, &kernel, 2);
    let summary = reconciler.summary();
    assert_eq!((summary.unaccounted, summary.not_sent), (1, 4));
}

#[test]
fn failures_before_the_start_explain_nothing() {
    let mut kernel = Kernel::default();
    let mut reconciler = Reconciler::new(Tracing::Complete);
    kernel.set(1, 10, 500);
    kernel.set_counter(1, 10, Counter::AbortFailed, 400);
    rounds(&mut reconciler, &kernel, 2);
    kernel.set(1, 10, 503);
    rounds(&mut reconciler, &kernel, 2);
    assert_eq!(reconciler.unaccounted(), 3);
}

#[test]
fn a_storm_between_the_readings_is_no_difference() {
    let (mut reconciler, mut kernel) = started();
    let mut out = 500;
    for step in 1..50 {
        out += 3 * step;
        kernel.set(1, 10, out);
        reconciler.open_round(&kernel.readings());
        // The programs saw these, and more came after the first reading.
        reconciler.record_sent(10, 3 * step + 2 * step);
        let again = reconciler.caught_up();
        assert_eq!(again.len(), 1, "they differ, so it is read again");
        out += 2 * step + step;
        kernel.set(1, 10, out);
        reconciler.close_round(&kernel.again(&again));
        reconciler.record_sent(10, step);
        assert_eq!(reconciler.unaccounted(), 0, "step {step}");
        assert!(!reconciler.is_doubtful());
    }
    rounds(&mut reconciler, &kernel, 2);
    assert_eq!(reconciler.unaccounted(), 0);
    assert_eq!(out_rsts(&reconciler), out - 500);
}

#[test]
fn a_quiet_namespace_is_read_once() {
    let (mut reconciler, mut kernel) = started();
    for sent in [0, 0, 4] {
        let (_, counters) = kernel.namespaces[&1];
        kernel.set(1, 10, counters.get(Counter::OutRsts).unwrap() + sent);
        reconciler.record_sent(10, sent);
        reconciler.open_round(&kernel.readings());
        assert_eq!(reconciler.caught_up(), BTreeSet::new());
        reconciler.close_round(&[]);
    }
    assert_eq!(reconciler.unaccounted(), 0);
}

#[test]
fn a_new_namespace_is_compared_from_its_beginning() {
    for (counted, unaccounted_later, unverified) in [(5, 2, 0), (3, 2, 3), (0, 2, 0)] {
        let (mut reconciler, mut kernel) = started();
        kernel.set(2, 20, 5);
        reconciler.record_sent(20, counted);
        rounds(&mut reconciler, &kernel, 2);
        // Whether it is older than the agent cannot be told, so nothing is claimed.
        assert_eq!(reconciler.unaccounted(), 0);
        assert_eq!(reconciler.summary().unverified, unverified);
        assert_eq!(out_rsts(&reconciler), if counted == 5 { 5 } else { 0 });

        kernel.set(2, 20, 9);
        reconciler.record_sent(20, 2);
        rounds(&mut reconciler, &kernel, 2);
        assert_eq!(reconciler.unaccounted(), unaccounted_later);
    }
}

#[test]
fn the_end_of_a_namespace_takes_nothing_back() {
    let (mut reconciler, mut kernel) = started();
    kernel.set(2, 20, 0);
    rounds(&mut reconciler, &kernel, 2);
    kernel.set(2, 20, 9);
    reconciler.record_sent(20, 6);
    rounds(&mut reconciler, &kernel, 2);
    assert_eq!((reconciler.unaccounted(), out_rsts(&reconciler)), (3, 9));

    // The last of it was sent after the last reading.
    reconciler.record_sent(20, 4);
    kernel.namespaces.remove(&2);
    rounds(&mut reconciler, &kernel, 2);
    let summary = reconciler.summary();
    assert_eq!((summary.unaccounted, summary.kernel), (3, 9));
    assert_eq!((summary.unverified, summary.namespaces), (4, 1));
    assert_eq!(summary.differences, []);

    // Another namespace takes over the inode number.
    kernel.set(3, 20, 2);
    reconciler.record_sent(20, 2);
    rounds(&mut reconciler, &kernel, 3);
    assert_eq!((reconciler.unaccounted(), out_rsts(&reconciler)), (3, 11));
}

#[test]
fn a_namespace_that_is_replaced_within_a_round_makes_no_difference() {
    let (mut reconciler, mut kernel) = started();
    kernel.set(2, 20, 0);
    rounds(&mut reconciler, &kernel, 2);
    // Three of the old one, two of the new one.
    reconciler.record_sent(20, 5);
    kernel.namespaces.remove(&2);
    kernel.set(3, 20, 2);
    rounds(&mut reconciler, &kernel, 3);
    assert_eq!(reconciler.unaccounted(), 0);
    assert_eq!(reconciler.summary().unverified, 5);
}

#[test]
fn a_namespace_that_ends_within_a_round_makes_no_difference() {
    let (mut reconciler, mut kernel) = started();
    kernel.set(1, 10, 509);
    reconciler.open_round(&kernel.readings());
    let again = reconciler.caught_up();
    assert_eq!(again.len(), 1);
    reconciler.close_round(&[]);
    kernel.namespaces.clear();
    rounds(&mut reconciler, &kernel, 2);
    assert_eq!((reconciler.unaccounted(), out_rsts(&reconciler)), (0, 9));
}

#[test]
fn counts_of_a_namespace_never_read_are_given_up() {
    let (mut reconciler, mut kernel) = started();
    kernel.left_out = 1;
    reconciler.record_sent(77, 8);
    round(&mut reconciler, &kernel);
    assert_eq!(reconciler.summary().unverified, 0);
    round(&mut reconciler, &kernel);
    let summary = reconciler.summary();
    assert_eq!((summary.unverified, summary.left_out), (8, 1));
    let text = summary.to_string();
    assert!(text.contains("\n8 in namespaces that ended"), "{text}");
    assert!(text.contains("max_network_namespaces"), "{text}");
    assert_eq!(summary.unaccounted, 0);
    assert!(!reconciler.own.contains_key(&77));
}

#[test]
fn counters_that_cannot_be_read_wait() {
    let (mut reconciler, mut kernel) = started();
    kernel.set(1, 10, 504);
    kernel.unreadable.insert(1);
    rounds(&mut reconciler, &kernel, 3);
    assert_eq!((reconciler.unaccounted(), out_rsts(&reconciler)), (0, 0));
    kernel.unreadable.clear();
    rounds(&mut reconciler, &kernel, 2);
    assert_eq!((reconciler.unaccounted(), out_rsts(&reconciler)), (4, 4));
}

#[test]
fn counts_without_a_namespace_explain_what_is_missing_in_one() {
    for (unplaced, unaccounted) in [(0, 9), (4, 5), (9, 0), (20, 0)] {
        let (mut reconciler, mut kernel) = started();
        kernel.set(1, 10, 509);
        reconciler.record_sent(0, unplaced);
        rounds(&mut reconciler, &kernel, 2);
        assert_eq!(reconciler.unaccounted(), unaccounted);
        assert_eq!(reconciler.summary().unplaced, unplaced);
    }
}

#[test]
fn totals_are_those_of_the_counters_that_the_kernel_has() {
    let (mut reconciler, mut kernel) = started();
    kernel.set_counter(1, 10, Counter::ListenDrops, 3);
    kernel.set_counter(2, 20, Counter::ListenDrops, 100);
    rounds(&mut reconciler, &kernel, 1);
    kernel.set_counter(1, 10, Counter::ListenDrops, 5);
    kernel.set_counter(2, 20, Counter::ListenDrops, 101);
    rounds(&mut reconciler, &kernel, 1);
    // Back to less: the kernel does not do that.
    kernel.set_counter(2, 20, Counter::ListenDrops, 50);
    rounds(&mut reconciler, &kernel, 1);
    let totals: Vec<_> = reconciler.kernel_totals().collect();
    assert_eq!(totals, [(Counter::OutRsts, 0), (Counter::ListenDrops, 3)]);
}

#[test]
fn the_largest_differences_are_named() {
    let mut kernel = Kernel::default();
    let mut reconciler = Reconciler::new(Tracing::FullSockets);
    for n in 0..20 {
        kernel.set(n, 100 + u32::try_from(n).unwrap(), 0);
    }
    rounds(&mut reconciler, &kernel, 2);
    for n in 0..20 {
        kernel.set(n, 100 + u32::try_from(n).unwrap(), n);
    }
    rounds(&mut reconciler, &kernel, 2);
    let summary = reconciler.summary();
    assert_eq!(summary.unaccounted, 190);
    let named: Vec<_> = summary.differences.iter().map(|d| d.netns).collect();
    assert_eq!(named, [119, 118, 117, 116, 115, 114, 113, 112, 111, 110]);
    let text = summary.to_string();
    for line in [
        "190 sent by the kernel's count (OutRsts); network namespaces now: 20",
        "190 unaccounted",
        "namespace 119: kernel 19, resetmon 0, unaccounted 19",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(text.contains("TIME_WAIT"), "{text}");
}

#[test]
fn before_the_second_round_nothing_is_said() {
    let mut kernel = Kernel::default();
    let mut reconciler = Reconciler::new(Tracing::Complete);
    kernel.set(1, 10, 500);
    round(&mut reconciler, &kernel);
    let summary = reconciler.summary();
    assert!(!summary.settled);
    assert!(summary.to_string().contains("not compared yet"));
    assert!(reconciler.is_doubtful() || reconciler.rounds < SETTLED);
}
