use std::os::unix::fs::symlink;

use super::super::Counter;
use super::*;

/// A process file system whose files are plain ones.
struct FakeProc(tempfile::TempDir);

impl FakeProc {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn process(&self, pid: &str, link: &str, out_rsts: u64) {
        let process = self.0.path().join(pid);
        fs::create_dir_all(process.join("net")).unwrap();
        fs::create_dir_all(process.join("ns")).unwrap();
        symlink(link, process.join("ns/net")).unwrap();
        self.count(pid, out_rsts);
    }

    fn count(&self, pid: &str, out_rsts: u64) {
        let net = self.0.path().join(pid).join("net");
        let snmp = format!("Tcp: OutRsts\nTcp: {out_rsts}\n");
        fs::write(net.join("snmp"), snmp).unwrap();
        fs::write(net.join("netstat"), "TcpExt: TCPAbortFailed\nTcpExt: 2\n").unwrap();
    }

    fn namespaces(&self, limit: usize) -> Namespaces {
        Namespaces::new(self.0.path().to_owned(), limit)
    }
}

fn out_rsts(readings: &Readings) -> Vec<(u32, Option<u64>)> {
    let value = |reading: &Reading| reading.counters?.get(Counter::OutRsts);
    readings
        .namespaces
        .iter()
        .map(|reading| (reading.inode, value(reading)))
        .collect()
}

#[test]
fn each_namespace_is_read_once_whoever_lives_in_it() {
    let proc = FakeProc::new();
    proc.process("1", "net:[10]", 5);
    proc.process("2", "net:[10]", 5);
    proc.process("33", "net:[20]", 7);
    // No processes, and none with a namespace.
    proc.process("self", "net:[30]", 1);
    proc.process("4x", "net:[40]", 1);
    for (pid, link) in [("5", "net:[]"), ("6", "net:[x]"), ("7", "mnt:[50]")] {
        proc.process(pid, link, 1);
    }
    fs::create_dir(proc.0.path().join("8")).unwrap();
    let mut namespaces = proc.namespaces(10);
    assert_eq!(namespaces.read(), Readings::default());
    namespaces.discover().unwrap();
    let first = namespaces.read();
    assert_eq!(out_rsts(&first), [(10, Some(5)), (20, Some(7))]);
    assert_eq!((first.left_out, first.hidden), (0, 0));
    let counters = first.namespaces[0].counters.unwrap();
    assert_eq!(counters.get(Counter::AbortFailed), Some(2));

    proc.count("33", 9);
    namespaces.discover().unwrap();
    let second = namespaces.read();
    assert_eq!(out_rsts(&second), [(10, Some(5)), (20, Some(9))]);
    let ids = |readings: &Readings| readings.namespaces.iter().map(|r| r.id).collect::<Vec<_>>();
    assert_eq!(ids(&first), ids(&second));

    let one = BTreeSet::from([first.namespaces[1].id, NamespaceId(99)]);
    let again = namespaces.read_again(&one);
    assert_eq!(again, [second.namespaces[1]]);
}

#[test]
fn what_is_beyond_the_limit_is_counted() {
    let proc = FakeProc::new();
    for (pid, link) in [("1", "net:[10]"), ("2", "net:[20]"), ("3", "net:[20]")] {
        proc.process(pid, link, 1);
    }
    for (limit, read, left_out) in [(0, 0, 2), (1, 1, 1), (2, 2, 0)] {
        let mut namespaces = proc.namespaces(limit);
        namespaces.discover().unwrap();
        let readings = namespaces.read();
        assert_eq!(readings.namespaces.len(), read, "{limit}");
        assert_eq!(readings.left_out, left_out, "{limit}");
    }
}

#[test]
fn counters_that_cannot_be_read_do_not_end_a_namespace() {
    let proc = FakeProc::new();
    proc.process("1", "net:[10]", 5);
    let snmp = proc.0.path().join("1/net/snmp");
    fs::write(&snmp, b"Tcp: OutRsts\nTcp: \xff\n").unwrap();
    let mut namespaces = proc.namespaces(10);
    namespaces.discover().unwrap();
    assert_eq!(out_rsts(&namespaces.read()), [(10, None)]);
    proc.count("1", 6);
    assert_eq!(out_rsts(&namespaces.read()), [(10, Some(6))]);
}

#[test]
fn without_processes_to_list_there_is_an_error() {
    let proc = FakeProc::new();
    let mut namespaces = Namespaces::new(proc.0.path().join("absent"), 1);
    let error = namespaces.discover().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn this_process_has_a_namespace_with_counters() {
    let inode = inode_of(Path::new("/proc/self")).unwrap().unwrap();
    let mut namespaces = Namespaces::new(PathBuf::from("/proc"), 1024);
    namespaces.discover().unwrap();
    let readings = namespaces.read();
    let own = readings.namespaces.iter().find(|r| r.inode == inode);
    let counters = own.unwrap().counters.unwrap();
    for counter in Counter::ALL {
        assert!(counters.get(counter).is_some(), "{}", counter.name());
    }
}
