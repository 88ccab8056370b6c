use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

/// 12.34 s after boot: 1234 ticks.
const START: Duration = Duration::from_millis(12_340);

fn task(pid: u32, start: Duration, comm: &str) -> Task {
    Task {
        pid,
        tid: pid,
        start,
        comm: comm.into(),
        cgroup: 1,
        known_by: None,
        exit: None,
    }
}

/// A directory that looks like `/proc`.
struct FakeProc(tempfile::TempDir);

impl FakeProc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn processes(&self) -> Processes {
        Processes::new(self.0.path().into(), CAPACITY)
    }

    fn dir(&self, pid: u32) -> PathBuf {
        self.0.path().join(pid.to_string())
    }

    fn add(&self, pid: u32, ticks: u64, comm: &[u8], exe: &[u8]) {
        let dir = self.dir(pid);
        fs::create_dir_all(&dir).unwrap();
        let stat = format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {ticks} 0 0\n");
        fs::write(dir.join("stat"), stat).unwrap();
        fs::write(dir.join("comm"), [comm, b"\n"].concat()).unwrap();
        fs::write(dir.join("cmdline"), [exe, b"\0-g\0daemon off;\0"].concat()).unwrap();
        fs::write(dir.join("cgroup"), "0::/system.slice/web.service\n").unwrap();
        let _ = fs::remove_file(dir.join("exe"));
        symlink(OsStr::from_bytes(exe), dir.join("exe")).unwrap();
    }

    fn remove(&self, pid: u32) {
        fs::remove_dir_all(self.dir(pid)).unwrap();
    }
}

/// `name comm exe unit`, `-` for what is not known.
fn shown(process: &Process) -> String {
    let or = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
    format!(
        "{} {} {} {}",
        process.name,
        process.comm,
        or(&process.exe),
        or(&process.unit)
    )
}

#[test]
fn an_entry_is_read_and_survives_the_exit() {
    let proc = FakeProc::new();
    proc.add(7, 1234, b"nginx", b"/usr/sbin/nginx (deleted)");
    let mut processes = proc.processes();
    processes.get(&task(7, START, "nginx"));
    proc.remove(7);
    let process = processes.get(&task(7, START, "nginx"));
    assert_eq!(shown(&process), "nginx nginx /usr/sbin/nginx web.service");
    assert_eq!(
        process.cmdline.as_deref(),
        Some("/usr/sbin/nginx (deleted) -g daemon off;")
    );
    assert_eq!(process.pid, 7);
    // Neither another start nor another id is this process.
    for other in [
        task(7, START + Duration::from_secs(9), "nginx"),
        task(8, START, "nginx"),
    ] {
        assert_eq!(shown(&processes.get(&other)), "nginx nginx - -");
    }
}

#[test]
fn only_the_same_start_is_the_same_process() {
    let known = "nginx nginx /usr/sbin/nginx web.service";
    let unknown = "nginx nginx - -";
    let millis = Duration::from_millis;
    for (ticks, start, expected) in [
        (1234, START, known),
        (1234, START + Duration::from_nanos(9_999_999), known),
        (1235, START, known),
        (1233, START, known),
        (1236, START, known),
        (1237, START, unknown),
        (1231, START, unknown),
        (1234, START + millis(30), unknown),
        (9_999_999, START, unknown),
        (0, Duration::ZERO, known),
        (u64::MAX, Duration::ZERO, unknown),
        (1234, Duration::MAX, unknown),
    ] {
        let proc = FakeProc::new();
        proc.add(7, ticks, b"nginx", b"/usr/sbin/nginx");
        let process = proc.processes().get(&task(7, start, "nginx"));
        assert_eq!(shown(&process), expected, "{ticks} {start:?}");
    }
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let full = "nginx nginx /usr/sbin/nginx web.service";
    let kernel = "nginx nginx - -";
    for (missing, expected) in [
        ("exe", "nginx nginx - web.service"),
        ("cgroup", "nginx nginx /usr/sbin/nginx -"),
        ("cmdline", full),
        ("stat", kernel),
        ("comm", kernel),
    ] {
        let proc = FakeProc::new();
        proc.add(7, 1234, b"nginx", b"/usr/sbin/nginx");
        fs::remove_file(proc.dir(7).join(missing)).unwrap();
        let process = proc.processes().get(&task(7, START, "nginx"));
        assert_eq!(shown(&process), expected, "{missing}");
        assert_eq!(
            process.cmdline.is_none(),
            ["cmdline", "stat", "comm"].contains(&missing)
        );
    }
    for (file, text) in [("stat", &b""[..]), ("stat", b"\xff)"), ("stat", b"7 (x) S")] {
        let proc = FakeProc::new();
        proc.add(7, 1234, b"nginx", b"/usr/sbin/nginx");
        fs::write(proc.dir(7).join(file), text).unwrap();
        assert_eq!(
            shown(&proc.processes().get(&task(7, START, "nginx"))),
            kernel,
            "{text:?}"
        );
    }
}

