use super::*;

#[test]
fn tasks() {
    let mut record = ResetRecord {
        owner: task_of(100, known_by::ACCEPT),
        closer: task_of(0, known_by::CURRENT),
        ..record()
    };
    let seen = decoded(&record);
    let owner = seen.owner.unwrap();
    assert_eq!(
        (owner.pid, owner.tid, owner.cgroup, &*owner.comm),
        (100, 101, 9, "nginx")
    );
    assert_eq!((owner.known_by, owner.exit), (Some(KnownBy::Accept), None));
    assert_eq!(seen.closer, None);

    record.owner = task_of(100, known_by::NOBODY);
    record.closer = task_of(200, known_by::NOBODY);
    let seen = decoded(&record);
    assert_eq!(seen.owner, None);
    assert_eq!(seen.closer.unwrap().known_by, None);

    record.owner = task_of(100, known_by::EARLIER_RESET);
    assert_eq!(
        decoded(&record).owner.unwrap().known_by,
        Some(KnownBy::EarlierReset)
    );
}

#[test]
fn exits() {
    let table = [
        (9, Exit::Signal(9)),
        (0x80 | 0x0b, Exit::Signal(11)),
        (3 << 8, Exit::Status(3)),
        (0, Exit::Status(0)),
        (u32::MAX, Exit::Signal(127)),
    ];
    for (code, expected) in table {
        assert_eq!(exit(code, false), expected, "{code:#x}");
        let mut record = ResetRecord {
            closer: task_of(5, known_by::CURRENT),
            ..record()
        };
        record.closer.exit_code = code;
        assert_eq!(decoded(&record).closer.unwrap().exit, None, "not exiting");
        record.closer.flags = task_flag::EXITING;
        assert_eq!(decoded(&record).closer.unwrap().exit, Some(expected));
    }
}

#[test]
fn only_a_victim_killed_by_the_kernel_ran_out_of_memory() {
    use task_flag::{EXITING, OOM_VICTIM};
    for (code, flags, expected) in [
        (9, EXITING | OOM_VICTIM, Some(Exit::OutOfMemory)),
        (9, EXITING, Some(Exit::Signal(9))),
        // Chosen while it was dying of something else.
        (15, EXITING | OOM_VICTIM, Some(Exit::Signal(15))),
        (3 << 8, EXITING | OOM_VICTIM, Some(Exit::Status(3))),
        (9, OOM_VICTIM, None),
    ] {
        let mut record = ResetRecord {
            closer: task_of(5, known_by::CURRENT),
            ..record()
        };
        (record.closer.exit_code, record.closer.flags) = (code, flags);
        let exit = decoded(&record).closer.unwrap().exit;
        assert_eq!(exit, expected, "{code:#x} {flags}");
    }
}

#[test]
fn a_process() {
    let record = ProcessRecord {
        kind: kind::PROCESS,
        size: 384,
        time_ns: 5_000,
        task: task_of(12, known_by::ACCEPT),
        exe_name: padded(b"nginx"),
        arguments: padded(b"nginx\0-c\0\0"),
    };
    let Record::Process { time, sighting } = decode(&bytes(&record), TICK, name).unwrap() else {
        panic!("not a process")
    };
    assert_eq!(
        (time, sighting.task.pid, sighting.task.known_by),
        (Duration::from_micros(5), 12, None)
    );
    assert_eq!(sighting.exe_name, b"nginx");
    assert_eq!(sighting.arguments, b"nginx\0-c");

    let full = ProcessRecord {
        exe_name: [b'x'; EXE_NAME],
        arguments: [b'y'; ARGUMENTS],
        ..record
    };
    let Record::Process { sighting, .. } = decode(&bytes(&full), TICK, name).unwrap() else {
        panic!("not a process")
    };
    assert_eq!(
        (sighting.exe_name.len(), sighting.arguments.len()),
        (EXE_NAME, ARGUMENTS)
    );
}

/// The text at the start of zeros.
fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes[..text.len()].copy_from_slice(text);
    bytes
}
