//! The README's tables say what the program does.

use std::mem::offset_of;
use std::num::NonZeroU32;

use gateway_ebpf_common::event::{ResetRecord, direction, flag, kind, role, shape};
use resetmon::attribution::process::Processes;
use resetmon::config::Config;
use resetmon::diagnosis::advice::advice;
use resetmon::export::metrics::{Format, Limits, Metrics};
use resetmon::kernel::btf::Btf;
use resetmon::kernel::clock::{Anchor, Clock};
use resetmon::kernel::probes::PROBES;
use resetmon::kernel::reasons::Reasons;
use resetmon::pipeline::Pipeline;
use resetmon::reset::{Cause, Reset};

const README: &str = include_str!("../../README.md");

#[test]
fn every_cause_stands_with_its_summary() {
    for cause in Cause::ALL {
        let row = format!("| `{}` | {} |", cause.name(), advice(*cause).summary);
        assert!(README.contains(&row), "README lacks the row: {row}");
    }
}

#[test]
fn every_metric_stands_and_none_that_is_not() {
    let metrics = Metrics::new(Limits::default());
    metrics.set_events_lost("unreadable", 1);
    metrics.set_probe("accept", true);
    metrics.set_refused("tcp_reset", 1);
    metrics.set_kernel_resets("OutRsts", 1);
    metrics.set_unaccounted(0);
    metrics.set_recursion_misses("accept", 0);
    metrics.record(&a_reset());
    let mut page = String::new();
    metrics.encode(Format::Text, &mut page).expect("written");
    let mut names = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            names.push(rest.split(' ').next().expect("a name").to_owned());
        }
    }
    assert!(names.len() > 10, "{names:?}");
    for name in &names {
        assert!(README.contains(&format!("`{name}`")), "README lacks {name}");
    }
    for word in README.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        if word.starts_with("resetmon_") {
            assert!(names.iter().any(|name| name == word), "README names {word}");
        }
    }
}

#[test]
fn every_capability_stands() {
    for need in resetmon::kernel::privilege::NEEDS {
        let name = format!("| `{}` |", need.capability);
        assert!(README.contains(&name), "README lacks {name}");
    }
}

#[test]
fn every_probe_stands_in_the_table_of_kernels() {
    let rows = || {
        README
            .lines()
            .filter_map(|line| line.strip_prefix("| probes "))
    };
    for probe in PROBES {
        let row = format!("{} ({}) | ", probe.name, probe.at);
        assert!(
            rows().any(|line| line.starts_with(&row)),
            "README lacks probes {row}: write it by `cargo xtask vm --all --readme`"
        );
    }
    assert_eq!(rows().count(), PROBES.len(), "README has more probes");
}

/// A reset of a gateway's connection, with everything that any family observes.
fn a_reset() -> Reset {
    let config = "gateways: [{name: edge, routes: [{name: /, upstream: app}],\
                  upstreams: [{name: app, endpoints: [\"127.0.0.2:80\"]}]}]";
    let config = Config::parse(config, "test").expect("a configuration");
    let btf = std::fs::read("tests/fixtures/btf/linux-6.18.44.btf").expect("a fixture");
    let btf = Btf::parse(btf).expect("BTF");
    let clock = Clock::new(NonZeroU32::MIN, Anchor::now());
    let processes = Processes::new("/nonexistent".into(), 1);
    let mut pipeline = Pipeline::new(clock, Reasons::from_btf(&btf), processes, &config);

    let mut bytes = vec![0; size_of::<ResetRecord>()];
    let mut put = |offset: usize, value: &[u8]| {
        bytes[offset..offset + value.len()].copy_from_slice(value);
    };
    put(offset_of!(ResetRecord, kind), &kind::RESET.to_ne_bytes());
    let size = u32::try_from(size_of::<ResetRecord>()).expect("small");
    put(offset_of!(ResetRecord, size), &size.to_ne_bytes());
    put(offset_of!(ResetRecord, time_ns), &2_u64.to_ne_bytes());
    put(
        offset_of!(ResetRecord, established_ns),
        &1_u64.to_ne_bytes(),
    );
    put(offset_of!(ResetRecord, flags), &flag::VITALS.to_ne_bytes());
    put(offset_of!(ResetRecord, local_addr), &[127, 0, 0, 1]);
    put(offset_of!(ResetRecord, remote_addr), &[127, 0, 0, 2]);
    put(offset_of!(ResetRecord, remote_port), &80_u16.to_ne_bytes());
    put(offset_of!(ResetRecord, direction), &[direction::RECEIVED]);
    put(offset_of!(ResetRecord, ip_version), &[4]);
    put(offset_of!(ResetRecord, shape), &[shape::FULL]);
    put(offset_of!(ResetRecord, state), &[1]);
    put(offset_of!(ResetRecord, state_before), &[1]);
    put(offset_of!(ResetRecord, role), &[role::CLIENT]);
    let mut resets = Vec::new();
    pipeline.feed(&bytes, |event| resets.extend(event.into_reset()));
    // It may wait for the other end's.
    pipeline.end(|event| resets.extend(event.into_reset()));
    resets.pop().expect("a reset")
}
