//! Entries of `/proc`.

use std::time::Duration;

use resetmon::attribution::process::Processes;
use resetmon::kernel::observation::Task;
use resetmon::reset::Process;

use crate::mutate::{self, Pool, steers};
use crate::procfs::{FakeProc, Files, stat};
use crate::random::Random;
use crate::run::Target;

const PID: u32 = 7;
/// 12.34 s after boot.
const TICKS: u64 = 1234;
const START: Duration = Duration::from_millis(12_340);

/// Damaged entries of one process, which is also asked for again and forgotten.
#[derive(Debug)]
pub(crate) struct Entries {
    proc: FakeProc,
    processes: Processes,
    stats: Pool,
    cgroups: Pool,
}

/// An entry, and what the kernel's record says of the process.
#[derive(Debug)]
pub(crate) struct Entry {
    files: Files,
    comm: String,
    start: Duration,
}

impl Default for Entries {
    fn default() -> Self {
        let proc = FakeProc::new();
        let stats = [
            stat(PID, b"nginx", TICKS),
            stat(PID, b"a) S 1 (b", TICKS),
            stat(PID, b"", u64::MAX),
        ];
        let cgroups = [
            "0::/system.slice/nginx.service\n",
            "0::/\n",
            "0::/lxc/web\n",
        ];
        Self {
            processes: Processes::new(proc.root(), 4),
            proc,
            stats: Pool::new(
                stats,
                &[
                    b")",
                    b"(",
                    b" ",
                    b"\n",
                    b"-1",
                    b"1234",
                    b"\xff",
                    b"18446744073709551616",
                ],
                8192,
            ),
            cgroups: Pool::new(
                cgroups,
                &[b"/", b"\n", b":", b"\x1b", b"\xff", b".service"],
                512,
            ),
        }
    }
}

impl Target for Entries {
    const NAME: &'static str = "proc";
    const QUICK: u64 = 8_000;
    const REFUSES: bool = true;
    type Input = Entry;

    fn make(&mut self, random: &mut Random) -> Entry {
        let hostile = |random: &mut Random| {
            let mut text = mutate::text(random).into_bytes();
            if random.one_in(4) {
                text.push(random.byte());
                text.insert(0, random.byte());
            }
            text
        };
        let mut comm = hostile(random);
        if random.one_in(2) {
            comm.truncate(15);
        }
        let stat = match random.below(3) {
            0 => self.stats.make(random),
            _ => stat(PID, &comm, TICKS + random.next() % 4),
        };
        let mut exe = hostile(random);
        exe.retain(|byte| *byte != 0);
        exe.truncate(4000);
        let prefix: &[u8] = random.pick(&[b"/usr/sbin/", b"/memfd:", b"", b"/"]);
        exe.splice(..0, prefix.iter().copied());
        if random.one_in(4) {
            exe.extend_from_slice(b" (deleted)");
        }
        let cmdline = hostile(random);
        let cgroup = self.cgroups.make(random);
        let mut there = |content: Vec<u8>| (!random.one_in(12)).then_some(content);
        let files = Files {
            stat: there(stat),
            comm: there(comm.clone()),
            cmdline: there(cmdline),
            cgroup: there(cgroup),
            exe: there(exe).filter(|target| !target.is_empty() && target.len() < 4096),
        };
        let recorded = if random.one_in(2) {
            mutate::text(random)
        } else {
            String::from_utf8_lossy(&comm).into_owned()
        };
        Entry {
            files,
            comm: recorded.chars().take(16).collect(),
            start: START + Duration::from_secs(random.choose(&[0, 0, 0, 0, 0, 0, 1, 1 << 40])),
        }
    }

    fn check(&mut self, entry: &Entry) -> bool {
        self.proc.set(PID, &entry.files);
        let task = Task {
            pid: PID,
            tid: PID,
            start: entry.start,
            comm: entry.comm.as_str().into(),
            cgroup: 1,
            known_by: None,
            exit: None,
        };
        let process = self.processes.refresh(&task);
        harmless(&process);
        // Asked again, and with another process in between, it is the same.
        assert_eq!(self.processes.get(&task), process);
        let other = Task {
            pid: PID + 1,
            ..task.clone()
        };
        harmless(&self.processes.get(&other));
        let read = process.exe.is_some();
        if !read {
            return false;
        }
        if let Some(stat) = &entry.files.stat {
            self.stats.keep(stat);
        }
        true
    }
}

fn harmless(process: &Process) {
    let fields = [
        (Some(&process.name), 255),
        (Some(&process.comm), 255),
        (process.exe.as_ref(), 4096),
        (process.cmdline.as_ref(), 1024),
        (process.unit.as_ref(), 255),
        (
            process.container.as_ref().map(|container| &container.id),
            255,
        ),
    ];
    for (text, most) in fields {
        if let Some(text) = text {
            assert!(!text.contains(steers), "{text:?}");
            assert!(
                text.chars().count() <= most,
                "{} characters of {most}",
                text.chars().count()
            );
        }
    }
}
