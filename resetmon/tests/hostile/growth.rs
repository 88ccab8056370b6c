//! Memory and series under many peers and many processes, and counts that stay exact.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use gateway_ebpf_common::event::{
    self, NEVER, REASON_ABSENT, ResetRecord, direction, flag, known_by, role, shape,
};
use resetmon::attribution::process::CAPACITY;
use resetmon::config::Config;
use resetmon::export::metrics::{Limits, Metrics};
use resetmon::kernel::observation::TcpState;
use resetmon::reset::Cause;

use crate::exposition::series;
use crate::mutate;
use crate::procfs::{FakeProc, Files, stat};
use crate::random::Random;
use crate::records::{self, bytes_of};
use crate::targets::exporters;
use crate::targets::pipeline;

/// Panics where a bound is broken; says what was measured.
type Test = fn() -> String;

/// The tests of this file.
pub(crate) const TESTS: &[(&str, Test)] = &[("growth", peers_and_processes)];

/// Peers and processes of one round: far beyond what is remembered.
const PEERS: u32 = 100_000;
const PROCESSES: u32 = 10_000;
/// Rounds, each with new ones.
const ROUNDS: u32 = 2;

/// What the agent may take for everything that it remembers, with the default configuration.
const MOST_KIB: u64 = 32 * 1024;
/// And what the second round may add: maps that have to keep many removed entries apart grow
/// once more. A leak of a hundred bytes a peer would be more.
const MORE_KIB: u64 = 8 * 1024;

fn peers_and_processes() -> String {
    let proc = FakeProc::new();
    let mut pipeline = pipeline::pipeline(&proc, CAPACITY);
    let limits = Config::default().metrics;
    let metrics = Metrics::new(Limits {
        max_series: limits.max_series_per_family,
        max_idle: limits.idle_series_ttl,
        max_label: exporters::LABEL,
    });
    let mut random = Random::of(5, "growth", 0);
    let (mut fed, mut malformed, mut routed) = (0, 0, 0);
    let mut grown = Vec::new();
    let before = resident_kib();
    for round in 0..ROUNDS {
        for process in 0..PROCESSES {
            let pid = 1000 + round * PROCESSES + process;
            let comm = hostile_process(&proc, pid, &mut random);
            let template = records::reset(&mut random);
            for number in 0..PEERS / PROCESSES {
                let peer = (round * PROCESSES + process) * (PEERS / PROCESSES) + number;
                let mut record = bytes_of(&reset(&template, peer, pid, comm));
                if random.one_in(100) {
                    record.pop();
                    malformed += 1;
                } else {
                    fed += 1;
                }
                pipeline.feed(&record, |event| {
                    metrics.record_event(&event);
                    let reset = event.into_reset().unwrap();
                    routed += u64::from(reset.route.is_some());
                });
            }
            proc.remove(pid);
        }
        grown.push(resident_kib().saturating_sub(before));
    }
    pipeline.end(|event| {
        metrics.record_event(&event);
        let reset = event.into_reset().unwrap();
        routed += u64::from(reset.route.is_some());
    });
    assert_eq!(pipeline.malformed(), malformed);
    let samples = exporters::page(&metrics, fed, routed);
    let [first, second] = grown[..] else {
        panic!("{ROUNDS} rounds");
    };
    assert!(second <= MOST_KIB, "{grown:?} KiB, {MOST_KIB} allowed");
    assert!(second <= first + MORE_KIB, "{grown:?} KiB: it does not end");
    // Beside the bound there is one folded series for each of the closed labels' values.
    let most = limits.max_series_per_family;
    let folded = 2 * Cause::ALL.len();
    let mut counts = Vec::new();
    for (family, label) in [
        ("resetmon_peer_resets_total", "peer"),
        ("resetmon_process_resets_total", "process"),
    ] {
        let (all, open) = series(&samples, family, label);
        assert!(
            open <= most && all - open <= folded,
            "{family}: {open} and {} folded",
            all - open
        );
        assert!(
            all > most / 2,
            "{family}: {all} series only, the bound was not reached"
        );
        counts.push(all);
    }
    assert!(
        samples.len() < 8 * (most + folded),
        "{} lines",
        samples.len()
    );
    format!(
        "{fed} resets of {} peers and {} processes: {grown:?} KiB, {counts:?} series",
        ROUNDS * PEERS,
        ROUNDS * PROCESSES,
    )
}

/// Files of a process whose names want to be something else. Returns its `comm`.
fn hostile_process(proc: &FakeProc, pid: u32, random: &mut Random) -> [u8; 16] {
    let mut name = format!("{pid}").into_bytes();
    name.extend(
        mutate::text(random)
            .bytes()
            .filter(|byte| *byte != 0 && *byte != b'/'),
    );
    name.truncate(255);
    let mut comm = [0; 16];
    let length = name.len().min(15);
    comm[..length].copy_from_slice(&name[..length]);
    let mut exe = b"/opt/".to_vec();
    exe.extend_from_slice(&name);
    let files = Files {
        stat: Some(stat(pid, &name[..length], u64::from(pid) * 100)),
        comm: Some(name[..length].to_vec()),
        cmdline: Some(mutate::text(random).repeat(20).into_bytes()),
        cgroup: Some(format!("0::/system.slice/unit{pid}.service\n").into_bytes()),
        exe: Some(exe),
    };
    proc.set(pid, &files);
    comm
}

/// A reset received from the peer of this number by a process that runs.
fn reset(template: &ResetRecord, peer: u32, pid: u32, comm: [u8; 16]) -> ResetRecord {
    let v6 = peer.is_multiple_of(2);
    let address: IpAddr = if v6 {
        Ipv6Addr::new(
            0x2001,
            0xdb8,
            0xffff,
            0,
            0,
            0,
            u16::try_from(peer >> 16).unwrap(),
            u16::try_from(peer & 0xffff).unwrap(),
        )
        .into()
    } else {
        Ipv4Addr::from(u32::from(Ipv4Addr::new(100, 64, 0, 0)) + peer).into()
    };
    let mut record = ResetRecord {
        time_ns: 1_000_000_000_000 + u64::from(peer) * 10_000,
        cookie: u64::from(peer) + 1,
        established_ns: 1,
        netns: 4_026_531_840,
        reason: REASON_ABSENT,
        flags: flag::VITALS | flag::STATE_SEEN | flag::HAS_SOCKET,
        local_port: 443,
        ticks_since_ack_in: NEVER,
        direction: direction::RECEIVED,
        ip_version: if v6 { 6 } else { 4 },
        shape: shape::FULL,
        state: TcpState::Close as u8,
        state_before: TcpState::Established as u8,
        role: role::SERVER,
        hook: event::hook::NONE,
        owner: event::Task {
            pid,
            tid: pid,
            start_ns: Duration::from_secs(u64::from(pid))
                .as_nanos()
                .try_into()
                .unwrap(),
            comm,
            known_by: known_by::ACCEPT,
            ..event::Task::default()
        },
        closer: event::Task::default(),
        ..*template
    };
    let octets = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    record.remote_addr = [0; 4];
    for (word, quad) in record.remote_addr.iter_mut().zip(octets.chunks_exact(4)) {
        *word = u32::from_ne_bytes(quad.try_into().unwrap());
    }
    record.local_addr = [u32::from_ne_bytes([10, 0, 0, 5]), 0, 0, 0];
    record
}

/// Memory of this process that is in use, KiB.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .strip_suffix(" kB")
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
