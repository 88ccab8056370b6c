use std::cell::Cell;

use gateway_ebpf_common::event::{ARGUMENTS, EXE_NAME};

use super::*;

mod tasks;

const TICK: Duration = Duration::from_millis(4);

fn task_of(pid: u32, by: u8) -> event::Task {
    let mut comm = [0; 16];
    comm[..5].copy_from_slice(b"nginx");
    event::Task {
        pid,
        tid: pid + 1,
        start_ns: 7,
        cgroup: 9,
        comm,
        known_by: by,
        ..Default::default()
    }
}

/// A sent reset of an established connection, v4.
fn record() -> ResetRecord {
    // SAFETY: Wire types take any bytes.
    let mut record: ResetRecord = unsafe { std::mem::zeroed() };
    record.kind = kind::RESET;
    record.size = size_of::<ResetRecord>().try_into().unwrap();
    record.time_ns = 10_000_000_000;
    record.direction = direction::SENT;
    record.ip_version = 4;
    record.shape = shape::FULL;
    record.reason = REASON_ABSENT;
    record.state = 7;
    record.state_before = 1;
    record.flags = flag::STATE_SEEN | flag::VITALS;
    record.local_addr[0] = u32::from_ne_bytes([10, 0, 0, 1]);
    record.remote_addr[0] = u32::from_ne_bytes([10, 0, 0, 2]);
    record.local_port = 80;
    record.remote_port = 40000;
    record
}

fn bytes<T: Wire>(record: &T) -> Vec<u8> {
    // SAFETY: Wire types have no padding.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast(), size_of::<T>()) }
        .to_vec()
}

fn name(number: u32) -> Reason {
    Reason(format!("reason_{number}").into())
}

fn decoded(record: &ResetRecord) -> Observation {
    match decode(&bytes(record), TICK, name) {
        Ok(Record::Reset(observation)) => observation,
        other => panic!("{other:?}"),
    }
}

fn words(address: &str) -> [u32; 4] {
    let octets = address.parse::<Ipv6Addr>().unwrap().octets();
    std::array::from_fn(|i| u32::from_ne_bytes(octets[4 * i..4 * i + 4].try_into().unwrap()))
}

#[test]
fn sizes_must_fit() {
    let process = ProcessRecord {
        kind: kind::PROCESS,
        size: 384,
        time_ns: 5,
        task: task_of(1, known_by::NOBODY),
        exe_name: [0; EXE_NAME],
        arguments: [0; ARGUMENTS],
    };
    for full in [bytes(&record()), bytes(&process)] {
        assert!(decode(&full, TICK, name).is_ok());
        for len in 0..full.len() {
            let error = decode(&full[..len], TICK, name).unwrap_err();
            assert!(
                matches!(error, DecodeError::Truncated { have, .. } if have == len),
                "{error}"
            );
        }
        let mut long = full.clone();
        long.push(0);
        let error = decode(&long, TICK, name).unwrap_err();
        assert!(
            matches!(error, DecodeError::Oversized { have, need, .. }
                if have == need + 1 && need == full.len()),
            "{error}"
        );
    }
    let mut other_build = record();
    other_build.size -= 8;
    assert_eq!(
        decode(&bytes(&other_build), TICK, name),
        Err(DecodeError::SizeMismatch {
            kind: 1,
            said: other_build.size,
            need: size_of::<ResetRecord>()
        })
    );
}

#[test]
fn bad_values_are_named() {
    type Change = fn(&mut ResetRecord);
    let set: [(Change, &str); 10] = [
        (|r| r.kind = 77, "unknown kind 77"),
        (|r| r.direction = 0, "direction 0"),
        (|r| r.direction = 3, "direction 3"),
        (|r| r.ip_version = 0, "ip_version 0"),
        (|r| r.ip_version = 5, "ip_version 5"),
        (|r| r.shape = 4, "shape 4"),
        (|r| r.role = 3, "role 3"),
        (|r| r.hook = 4, "hook 4"),
        (|r| r.owner.known_by = 11, "owner.known_by 11"),
        (|r| r.closer.known_by = 255, "closer.known_by 255"),
    ];
    for (change, text) in set {
        let mut record = record();
        change(&mut record);
        let error = decode(&bytes(&record), TICK, name).unwrap_err().to_string();
        assert!(error.contains(text), "{error} lacks {text}");
    }
}