#[test]
fn a_failure_that_may_pass_is_tried_again_a_final_one_is_not() {
    let proc = FakeProc::new();
    let mut processes = proc.processes();
    // Not a directory: nothing that a living or dead process would show.
    fs::write(proc.dir(7), "").unwrap();
    assert_eq!(
        shown(&processes.get(&task(7, START, "nginx"))),
        "nginx nginx - -"
    );
    fs::remove_file(proc.dir(7)).unwrap();
    proc.add(7, 1234, b"nginx", b"/usr/sbin/nginx");
    let known = "nginx nginx /usr/sbin/nginx web.service";
    assert_eq!(shown(&processes.get(&task(7, START, "nginx"))), known);

    assert_eq!(
        shown(&processes.get(&task(8, START, "nginx"))),
        "nginx nginx - -"
    );
    proc.add(8, 1234, b"nginx", b"/usr/sbin/nginx");
    assert_eq!(
        shown(&processes.get(&task(8, START, "nginx"))),
        "nginx nginx - -"
    );
    assert_eq!(shown(&processes.refresh(&task(8, START, "nginx"))), known);
}

#[test]
fn hostile_names_are_made_safe() {
    let long = [b"/opt/".to_vec(), vec![b'x'; 300]].concat();
    for (comm, exe, expected) in [
        (
            &b"a\"b\\c"[..],
            &b"/opt/a\"b\\c"[..],
            "a\"b\\c a\"b\\c /opt/a\"b\\c web.service",
        ),
        (
            b"a\nb",
            b"/o\np/a\nb",
            "a\\nb a\\nb /o\\np/a\\nb web.service",
        ),
        (
            b"\xff\xfe",
            b"/opt/\xff",
            "\u{fffd} \u{fffd}\u{fffd} /opt/\u{fffd} web.service",
        ),
        (
            b"\x1b[2J",
            b"/\x1b[2J",
            "\\u{1b}[2J \\u{1b}[2J /\\u{1b}[2J web.service",
        ),
        (b"", b"/", "  / web.service"),
        (
            b"runc",
            b"/memfd:runc_cloned:/proc/self/exe (deleted)",
            "runc runc /memfd:runc_cloned:/proc/self/exe web.service",
        ),
    ] {
        let proc = FakeProc::new();
        proc.add(7, 1234, comm, exe);
        let record = task(7, START, &String::from_utf8_lossy(comm));
        assert_eq!(shown(&proc.processes().get(&record)), expected);
    }
    let proc = FakeProc::new();
    proc.add(7, 1234, b"x", &long);
    let process = proc.processes().get(&task(7, START, "x"));
    assert_eq!(process.name.chars().count(), MAX_NAME);
    fs::write(proc.dir(7).join("comm"), vec![b'\x07'; 100_000]).unwrap();
    let process = proc.processes().get(&task(7, START, "x"));
    assert_eq!(process.comm.chars().count(), MAX_NAME);
    fs::write(proc.dir(7).join("cmdline"), vec![b'y'; 100_000]).unwrap();
    let process = proc.processes().get(&task(7, START, "x"));
    assert_eq!(
        process.cmdline.as_ref().unwrap().chars().count(),
        MAX_CMDLINE
    );
    // The record alone is made safe too.
    let process = proc.processes().get(&task(9, START, "a\nb"));
    assert_eq!(shown(&process), "a\\nb a\\nb - -");
}

