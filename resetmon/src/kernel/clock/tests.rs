use super::*;

/// What a kernel of this HZ reads that lost `lag_ms` of ticks in early boot.
fn sample(hz: u32, uptime_ms: u64, lag_ms: u64) -> Sample {
    let start = (1 << 32) - 300 * u64::from(hz);
    let ticks = uptime_ms.saturating_sub(lag_ms) * u64::from(hz) / 1000;
    Sample {
        jiffies: start + ticks,
        ktime_ns: uptime_ms * 1_000_000,
    }
}

fn hz(value: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(value)
}

#[test]
fn a_sample_of_a_real_kernel() {
    // Linux 6.18 with CONFIG_HZ=250, 43 minutes after boot.
    let real = Sample {
        jiffies: 4_295_537_787,
        ktime_ns: 2_582_265_994_432,
    };
    assert_eq!(hz_from_sample(real), hz(250));
}

#[test]
fn one_sample_tells_hz_early_and_late() {
    let uptimes = [
        0,
        30_000,
        600_000,
        3_600_000,
        86_400_000,
        1_000 * 86_400_000,
    ];
    for value in HZ_VALUES {
        for uptime in uptimes {
            for lag in [0, 300, 1900] {
                let lag = lag.min(uptime);
                let found = hz_from_sample(sample(value, uptime, lag));
                assert_eq!(
                    found,
                    hz(value),
                    "{value} Hz after {uptime} ms, lag {lag} ms"
                );
            }
        }
    }
}

#[test]
fn one_sample_is_never_wrong() {
    for value in HZ_VALUES {
        for uptime in (0..900_000).step_by(1_000) {
            for lag in [0, 300, 1900] {
                let found = hz_from_sample(sample(value, uptime, lag.min(uptime)));
                assert!(
                    found.is_none() || found == hz(value),
                    "{value} Hz after {uptime} ms: {found:?}"
                );
            }
        }
        assert_eq!(
            hz_from_sample(sample(value, 300_000, 0)),
            None,
            "{value} Hz"
        );
        assert_eq!(
            hz_from_sample(sample(value, 301_000, 0)),
            None,
            "{value} Hz"
        );
    }
}

#[test]
fn samples_that_fit_no_hz() {
    let odd = [
        Sample {
            jiffies: 0,
            ktime_ns: 0,
        },
        Sample {
            jiffies: 0,
            ktime_ns: u64::MAX,
        },
        Sample {
            jiffies: u64::MAX,
            ktime_ns: 0,
        },
        Sample {
            jiffies: u64::MAX,
            ktime_ns: u64::MAX,
        },
        // 275 Hz.
        sample(275, 3_600_000, 0),
        // 250 Hz, ten seconds behind.
        sample(250, 3_600_000, 10_000),
    ];
    for sample in odd {
        assert_eq!(hz_from_sample(sample), None, "{sample:?}");
    }
}

#[test]
fn a_pair_tells_hz_at_any_time() {
    for value in HZ_VALUES {
        for start in [0, 299_500, 300_000, 1_000_000] {
            let first = sample(value, start, 0);
            // Up to 7 % of the ticks late.
            for late in [0, 1, u64::from(value) * 7 / 100] {
                let mut second = sample(value, start + 1003, 0);
                second.jiffies -= late;
                assert_eq!(
                    hz_from_pair(first, second),
                    hz(value),
                    "{value} Hz from {start} ms"
                );
            }
        }
    }
}

#[test]
fn pairs_that_tell_nothing() {
    let at = |uptime| sample(250, uptime, 0);
    let cases = [
        ("one moment", at(1000), at(1000)),
        ("backwards", at(2000), at(1000)),
        ("too close", at(1000), at(1010)),
        (
            "no tick in a second",
            at(1000),
            Sample {
                ktime_ns: 2_000_000_000,
                ..at(1000)
            },
        ),
        (
            "jiffies backwards",
            at(5000),
            Sample {
                ktime_ns: 9_000_000_000,
                ..at(1000)
            },
        ),
        (
            "extremes",
            Sample {
                jiffies: u64::MAX,
                ktime_ns: 0,
            },
            Sample {
                jiffies: 0,
                ktime_ns: u64::MAX,
            },
        ),
    ];
    for (case, first, second) in cases {
        assert_eq!(hz_from_pair(first, second), None, "{case}");
    }
}

#[test]
fn moments_since_boot_on_the_wall() {
    let cases = [
        (Duration::from_secs(1000), "2026-03-01T12:00:00Z"),
        (
            Duration::from_nanos(1_000_000_000_001),
            "2026-03-01T12:00:00.000000001Z",
        ),
        (Duration::from_millis(999_500), "2026-03-01T11:59:59.5Z"),
        (Duration::ZERO, "2026-03-01T11:43:20Z"),
        (
            Duration::from_nanos(u64::MAX),
            "2610-09-20T11:17:53.709551615Z",
        ),
    ];
    for (since_boot, expected) in cases {
        assert_eq!(clock(250).wall(since_boot).to_string(), expected);
    }
    assert_eq!(clock(250).wall(Duration::MAX), Timestamp::MAX);
}

#[test]
fn jiffies_as_durations() {
    let cases = [
        (250, 0, Some(Duration::ZERO)),
        (250, 1, Some(Duration::from_millis(4))),
        (1000, 1, Some(Duration::from_millis(1))),
        (300, 1, Some(Duration::from_nanos(3_333_333))),
        (300, 300, Some(Duration::from_secs(1))),
        (100, 360_000, Some(Duration::from_secs(3600))),
        (1, NEVER - 1, Some(Duration::from_secs(4_294_967_294))),
        (250, NEVER, None),
    ];
    for (hz, ticks, expected) in cases {
        assert_eq!(clock(hz).ticks(ticks), expected, "{ticks} ticks at {hz} Hz");
    }
    assert_eq!(clock(250).tick(), Duration::from_millis(4));
    assert_eq!(clock(1000).tick(), Duration::from_millis(1));
    assert_eq!(clock(250).hz().get(), 250);
}

#[test]
fn an_anchor_lies_between_the_moments_around_it() {
    let before = (
        duration(clock_gettime(ClockId::Monotonic)),
        Timestamp::now(),
    );
    let anchor = Anchor::now();
    let after = (
        duration(clock_gettime(ClockId::Monotonic)),
        Timestamp::now(),
    );
    assert!(before.0 <= anchor.since_boot && anchor.since_boot <= after.0);
    assert!(before.1 <= anchor.wall && anchor.wall <= after.1);
    assert!(anchor.since_boot > Duration::ZERO);
}

fn clock(hz: u32) -> Clock {
    let anchor = Anchor {
        since_boot: Duration::from_secs(1000),
        wall: "2026-03-01T12:00:00Z".parse().unwrap(),
    };
    Clock::new(NonZeroU32::new(hz).unwrap(), anchor)
}