#[test]
fn any_bytes_are_borne() {
    // xorshift64: reproducible noise.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let (mut good, mut refused) = (0, 0);
    for round in 0..20_000 {
        let mut record = record();
        let mut noise = bytes(&record);
        for byte in noise.iter_mut().skip(8) {
            *byte = next().to_le_bytes()[3];
        }
        if round % 2 == 0 {
            // Past the checks of enumerations, so that the arithmetic sees the noise.
            // SAFETY: `noise` has the size of the record, which takes any bytes.
            record = unsafe { noise.as_ptr().cast::<ResetRecord>().read_unaligned() };
            record.direction = 1 + record.direction % 2;
            record.ip_version = 4 + record.ip_version % 2 * 2;
            record.shape %= 4;
            record.role %= 3;
            record.hook %= 4;
            record.owner.known_by %= 11;
            record.closer.known_by %= 11;
            noise = bytes(&record);
        }
        match decode(&noise, TICK, name) {
            Ok(_) => good += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(
        good >= 10_000 && refused > 0,
        "{good} good, {refused} refused"
    );
}

#[test]
fn addresses() {
    let table = [
        (4, [u32::from_ne_bytes([10, 1, 2, 3]), 0, 0, 0], "10.1.2.3"),
        (4, words("::ffff:10.1.2.3"), "10.1.2.3"),
        (4, [0; 4], "0.0.0.0"),
        (6, words("2001:db8::1"), "2001:db8::1"),
        (6, words("::1"), "::1"),
    ];
    for (version, remote, text) in table {
        let record = ResetRecord {
            ip_version: version,
            remote_addr: remote,
            ..record()
        };
        assert_eq!(
            decoded(&record).remote,
            SocketAddr::new(text.parse().unwrap(), 40000)
        );
    }
    assert_eq!(decoded(&record()).local.to_string(), "10.0.0.1:80");
}

#[test]
fn times() {
    let mut record = ResetRecord {
        established_ns: 9_000_000_000,
        fin_received_ns: 10_000_000_001,
        ticks_since_data_in: 25,
        ticks_since_data_out: NEVER,
        ticks_since_ack_in: NEVER - 1,
        ..record()
    };
    let seen = decoded(&record);
    assert_eq!(seen.time, Duration::from_secs(10));
    assert_eq!(seen.age, Some(Duration::from_secs(1)));
    assert_eq!(seen.since_opened, None);
    assert_eq!(
        seen.since_fin_received,
        Some(Duration::ZERO),
        "after the event: saturated"
    );
    assert_eq!(seen.since_data_in, Some(Duration::from_millis(100)));
    assert_eq!(seen.since_data_out, None);
    assert_eq!(seen.since_ack_in, Some(TICK * (NEVER - 1)));

    record.flags &= !flag::VITALS;
    record.linger2 = -1;
    let without = decoded(&record);
    assert_eq!((without.vitals, without.since_data_in), (None, None));
    assert!(!without.linger2_abort);
}

#[test]
fn reasons_only_where_the_kernel_gave_one() {
    let asked = Cell::new(0);
    let ask = |number| {
        asked.set(asked.get() + 1);
        name(number)
    };
    let table = [
        (direction::SENT, 11, Some("reason_11")),
        (direction::SENT, REASON_ABSENT, None),
        (direction::RECEIVED, 11, None),
    ];
    for (direction, reason, expected) in table {
        let record = ResetRecord {
            direction,
            reason,
            ..record()
        };
        let Record::Reset(seen) = decode(&bytes(&record), TICK, ask).unwrap() else {
            panic!()
        };
        assert_eq!(seen.reason.as_ref().map(Reason::name), expected);
    }
    assert_eq!(asked.get(), 1);
}

#[test]
fn states() {
    let table = [
        // event, before, seen → before
        (7, 1, true, Some(TcpState::Established)),
        (7, 1, false, None),
        (5, 5, false, Some(TcpState::FinWait2)),
        (5, 0, false, Some(TcpState::FinWait2)),
        (0, 0, true, None),
        (1, 13, true, None),
    ];
    for (state, state_before, seen, expected) in table {
        let mut record = ResetRecord {
            state,
            state_before,
            ..record()
        };
        if !seen {
            record.flags &= !flag::STATE_SEEN;
        }
        assert_eq!(
            decoded(&record).state_before,
            expected,
            "{state} {state_before} {seen}"
        );
    }
}

#[test]
fn fins_and_what_they_count() {
    let base = ResetRecord {
        bytes_received: 101,
        bytes_acked: 202,
        unread: 51,
        unacked: 31,
        role: role::CLIENT,
        ..record()
    };
    // state before → FIN received, FIN sent; bytes in, acked, unread, unacked
    let table = [
        (1, false, false, 101, 201, 51, 31),
        (2, false, false, 101, 201, 51, 30),
        (4, false, true, 101, 201, 51, 30),
        (5, false, true, 101, 200, 51, 31),
        (6, false, true, 101, 200, 51, 31),
        (8, true, false, 100, 201, 50, 31),
        (9, true, true, 100, 201, 50, 30),
        (11, true, true, 100, 201, 50, 30),
    ];
    for (state_before, received, sent, bytes_in, acked, unread, unacked) in table {
        let seen = decoded(&ResetRecord {
            state_before,
            ..base
        });
        let vitals = seen.vitals.unwrap();
        assert_eq!(
            (seen.fin_received, seen.fin_sent),
            (received, sent),
            "state {state_before}"
        );
        assert_eq!(
            (
                vitals.bytes_received,
                vitals.bytes_acked,
                vitals.unread,
                vitals.unacked
            ),
            (bytes_in, acked, unread, unacked),
            "state {state_before}"
        );
    }

    let done = decoded(&ResetRecord {
        flags: base.flags | flag::DONE,
        ..base
    });
    assert!(done.fin_received);
    assert_eq!(done.vitals.unwrap().bytes_received, 100);
    let moments = decoded(&ResetRecord {
        fin_received_ns: 1,
        fin_sent_ns: 1,
        ..base
    });
    assert!(moments.fin_received && moments.fin_sent);

    for role in [role::UNKNOWN, role::SERVER] {
        let seen = decoded(&ResetRecord { role, ..base });
        assert_eq!(
            seen.vitals.unwrap().bytes_acked,
            202,
            "no SYN of ours is counted"
        );
    }
    let empty = ResetRecord {
        state_before: 9,
        bytes_received: 0,
        unread: 0,
        unacked: 0,
        ..base
    };
    let vitals = decoded(&empty).vitals.unwrap();
    assert_eq!(
        (vitals.bytes_received, vitals.unread, vitals.unacked),
        (0, 0, 0)
    );
}

#[test]
fn a_packet_filter_is_told_for_sent_resets_only() {
    for (hook, flags, direction, expected) in [
        (1, flag::FIREWALL, direction::SENT, Some(Hook::Input)),
        (2, flag::FIREWALL, direction::SENT, Some(Hook::Forward)),
        (3, flag::FIREWALL, direction::SENT, Some(Hook::Output)),
        (0, flag::FIREWALL, direction::SENT, None),
        (1, 0, direction::SENT, None),
        (1, flag::FIREWALL, direction::RECEIVED, None),
    ] {
        let found = decoded(&ResetRecord {
            hook,
            flags,
            direction,
            ..record()
        });
        assert_eq!(found.firewall, expected, "{hook} {flags} {direction}");
    }
}

#[test]
fn names_are_text() {
    let table: [(&[u8; 16], &str); 6] = [
        (b"nginx\0\0\0\0\0\0\0\0\0\0\0", "nginx"),
        (b"nginx\0garbage\0\0\0", "nginx"),
        (b"0123456789abcdef", "0123456789abcdef"),
        (b"a\x1b[2J\n\"\0\0\0\0\0\0\0\0\0", "a\\u{1b}[2J\\n\""),
        (b"\xff\xc2\x9b\0\0\0\0\0\0\0\0\0\0\0\0\0", "\u{fffd}\\u{9b}"),
        (&[0; 16], ""),
    ];
    for (bytes, expected) in table {
        assert_eq!(comm(bytes), expected);
    }
}

#[test]
fn details_of_a_socket() {
    let full = decoded(&ResetRecord {
        cookie: 77,
        uid: 33,
        linger_ticks: 250,
        linger2: -1,
        srtt_us: 1500,
        shutdown: 2,
        trigger_flags: 18,
        trigger_len: 9,
        flags: flag::VITALS | flag::LINGER | flag::TRIGGERED | flag::RETRACTS | flag::PROVISIONAL,
        ..record()
    });
    assert_eq!(
        (full.cookie, full.uid, full.accept_queue),
        (Some(77), Some(33), None)
    );
    assert_eq!(full.linger, Some(Duration::from_secs(1)));
    assert!(full.linger2_abort && full.flags.send_shut && !full.flags.receive_shut);
    assert!(
        full.retracts && !full.provisional,
        "a sent reset retracts, it is never provisional"
    );
    assert_eq!(full.vitals.unwrap().srtt, Some(Duration::from_micros(1500)));
    let trigger = full.trigger.unwrap();
    assert!(trigger.syn() && trigger.ack_flag() && trigger.len == 9);

    let bare = decoded(&ResetRecord {
        direction: direction::RECEIVED,
        flags: flag::PROVISIONAL | flag::RETRACTS,
        ..record()
    });
    assert!(bare.provisional && !bare.retracts);
    assert_eq!((bare.cookie, bare.linger, bare.trigger), (None, None, None));

    let listening = ResetRecord {
        state: 10,
        accept_queue: 5,
        accept_limit: 4,
        flags: 0,
        ..record()
    };
    assert_eq!(decoded(&listening).accept_queue, Some((5, 4)));
    let none = ResetRecord {
        shape: shape::NONE,
        state: 0,
        uid: 1,
        flags: 0,
        ..record()
    };
    assert_eq!(
        (decoded(&none).uid, decoded(&none).state_before),
        (None, None)
    );
}
