use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;
use crate::export::sample;
use crate::kernel::counters::namespaces::{NamespaceId, Reading};
use crate::kernel::observation::{KnownBy, Role};

const NETNS: u32 = 4_026_531_840;
const PID: u32 = 4242;
const NOW: Duration = Duration::from_secs(5000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A /proc with process [`PID`] in namespace [`NETNS`], and a folder of cgroups.
struct Fake(TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(TempDir::new().unwrap());
        fake.put("proc/4242/ns/x", "");
        symlink(
            format!("net:[{NETNS}]"),
            fake.0.path().join("proc/4242/ns/net"),
        )
        .unwrap();
        fake
    }

    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn overflows(&self, count: u64) {
        let text = format!("TcpExt: ListenOverflows TCPAbortOnMemory\nTcpExt: {count} 5\n");
        self.put("proc/4242/net/netstat", &text);
    }

    fn surroundings(&self) -> Surroundings {
        Surroundings::new(self.0.path().join("proc"), self.0.path().join("cgroups"))
    }
}

fn reset(change: impl FnOnce(&mut Reset)) -> Reset {
    let mut reset = sample::received();
    reset.observation.role = Some(Role::Server);
    change(&mut reset);
    reset
}

fn observation() -> Observation {
    reset(|_| {}).observation
}

#[test]
fn the_growth_of_counters_is_recent_or_not_told() {
    let fake = Fake::new();
    let mut around = fake.surroundings();
    let mut at = |now: u64| {
        let o = Observation {
            time: seconds(now),
            ..observation()
        };
        let found = around.overload(&o, Cause::ClientCanceled, None, seconds(now));
        found
            .overflows
            .map(|(count, since)| (count, since.as_secs()))
    };
    assert_eq!(at(1000), None, "nothing to read");
    fake.overflows(10);
    assert_eq!(at(1010), Some((0, 0)));
    fake.overflows(13);
    assert_eq!(at(1011), Some((0, 1)), "kept for a second");
    assert_eq!(at(1012), Some((3, 2)));
    fake.overflows(20);
    assert_eq!(at(1021), Some((7, 9)), "told from a later reading by now");
    assert_eq!(at(1023), Some((0, 2)));
    fake.overflows(90);
    assert_eq!(at(1100), None, "whenever that was");
    fake.overflows(91);
    assert_eq!(at(1102), Some((1, 2)));
}

#[test]
fn rounds_of_all_namespaces_are_what_growth_is_told_from() {
    let fake = Fake::new();
    let mut around = fake.surroundings();
    let counters = TcpCounters::default().with(Counter::ListenOverflows, 4);
    let readings = Readings {
        namespaces: vec![Reading {
            id: NamespaceId(1),
            inode: NETNS,
            counters: Some(counters),
        }],
        ..Readings::default()
    };
    around.learn(&readings, seconds(4995));
    fake.overflows(6);
    let found = around.overload(&observation(), Cause::ClientCanceled, None, NOW);
    assert_eq!(found.overflows, Some((2, seconds(5))));
}

#[test]
fn counters_of_another_namespace_are_not_taken() {
    let fake = Fake::new();
    fake.overflows(1);
    let mut around = fake.surroundings();
    let o = Observation {
        netns: 7,
        ..observation()
    };
    let found = around.overload(&o, Cause::ClientCanceled, None, NOW);
    assert_eq!(found.overflows, None);
}

#[test]
fn descriptors_and_memory() {
    let fake = Fake::new();
    fake.put("proc/4242/limits", "Max open files  1000  2000  files\n");
    for fd in 0..7 {
        fake.put(&format!("proc/4242/fd/{fd}"), "");
    }
    let mut around = fake.surroundings();
    let (open, limit) = around
        .overload(&observation(), Cause::ClientCanceled, None, NOW)
        .descriptors
        .unwrap();
    // The size of a folder is its number of files in /proc only.
    assert!(open > 0 && limit == 1000, "{open} of {limit}");

    fake.put(
        "proc/net/sockstat",
        "TCP: inuse 5 orphan 3 tw 4 alloc 7 mem 6\n",
    );
    fake.put("proc/sys/net/ipv4/tcp_mem", "1\t2\t30\n");
    fake.put("proc/sys/net/ipv4/tcp_max_orphans", "400\n");
    let found = around.overload(&observation(), Cause::MemoryPressure, None, NOW);
    let expected = TcpMemory {
        pages: (6, 30),
        orphans: (3, 400),
    };
    assert_eq!(found.tcp, Some(expected));
}

