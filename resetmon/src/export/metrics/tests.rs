use std::sync::Arc;

use super::*;
use crate::export::sample;
use crate::reset::{Cause, ResetId};
use crate::version;

fn limits(max_series: usize) -> Limits {
    Limits {
        max_series,
        max_idle: Duration::from_secs(3600),
        max_label: 128,
    }
}

fn page(metrics: &Metrics, format: Format) -> String {
    let mut page = String::new();
    metrics.encode(format, &mut page).unwrap();
    page
}

/// The samples of one name: labels as written, and the value.
fn samples(page: &str, name: &str) -> Vec<(String, f64)> {
    let mut samples: Vec<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with(['{', ' ']))
        .map(|rest| {
            let rest = rest.split(" # {").next().unwrap();
            let (labels, value) = rest.rsplit_once(' ').unwrap();
            (labels.to_owned(), value.parse().unwrap())
        })
        .collect();
    samples.sort_by(|a, b| a.0.cmp(&b.0));
    samples
}

fn total(page: &str, name: &str) -> f64 {
    samples(page, name).iter().map(|(_, value)| value).sum()
}

#[test]
fn one_reset_in_both_formats() {
    let metrics = Metrics::new(Limits::default());
    metrics.record(&sample::received());
    let rows = [
        (
            "resetmon_resets_total",
            r#"{direction="received",sender="peer",cause="aborted_mid_response",stage="established",reason="none"} 1"#,
        ),
        (
            "resetmon_process_resets_total",
            r#"{direction="received",cause="aborted_mid_response",process="nginx",namespace="",pod="",container="nginx.service"} 1"#,
        ),
        (
            "resetmon_route_resets_total",
            r#"{direction="received",leg="upstream",cause="aborted_mid_response",gateway="edge",route="/api/pay",upstream="payments"} 1"#,
        ),
        (
            "resetmon_peer_resets_total",
            r#"{direction="received",cause="aborted_mid_response",peer="payments-1"} 1"#,
        ),
        (
            "resetmon_reset_connection_age_seconds_sum",
            r#"{direction="received",leg="upstream",route="/api/pay"} 61.25"#,
        ),
        (
            "resetmon_reset_connection_idle_seconds_sum",
            r#"{direction="received",leg="upstream",route="/api/pay"} 1.5"#,
        ),
        ("resetmon_records_malformed_total", " 0"),
    ];
    let text = page(&metrics, Format::Text);
    let open = page(&metrics, Format::OpenMetrics);
    let exemplar = r#" # {id="000000000000002a"} 1.0 1741064767.123456"#;
    for (name, rest) in rows {
        let line = format!("{name}{rest}");
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        let found = open.lines().find(|found| found.starts_with(&line));
        let found = found.unwrap_or_else(|| panic!("{line}\n{open}"));
        let after = &found[line.len()..];
        if name == "resetmon_route_resets_total" {
            assert!(after.starts_with(exemplar), "{found}");
        } else {
            assert_eq!(after, "", "{found}");
        }
    }
}

#[test]
fn the_formats_differ_in_names_and_end() {
    let metrics = Metrics::new(Limits::default());
    metrics.record(&sample::received());
    let text = page(&metrics, Format::Text);
    let open = page(&metrics, Format::OpenMetrics);
    for (page, family, kind) in [
        (&text, "resetmon_resets_total", "counter"),
        (&open, "resetmon_resets", "counter"),
        (&text, "resetmon_build_info", "gauge"),
        (&open, "resetmon_build", "info"),
        (&text, "resetmon_reset_connection_age_seconds", "histogram"),
        (&open, "resetmon_reset_connection_age_seconds", "histogram"),
    ] {
        let line = format!("\n# TYPE {family} {kind}\n");
        assert!(page.contains(&line), "{line}\n{page}");
        assert!(
            page.contains(&format!("# HELP {family} ")),
            "{family}\n{page}"
        );
    }
    assert!(open.ends_with("\n# EOF\n") && open.contains("# UNIT"));
    for absent in ["# EOF", "# UNIT", " # {"] {
        assert!(!text.contains(absent), "{absent}\n{text}");
    }
    let build = format!(
        "resetmon_build_info{{version=\"{}\",commit=\"{}\",object=\"{}\",arch=\"{}\"}} 1\n",
        version::VERSION,
        version::COMMIT,
        version::object_hash(),
        std::env::consts::ARCH
    );
    assert!(text.contains(&build), "{build}\n{text}");
}

