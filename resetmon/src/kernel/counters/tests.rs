use super::*;

const SNMP: &str = include_str!("../../../tests/fixtures/proc-net/linux-6.18.snmp");
const NETSTAT: &str = include_str!("../../../tests/fixtures/proc-net/linux-6.18.netstat");

fn values(counters: &TcpCounters) -> Vec<(&'static str, Option<u64>)> {
    Counter::ALL
        .map(|counter| (counter.name(), counters.get(counter)))
        .into()
}

#[test]
fn real_files() {
    let counters = TcpCounters::parse(SNMP, NETSTAT);
    assert_eq!(
        values(&counters),
        [
            ("OutRsts", Some(174)),
            ("EstabResets", Some(159)),
            ("AttemptFails", Some(19)),
            ("TCPAbortOnData", Some(15)),
            ("TCPAbortOnClose", Some(125)),
            ("TCPAbortOnMemory", Some(0)),
            ("TCPAbortOnTimeout", Some(0)),
            ("TCPAbortOnLinger", Some(0)),
            ("TCPAbortFailed", Some(0)),
            ("EmbryonicRsts", Some(0)),
            ("ListenOverflows", Some(0)),
            ("ListenDrops", Some(0)),
            ("TCPChallengeACK", Some(0)),
        ]
    );
}

#[test]
fn counters_are_told_apart_by_their_index() {
    for (index, counter) in Counter::ALL.into_iter().enumerate() {
        assert_eq!(counter as usize, index, "{}", counter.name());
        let found = Counter::from_column(counter.group(), counter.name());
        assert_eq!(found, Some(counter));
    }
}

#[test]
fn columns_are_found_by_name_alone() {
    let out_rsts = |value| vec![("OutRsts", value)];
    for (snmp, netstat, expected) in [
        // Another order, and columns of a kernel to come.
        (
            "Tcp: New OutRsts MaxConn EstabResets\nTcp: 9 7 -1 8\n",
            "",
            vec![("OutRsts", 7), ("EstabResets", 8)],
        ),
        // The largest value that the kernel can print.
        (
            "Tcp: OutRsts\nTcp: 18446744073709551615\n",
            "",
            out_rsts(u64::MAX),
        ),
        // Fewer values than columns, and more.
        (
            "Tcp: OutRsts EstabResets\nTcp: 7\n",
            "TcpExt: ListenDrops\nTcpExt: 5 6\n",
            vec![("OutRsts", 7), ("ListenDrops", 5)],
        ),
        // Values that are none.
        (
            "Tcp: OutRsts EstabResets AttemptFails\nTcp: -1 18446744073709551616 x\n",
            "",
            vec![],
        ),
        // A column twice, a group twice.
        (
            "Tcp: OutRsts OutRsts\nTcp: 7 8\nTcp: OutRsts\nTcp: 9\n",
            "",
            out_rsts(7),
        ),
        // The name in another group, and names that only begin alike.
        (
            "TcpExt: OutRsts\nTcpExt: 1\nUdp: OutRsts\nUdp: 2\nTcp: OutRstsX OutRst\nTcp: 3 4\n",
            "IpExt: ListenDrops\nIpExt: 5\nTcp: ListenDrops\nTcp: 6\n",
            vec![],
        ),
        // A header whose values are missing does not take those of the next group.
        (
            "Tcp: OutRsts\nUdp: OutRsts\nUdp: 4\nTcp: OutRsts\nTcp: 7\n",
            "",
            out_rsts(7),
        ),
        // Both groups in one file, whichever it is.
        (
            "",
            "Tcp: OutRsts\nTcp: 7\nTcpExt: TCPAbortFailed\nTcpExt: 2\n",
            vec![("OutRsts", 7), ("TCPAbortFailed", 2)],
        ),
        ("", "", vec![]),
        ("\n\n", "Tcp:\nTcp:\n", vec![]),
        ("Tcp: \nTcp: \n", "Tcp:\n", vec![]),
    ] {
        let counters = TcpCounters::parse(snmp, netstat);
        let found: Vec<_> = values(&counters)
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        assert_eq!(found, expected, "{snmp}{netstat}");
    }
}

#[test]
fn a_text_cut_off_yields_fewer_counters_but_no_wrong_ones() {
    let whole = TcpCounters::parse(SNMP, NETSTAT);
    for (text, other) in [(SNMP, ""), (NETSTAT, SNMP)] {
        let mut before = 0;
        for end in 0..=text.len() {
            let found = TcpCounters::parse(&text[..end], other);
            for counter in Counter::ALL {
                let value = found.get(counter);
                assert!(
                    value.is_none() || value == whole.get(counter),
                    "{} at {end}",
                    counter.name()
                );
            }
            let count = values(&found).iter().filter(|(_, v)| v.is_some()).count();
            assert!(count >= before, "at {end}");
            before = count;
        }
        assert!(before > 2);
    }
}

#[test]
fn a_byte_changed_does_no_harm() {
    for text in [SNMP, NETSTAT] {
        for at in (0..text.len()).step_by(3) {
            for byte in [b'\n', b' ', b'-', 0] {
                let mut changed = text.as_bytes().to_vec();
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                let found = TcpCounters::parse(&changed, "");
                // The other group is never touched.
                let other = if text == SNMP {
                    Counter::ListenDrops
                } else {
                    Counter::OutRsts
                };
                assert_eq!(found.get(other), None, "{at}");
            }
        }
    }
}