#[test]
fn memory_of_the_cgroup_that_it_has_or_had() {
    let fake = Fake::new();
    let mut around = fake.surroundings();
    let mut now = NOW;
    let mut of = |folder| {
        now += FRESH * 2;
        let o = Observation {
            time: now,
            ..observation()
        };
        let found = around.overload(&o, Cause::ProcessKilled, folder, now);
        found.cgroup
    };
    let memory = |at_limit, oom_kills| {
        Some(CgroupMemory {
            at_limit,
            oom_kills,
        })
    };
    assert_eq!(of(Some("memory/web")), None);
    fake.put("cgroups/memory/web/memory.failcnt", "7\n");
    fake.put(
        "cgroups/memory/web/memory.oom_control",
        "oom_kill_disable 0\noom_kill 2\n",
    );
    fake.put("cgroups/web/memory.events", "max 8\noom_kill 3\n");
    assert_eq!(of(Some("memory/web")), memory(7, 2));
    assert_eq!(of(None), None);
    // As it is now, where the process still has one.
    fake.put("proc/4242/cgroup", "0::/web\n");
    assert_eq!(of(Some("memory/web")), memory(8, 3));
    fake.put("proc/4242/cgroup", "0::/\n");
    assert_eq!(of(Some("memory/web")), memory(7, 2));
}

#[test]
fn the_past_and_storms_are_not_looked_into() {
    let fake = Fake::new();
    fake.put("proc/4242/limits", "Max open files  1000  2000  files\n");
    fake.put("proc/4242/fd/0", "");
    let mut around = fake.surroundings();
    let late = around.overload(
        &observation(),
        Cause::ClientCanceled,
        None,
        NOW + seconds(2),
    );
    assert_eq!(late, Overload::default());
    for pid in 0..READS {
        let mut o = observation();
        o.owner.as_mut().unwrap().pid = pid;
        around.overload(&o, Cause::ProcessKilled, None, NOW);
    }
    let found = around.overload(&observation(), Cause::ClientCanceled, None, NOW);
    assert_eq!(found.descriptors, None);
    let next = NOW + FRESH;
    let found = around.overload(&observation(), Cause::ClientCanceled, None, next);
    assert!(found.descriptors.is_some());
}

/// A reset on the loopback, and a table with the other end in `state`.
fn other_end(state: &str, change: impl FnOnce(&mut Reset)) -> Option<TcpState> {
    let fake = Fake::new();
    let row = format!("   0: 0100007F:0050 0100007F:1388 {state} 00000000:00000000\n");
    fake.put("proc/4242/net/tcp", &row);
    let reset = reset(|reset| {
        reset.observation.remote = "127.0.0.1:80".parse().unwrap();
        reset.observation.local = "127.0.0.1:5000".parse().unwrap();
        change(reset);
    });
    fake.surroundings().other_end(&reset, NOW)
}

type Change = fn(&mut Reset);

#[cfg(target_endian = "little")]
#[test]
fn whose_socket_lives_did_not_reset() {
    assert_eq!(other_end("01", |_| {}), Some(TcpState::Established));
    assert_eq!(other_end("08", |_| {}), Some(TcpState::CloseWait));
    for state in ["06", "07", "0C"] {
        assert_eq!(other_end(state, |_| {}), None, "{state}");
    }
    let table: [(&str, Change); 8] = [
        ("joined", |r| r.twin = Some(sample::twin())),
        ("sent", |r| r.observation.direction = Direction::Sent),
        ("a repeat", |r| r.repeat_of = Some(r.id)),
        ("the filter's", |r| r.diagnosis.sender = Sender::Firewall),
        ("another port", |r| r.observation.remote.set_port(81)),
        ("another namespace", |r| r.observation.netns = 1),
        ("long ago", |r| r.observation.time -= seconds(2)),
        ("nobody's", |r| r.observation.owner = None),
    ];
    for (name, change) in table {
        assert_eq!(other_end("01", change), None, "{name}");
    }
}

#[cfg(target_endian = "little")]
#[test]
fn the_other_end_in_a_pod_is_found_once_its_address_is_known() {
    let fake = Fake::new();
    fake.put("proc/4242/net/tcp", "");
    let mapped = "0000000000000000FFFF00000900000A:1F90 0000000000000000FFFF00000100000A:B26E";
    fake.put("proc/4242/net/tcp6", &format!("   0: {mapped} 01 0:0\n"));
    let mut around = fake.surroundings();
    let reset = reset(|reset| reset.observation.netns = 1);
    assert_eq!(around.other_end(&reset, NOW), None);
    let mut pod = reset.observation.clone();
    std::mem::swap(&mut pod.local, &mut pod.remote);
    pod.netns = NETNS;
    pod.owner = Some(sample::task(PID, "payd", KnownBy::Accept));
    around.overload(&pod, Cause::Unknown, None, NOW);
    for _ in 0..TABLES {
        assert_eq!(around.other_end(&reset, NOW), Some(TcpState::Established));
    }
    assert_eq!(around.other_end(&reset, NOW), None, "tables are few");
}