#[test]
fn another_program_in_the_same_process() {
    let proc = FakeProc::new();
    proc.add(7, 1234, b"sh", b"/bin/sh");
    let mut processes = proc.processes();
    processes.get(&task(7, START, "sh"));
    proc.add(7, 1234, b"nginx", b"/usr/sbin/nginx");
    // The name has not changed in the record: nothing is read.
    assert_eq!(
        shown(&processes.get(&task(7, START, "sh"))),
        "sh sh /bin/sh web.service"
    );
    let nginx = "nginx nginx /usr/sbin/nginx web.service";
    assert_eq!(shown(&processes.get(&task(7, START, "nginx"))), nginx);
    // Gone under a third name: what ran is not known, where it ran is.
    proc.remove(7);
    assert_eq!(
        shown(&processes.get(&task(7, START, "envoy"))),
        "envoy envoy - web.service"
    );
    assert_eq!(
        shown(&processes.get(&task(7, START, "nginx"))),
        "nginx nginx - web.service"
    );
}

#[test]
fn a_record_older_than_the_entry_is_the_same_process() {
    let proc = FakeProc::new();
    proc.add(7, 1234, b"nginx", b"/usr/sbin/nginx");
    let mut processes = proc.processes();
    let nginx = "nginx nginx /usr/sbin/nginx web.service";
    assert_eq!(shown(&processes.get(&task(7, START, "sh"))), nginx);
    proc.remove(7);
    for comm in ["sh", "nginx", "sh"] {
        assert_eq!(
            shown(&processes.get(&task(7, START, comm))),
            nginx,
            "{comm}"
        );
    }
}

#[test]
fn a_refresh_keeps_what_a_dead_process_no_longer_has() {
    let proc = FakeProc::new();
    proc.add(7, 1234, b"nginx", b"/usr/sbin/nginx");
    let mut processes = proc.processes();
    processes.get(&task(7, START, "nginx"));
    let nginx = "nginx nginx /usr/sbin/nginx web.service";
    // A zombie: no executable, no command line.
    fs::remove_file(proc.dir(7).join("exe")).unwrap();
    fs::write(proc.dir(7).join("cmdline"), "").unwrap();
    let process = processes.refresh(&task(7, START, "nginx"));
    assert_eq!(shown(&process), nginx);
    assert!(process.cmdline.is_some());
    proc.remove(7);
    assert_eq!(shown(&processes.refresh(&task(7, START, "nginx"))), nginx);
    assert_eq!(shown(&processes.get(&task(7, START, "nginx"))), nginx);
    // The id's next process is not mixed up with it.
    proc.add(7, 5000, b"curl", b"/usr/bin/curl");
    assert_eq!(shown(&processes.refresh(&task(7, START, "nginx"))), nginx);
}

#[test]
fn the_least_recently_used_are_forgotten() {
    let proc = FakeProc::new();
    proc.add(1, 1234, b"nginx", b"/usr/sbin/nginx");
    let mut processes = Processes::new(proc.0.path().into(), 16);
    processes.get(&task(1, START, "nginx"));
    proc.remove(1);
    for pid in 100..1000 {
        processes.get(&task(pid, START, "curl"));
        // In use all the time, so remembered although gone.
        assert_eq!(&*processes.get(&task(1, START, "nginx")).name, "nginx");
        assert!(processes.known.len() <= 16);
    }
    assert!(processes.known.len() >= 13, "an eighth at a time, not all");
    assert!(processes.get(&task(1, START, "nginx")).exe.is_some());
    assert!(processes.known.contains_key(&(999, START)));
    assert!(!processes.known.contains_key(&(100, START)));

    let mut one = Processes::new(proc.0.path().into(), 0);
    one.get(&task(1, START, "a"));
    one.get(&task(2, START, "b"));
    assert_eq!(one.known.keys().collect::<Vec<_>>(), [&(2, START)]);
}

/// A real process, killed when dropped.
struct Running(Child);

