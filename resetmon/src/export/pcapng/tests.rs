use std::path::Path;

use pcap_file::pcapng::PcapNgReader;

use super::*;
use crate::export::rotating::Rotation;
use crate::export::sample;

/// A packet as a reader gives it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    interface: String,
    time: Duration,
    bytes: Vec<u8>,
    comments: Vec<String>,
    flags: u32,
}

/// The whole file, by the library's reader.
fn rows(path: &Path) -> Vec<Row> {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = PcapNgReader::new(&*bytes).unwrap();
    let application = SectionHeaderOption::UserApplication(Cow::Borrowed(concat!(
        "resetmon ",
        env!("CARGO_PKG_VERSION")
    )));
    assert_eq!(reader.section().options, [application]);
    let mut rows = Vec::new();
    while let Some(block) = reader.next_block() {
        let Block::EnhancedPacket(packet) = block.unwrap().into_owned() else {
            continue;
        };
        let number = packet.interface_id as usize;
        let interface = &reader.interfaces()[number];
        assert_eq!((interface.linktype, interface.snaplen), (DataLink::RAW, 0));
        let [
            InterfaceDescriptionOption::IfName(name),
            InterfaceDescriptionOption::IfTsResol(9),
        ] = &interface.options[..]
        else {
            panic!("{:?}", interface.options);
        };
        let mut row = Row {
            interface: name.to_string(),
            time: packet.timestamp,
            bytes: packet.data.into_owned(),
            comments: Vec::new(),
            flags: 0,
        };
        for option in packet.options {
            match option {
                EnhancedPacketOption::Comment(text) => row.comments.push(text.into_owned()),
                EnhancedPacketOption::Flags(flags) => row.flags = flags,
                other => panic!("{other:?}"),
            }
        }
        rows.push(row);
    }
    rows
}

fn row(packet: &Packet) -> Row {
    Row {
        interface: format!("netns:{}", packet.netns),
        time: packet.time,
        bytes: packet.bytes.clone(),
        comments: packet.comments.clone(),
        flags: match packet.direction {
            Direction::Received => 1,
            Direction::Sent => 2,
        },
    }
}

/// Packets of several namespaces and both directions, each with a time of its own.
fn packets(count: u32) -> Vec<Packet> {
    let make = |number: u32| {
        let mut reset = sample::received();
        reset.observation.netns = 4_026_531_840 + number % 3;
        if number.is_multiple_of(2) {
            reset.observation.direction = Direction::Sent;
        }
        reset.time += jiff::SignedDuration::from_nanos(i64::from(number));
        // Every length of padding.
        reset.diagnosis.evidence = vec!["x".repeat(number as usize % 5)].into();
        Packet::from(&reset)
    };
    (0..count).map(make).collect()
}

#[test]
fn a_file_says_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.pcapng");
    std::fs::write(&path, "an older file, which is replaced").unwrap();
    let mut file = PcapngFile::begin(Rotating::open(&path, None).unwrap()).unwrap();
    assert_eq!(rows(&path), [], "no packets are a file too");
    let packets = packets(20);
    let taken = file.take(&mut packets.iter().cloned());
    assert_eq!((taken.written, taken.lost), (20, 0));
    let rows = rows(&path);
    assert_eq!(rows, packets.iter().map(row).collect::<Vec<_>>());
    assert_eq!(rows[0].time, Duration::new(1_741_064_767, 123_456_789));
}

#[test]
fn each_file_of_a_rotation_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f.pcapng");
    let rotation = Rotation {
        size: 6000,
        count: 99,
    };
    let mut file = PcapngFile::begin(Rotating::open(&path, Some(rotation)).unwrap()).unwrap();
    let packets = packets(40);
    let taken = file.take(&mut packets.iter().cloned());
    assert_eq!((taken.written, taken.lost), (40, 0));
    let mut files: Vec<_> = (1..99)
        .map(|number| dir.path().join(format!("f.pcapng.{number}")))
        .filter(|path| path.exists())
        .collect();
    assert!(files.len() > 2, "{files:?}");
    files.reverse();
    files.push(path);
    let mut all = Vec::new();
    for path in &files {
        assert!(std::fs::metadata(path).unwrap().len() <= 6000);
        all.extend(rows(path));
    }
    assert_eq!(all, packets.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn what_a_failure_kept_back_comes_before_the_next_packet() {
    let mut encoder = Encoder::new().unwrap();
    let packets = packets(3);
    // The header and the first interface are not in the file: they are given again.
    let lost = encoder.add(&packets[0]).unwrap();
    let bytes = [encoder.add(&packets[0]).unwrap(), {
        encoder.written();
        encoder.add(&packets[1]).unwrap()
    }]
    .concat();
    assert!(bytes.starts_with(&lost));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(rows(&path), [row(&packets[0]), row(&packets[1])]);
}

#[test]
fn a_full_disk_costs_packets_and_says_so() {
    let error = PcapngFile::begin(Rotating::open(Path::new("/dev/full"), None).unwrap());
    assert_eq!(error.err().unwrap().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn times_that_the_format_has_not_are_its_ends() {
    for (time, expected) in [
        (jiff::Timestamp::MIN, Duration::ZERO),
        (jiff::Timestamp::UNIX_EPOCH, Duration::ZERO),
        (jiff::Timestamp::MAX, Duration::from_nanos(u64::MAX)),
    ] {
        let mut reset = sample::received();
        reset.time = time;
        assert_eq!(Packet::from(&reset).time, expected);
    }
}

#[test]
fn comments_name_everything_that_is_known() {
    let mut reset = sample::received();
    reset.twin = Some(sample::twin());
    reset.propagated_from = Some(sample::propagated());
    reset.packets = 3;
    if let Some(owner) = &mut reset.owner {
        let mut process = sample::nginx();
        process.container = Some(sample::named_container());
        owner.process = process.into();
    }
    let text = Packet::from(&reset).comments.join("\n");
    for part in [
        "resetmon: aborted_mid_response, received, sender peer, stage established, id 000000000000002a",
        "\nprocess: nginx[4242], pod shop/web-0, container proxy\n",
        "\nsent by: payd[77], pod shop/web-0, container proxy: closed_with_unread_data, id 0000000000000028\n",
        "\nbecause of: client_canceled on the downstream leg, [2001:db8::9]:50000, id 0000000000000029\n",
        "leg upstream, route /api/pay, upstream payments\n",
        "\npeer: ",
        "\nevidence: ",
        "\nstands for 3 resets of one kind",
        "\nheaders ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
}

#[test]
fn comments_are_bounded_and_printable() {
    let mut reset = sample::received();
    reset.peer = "p\n\u{1b}[31m\u{202e}".repeat(100).into();
    reset.diagnosis.evidence = vec!["fact ".repeat(100); 100].into();
    let comments = Packet::from(&reset).comments;
    assert!(comments.len() < 30, "{}", comments.len());
    for comment in comments {
        assert!(comment.chars().count() <= 230, "{comment:?}");
        assert!(!comment.contains(|letter: char| letter.is_control() || letter == '\u{202e}'));
    }
}