#[test]
fn an_empty_family_is_not_announced() {
    let page = page(&Metrics::new(Limits::default()), Format::Text);
    assert!(!page.contains("resetmon_resets_total "), "{page}");
    assert!(!page.contains("resetmon_probe_attached"), "{page}");
}

#[test]
fn repeats_count_as_packets_and_not_as_connections() {
    let metrics = Metrics::new(Limits::default());
    let first = sample::received();
    let mut repeat = first.clone();
    repeat.id = ResetId(0x2c);
    repeat.repeat_of = Some(first.id);
    for reset in [&first, &repeat, &repeat] {
        metrics.record(reset);
    }
    let page = page(&metrics, Format::OpenMetrics);
    for (name, expected) in [
        ("resetmon_resets_total", 3.0),
        ("resetmon_process_resets_total", 3.0),
        ("resetmon_route_resets_total", 3.0),
        ("resetmon_peer_resets_total", 3.0),
        ("resetmon_reset_connection_age_seconds_count", 1.0),
        ("resetmon_reset_connection_idle_seconds_count", 1.0),
    ] {
        assert!(
            (total(&page, name) - expected).abs() < 0.5,
            "{name}\n{page}"
        );
    }
    assert!(page.contains(r#"# {id="000000000000002c"}"#), "{page}");
}

#[test]
fn an_exemplar_before_1970_has_no_time() {
    let metrics = Metrics::new(Limits::default());
    for (time, shown) in [
        (
            Timestamp::UNIX_EPOCH,
            r#"# {id="000000000000002a"} 1.0 0.0"#,
        ),
        (
            Timestamp::from_nanosecond(-1).unwrap(),
            r#"# {id="000000000000002a"} 1.0"#,
        ),
        (Timestamp::MIN, r#"# {id="000000000000002a"} 1.0"#),
    ] {
        metrics.record(&Reset {
            time,
            ..sample::received()
        });
        let page = page(&metrics, Format::OpenMetrics);
        let ended = page.lines().any(|line| line.ends_with(shown));
        assert!(ended, "{time}\n{page}");
    }
}

#[test]
fn what_is_not_known_is_not_observed() {
    let metrics = Metrics::new(Limits::default());
    metrics.record(&sample::sent_without_socket());
    let page = page(&metrics, Format::Text);
    assert_eq!(
        samples(&page, "resetmon_process_resets_total")[0].0,
        r#"{direction="sent",cause="no_listener",process="",namespace="",pod="",container=""}"#
    );
    assert!(
        page.contains(r#"stage="none",reason="no_socket"} 1"#),
        "{page}"
    );
    for absent in [
        "resetmon_route_resets",
        "connection_age_seconds_",
        "connection_idle_seconds_",
    ] {
        let absent = page
            .lines()
            .any(|line| !line.starts_with('#') && line.starts_with(absent));
        assert!(!absent, "{page}");
    }
}

#[test]
fn a_timeout_lies_in_the_bucket_that_begins_at_it() {
    let metrics = Metrics::new(Limits::default());
    let mut reset = sample::received();
    reset.observation.age = Some(Duration::from_millis(60_004));
    metrics.record(&reset);
    let page = page(&metrics, Format::Text);
    let name = "resetmon_reset_connection_age_seconds_bucket";
    for (le, expected) in [
        ("60.0", 0.0),
        ("75.0", 1.0),
        ("432000.0", 1.0),
        ("+Inf", 1.0),
    ] {
        let label = format!("le=\"{le}\"");
        let bucket = samples(&page, name)
            .into_iter()
            .find(|(labels, _)| labels.contains(&label));
        let (_, value) = bucket.unwrap_or_else(|| panic!("{label}\n{page}"));
        assert!((value - expected).abs() < 0.5, "{label} {value}");
    }
    assert!(BUCKETS.is_sorted());
}

#[test]
fn many_peers_stay_within_the_limit_and_lose_no_count() {
    let metrics = Metrics::new(limits(5000));
    let mut reset = sample::received();
    for peer in 0..100_000u32 {
        reset.peer = Arc::from(std::net::Ipv4Addr::from(peer).to_string());
        metrics.record(&reset);
    }
    let page = page(&metrics, Format::Text);
    let peers = samples(&page, "resetmon_peer_resets_total");
    assert_eq!(peers.len(), 5001);
    let other = peers
        .iter()
        .find(|(labels, _)| labels.contains(r#"peer="other""#))
        .unwrap();
    assert!((other.1 - 95_000.0).abs() < 0.5, "{other:?}");
    assert!(other.0.contains(r#"cause="aborted_mid_response""#));
    for name in ["resetmon_peer_resets_total", "resetmon_resets_total"] {
        assert!((total(&page, name) - 100_000.0).abs() < 0.5, "{name}");
    }
    let folded = r#"resetmon_series_folded_total{family="resetmon_peer_resets_total"} 95000"#;
    assert!(page.lines().any(|line| line == folded), "{page}");
}

#[test]
fn a_histogram_counts_with_each_of_its_lines() {
    let metrics = Metrics::new(limits(300));
    let mut reset = sample::received();
    for route in 0..1000 {
        reset.route.as_mut().unwrap().route = Arc::from(format!("/{route}"));
        metrics.record(&reset);
    }
    let page = page(&metrics, Format::Text);
    let lines = page
        .lines()
        .filter(|line| line.starts_with("resetmon_reset_connection_age_seconds_"))
        .count();
    assert!(lines <= 300 + HISTOGRAM_LINES, "{lines}");
    assert!((total(&page, "resetmon_reset_connection_age_seconds_count") - 1000.0).abs() < 0.5);
}

#[test]
fn idle_series_are_shown_once_more_and_then_removed() {
    let metrics = Metrics::new(limits(5000));
    let start = Instant::now();
    metrics.record_at(&sample::received(), start);
    let later = start + Duration::from_secs(3601);
    let mut pages = [String::new(), String::new()];
    for page in &mut pages {
        metrics.encode_at(Format::Text, page, later).unwrap();
    }
    let [last, after] = pages;
    for name in [
        "resetmon_process_resets_total",
        "resetmon_route_resets_total",
        "resetmon_peer_resets_total",
        "resetmon_connection_failures_total",
        "resetmon_route_connection_failures_total",
        "resetmon_reset_connection_age_seconds_count",
        "resetmon_reset_connection_idle_seconds_count",
    ] {
        assert_eq!(samples(&last, name).len(), 1, "{name}");
        assert_eq!(samples(&after, name).len(), 0, "{name}");
    }
    assert_eq!(samples(&after, "resetmon_resets_total").len(), 1);
    assert!(
        (total(&after, "resetmon_series_evicted_total") - 7.0).abs() < 0.5,
        "{after}"
    );
}

#[test]
fn hostile_names_cannot_break_the_page() {
    let metrics = Metrics::new(Limits::default());
    let mut reset = sample::received();
    reset.peer = Arc::from("a\"} 1\n# EOF\n\\evil\u{1b}[2J\u{fffd}");
    metrics.record(&reset);
    for format in [Format::Text, Format::OpenMetrics] {
        let page = page(&metrics, format);
        let expected = r#"peer="a\"} 1\n# EOF\n\\evil"#.to_owned() + "\u{fffd}[2J\u{fffd}\"} 1";
        assert!(page.lines().any(|line| line.ends_with(&expected)), "{page}");
        assert!(!page.contains('\u{1b}'));
    }
}

#[test]
fn labels_are_as_long_as_the_limit_allows() {
    let metrics = Metrics::new(Limits {
        max_label: 16,
        ..Limits::default()
    });
    let mut reset = sample::received();
    reset.peer = Arc::from("a-name-of-more-than-sixteen");
    metrics.record(&reset);
    let page = page(&metrics, Format::Text);
    assert!(page.contains(r#"peer="a-name-of-more-…"} 1"#), "{page}");
    assert!(page.contains(r#"upstream="payments"} 1"#), "{page}");
}

#[test]
fn totals_of_the_kernel_only_grow() {
    let metrics = Metrics::new(Limits::default());
    // The last but one is a kernel map that was made anew.
    for (total, expected) in [(0, 0), (5, 5), (5, 5), (8, 8), (3, 11), (4, 12)] {
        metrics.set_events_lost("ring_buffer", total);
        let line = format!("resetmon_events_lost_total{{where=\"ring_buffer\"}} {expected}");
        let page = page(&metrics, Format::Text);
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[test]
fn probes_and_malformed_records() {
    let metrics = Metrics::new(Limits::default());
    metrics.set_probe("tcp_send_reset", false);
    metrics.set_probe("tcp_send_reset", true);
    metrics.set_probe("tcp_receive_reset", false);
    metrics.set_malformed(2);
    metrics.set_malformed(3);
    let page = page(&metrics, Format::Text);
    for line in [
        "resetmon_probe_attached{probe=\"tcp_send_reset\"} 1",
        "resetmon_probe_attached{probe=\"tcp_receive_reset\"} 0",
        "resetmon_records_malformed_total 3",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
}

#[test]
fn causes_keep_apart_when_peers_are_folded() {
    let metrics = Metrics::new(limits(1));
    let mut reset = sample::received();
    for cause in [Cause::Refused, Cause::IdleTimeout] {
        reset.diagnosis.cause = cause;
        for peer in ["a", "b", "c"] {
            reset.peer = Arc::from(peer);
            metrics.record(&reset);
        }
    }
    let page = page(&metrics, Format::Text);
    let found = samples(&page, "resetmon_peer_resets_total");
    let found: Vec<_> = found
        .iter()
        .map(|(labels, value)| format!("{labels} {value}"))
        .collect();
    assert_eq!(
        found,
        [
            r#"{direction="received",cause="idle_timeout",peer="other"} 3"#,
            r#"{direction="received",cause="refused",peer="a"} 1"#,
            r#"{direction="received",cause="refused",peer="other"} 2"#,
        ]
    );
}

#[test]
fn the_kernels_count_and_the_difference() {
    let metrics = Metrics::new(Limits::default());
    let empty = page(&metrics, Format::Text);
    for name in [
        "resetmon_kernel_resets",
        "resetmon_unaccounted",
        "resetmon_program",
    ] {
        assert!(!empty.contains(name), "{empty}");
    }
    metrics.set_kernel_resets("OutRsts", 7);
    metrics.set_kernel_resets("OutRsts", 5);
    metrics.set_kernel_resets("TCPAbortOnClose", 0);
    metrics.set_unaccounted(4);
    metrics.set_unaccounted(-2);
    metrics.set_recursion_misses("reset_sent", 3);
    metrics.set_recursion_misses("reset_sent", 4);
    for format in [Format::Text, Format::OpenMetrics] {
        let page = page(&metrics, format);
        for (name, expected) in [
            (
                "resetmon_kernel_resets_total",
                &[
                    (r#"{counter="OutRsts"}"#, 7.0),
                    (r#"{counter="TCPAbortOnClose"}"#, 0.0),
                ][..],
            ),
            ("resetmon_unaccounted_resets", &[("", -2.0)]),
            (
                "resetmon_program_recursion_misses_total",
                &[(r#"{probe="reset_sent"}"#, 4.0)],
            ),
        ] {
            let found = samples(&page, name);
            let expected: Vec<_> = expected
                .iter()
                .map(|(labels, value)| ((*labels).to_owned(), *value))
                .collect();
            assert_eq!(found, expected, "{name}\n{page}");
        }
    }
}

#[test]
fn the_process_is_named_as_client_libraries_do() {
    let metrics = Metrics::new(Limits::default());
    assert!(!page(&metrics, Format::Text).contains("process_cpu"));
    metrics.set_process(Usage {
        cpu_seconds: 1.25,
        start_time_seconds: 1_741_064_767.5,
        resident_bytes: 20_000_000,
        virtual_bytes: 90_000_000,
        open_fds: Some(42),
        max_fds: None,
    });
    for format in [Format::Text, Format::OpenMetrics] {
        let page = page(&metrics, format);
        for (name, value) in [
            ("process_cpu_seconds_total", 1.25),
            ("process_start_time_seconds", 1_741_064_767.5),
            ("process_resident_memory_bytes", 2e7),
            ("process_virtual_memory_bytes", 9e7),
            ("process_open_fds", 42.0),
        ] {
            assert_eq!(
                samples(&page, name),
                [(String::new(), value)],
                "{name}: {page}"
            );
        }
        // No limit is no number.
        assert!(!page.contains("process_max_fds"), "{page}");
        let family = match format {
            Format::Text => "# TYPE process_cpu_seconds_total counter\n",
            Format::OpenMetrics => "# TYPE process_cpu_seconds counter\n",
        };
        assert!(page.contains(family), "{page}");
    }
}