impl Running {
    fn spawn(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::piped()).spawn().unwrap())
    }

    fn task(&self, comm: &str) -> Task {
        let stat = fs::read(format!("/proc/{}/stat", self.0.id())).unwrap();
        let stat = String::from_utf8_lossy(&stat);
        let after = &stat[stat.rfind(')').unwrap() + 1..];
        let ticks: u64 = after.split_whitespace().nth(19).unwrap().parse().unwrap();
        task(self.0.id(), Duration::from_millis(ticks * 10), comm)
    }

    /// Waits until the program under the new name runs.
    ///
    /// execve gives the name before it lays out the arguments: in between cmdline is empty.
    fn until_comm(&self, comm: &str) {
        let path = format!("/proc/{}/comm", self.0.id());
        let cmdline = format!("/proc/{}/cmdline", self.0.id());
        for _ in 0..10_000 {
            let named = fs::read_to_string(&path).unwrap().trim_end() == comm;
            if named && !fs::read(&cmdline).unwrap().is_empty() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("{path} never became {comm}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn real() -> Processes {
    Processes::new("/proc".into(), CAPACITY)
}

#[test]
fn a_real_process_survives_its_exit() {
    let running = Running::spawn(Command::new("sleep").arg("1000"));
    running.until_comm("sleep");
    let record = running.task("sleep");
    let mut processes = real();
    processes.get(&record);
    drop(running);
    let process = processes.get(&record);
    assert_eq!(&*process.comm, "sleep");
    assert_eq!(process.cmdline.as_deref(), Some("sleep 1000"));
    let exe = process.exe.as_deref().unwrap();
    assert!(Path::new(exe).ends_with(&*process.name), "{process:?}");
    // A memory that did not see it alive has the record only.
    assert_eq!(shown(&real().get(&record)), "sleep sleep - -");
}

#[test]
fn a_real_process_runs_another_program() {
    let mut running = Running::spawn(Command::new("sh").args(["-c", "read x; exec sleep 1000"]));
    running.until_comm("sh");
    let mut processes = real();
    let before = processes.get(&running.task("sh"));
    assert_eq!(&*before.comm, "sh");
    running.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    running.until_comm("sleep");
    let after = processes.get(&running.task("sleep"));
    assert_eq!(&*after.comm, "sleep");
    assert_eq!(after.cmdline.as_deref(), Some("sleep 1000"));
    assert_ne!(before.exe, after.exe);
}

#[test]
fn a_real_process_with_a_hostile_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(OsStr::from_bytes(b"a\"b\n\xff\x1b[2J"));
    let sleep = ["/usr/bin/sleep", "/bin/sleep"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    // By a process that ends: a program that a fork of ours still has open for writing cannot be
    // executed.
    let copied = Command::new("cp").arg(sleep.unwrap()).arg(&path).status();
    assert!(copied.unwrap().success());
    let running = Running::spawn(Command::new(&path).arg("1000"));
    let comm = "a\"b\n\u{fffd}\u{1b}[2J";
    let mut processes = real();
    let process = (0..10_000)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(1));
            processes.refresh(&running.task(comm))
        })
        .find(|process| {
            process
                .cmdline
                .as_deref()
                .is_some_and(|cmdline| cmdline.ends_with("1000"))
        });
    let process = process.expect("the program to run");
    let safe = "a\"b\\n\u{fffd}\\u{1b}[2J";
    assert_eq!((&*process.name, &*process.comm), (safe, safe));
    assert!(
        process.exe.as_deref().unwrap().ends_with(safe),
        "{process:?}"
    );
}

#[test]
fn a_process_that_is_gone_is_known_by_its_sighting() {
    let dir = tempfile::tempdir().unwrap();
    let mut processes = Processes::new(dir.path().to_owned(), 8);
    let sighting = |exe_name: &[u8], arguments: &[u8]| Sighting {
        task: task(7, START, "main"),
        exe_name: exe_name.to_vec(),
        arguments: arguments.to_vec(),
    };
    processes.observe(&sighting(b"", b""));
    let process = processes.get(&task(7, START, "main"));
    assert_eq!((&*process.name, &process.cmdline), ("main", &None));

    processes.observe(&sighting(b"cu\nrl", b"cu\nrl\0http://x\0"));
    let process = processes.get(&task(7, START, "main"));
    assert_eq!(&*process.name, "cu\\nrl");
    assert_eq!(process.cmdline.as_deref(), Some("cu\\nrl http://x"));
    assert_eq!((&*process.comm, &process.exe), ("main", &None));
}
