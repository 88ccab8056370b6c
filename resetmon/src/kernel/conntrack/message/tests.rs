use super::*;

fn tuple(source: &str, destination: &str) -> Tuple {
    Tuple::new(source.parse().unwrap(), destination.parse().unwrap())
}

/// An attribute with its padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn nested(kind: u16, parts: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | 0x8000, &parts.concat())
}

/// `CTA_TUPLE_ORIG` (1) or `CTA_TUPLE_REPLY` (2), as the kernel writes them.
fn direction(kind: u16, tuple: Tuple, protocol: u8) -> Vec<u8> {
    let address = |kind: u16, address: IpAddr| match address {
        IpAddr::V4(ip) => attribute(kind, &ip.octets()),
        IpAddr::V6(ip) => attribute(kind + 2, &ip.octets()),
    };
    let (from, to) = (tuple.source, tuple.destination);
    nested(
        kind,
        &[
            nested(1, &[address(1, from.ip()), address(2, to.ip())]),
            nested(
                2,
                &[
                    attribute(1, &[protocol]),
                    attribute(2, &from.port().to_be_bytes()),
                    attribute(3, &to.port().to_be_bytes()),
                ],
            ),
        ],
    )
}

/// A whole message: type, sequence number, family and what follows.
fn whole(kind: u16, sequence: u32, family: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let body = [vec![family, 0, 0, 0], parts.concat()].concat();
    raw(kind, sequence, &body)
}

fn raw(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + body.len()).unwrap();
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

/// `IPCTNL_MSG_CT_NEW` of `NFNL_SUBSYS_CTNETLINK`.
const ENTRY: u16 = 1 << 8;
const GET: u16 = ENTRY | 1;
const ERROR: u16 = 2;
const TCP: u8 = 6;

#[test]
fn the_question_is_what_the_kernel_reads() {
    for (family, source, destination) in [
        (2, "10.0.0.5:50000", "198.51.100.1:80"),
        (10, "[2001:db8::5]:50000", "[2001:db8::1]:443"),
    ] {
        let tuple = tuple(source, destination);
        let mut expected = whole(GET, 7, family, &[direction(1, tuple, TCP)]);
        // NLM_F_REQUEST
        expected[6] = 1;
        assert_eq!(request(tuple, 7), expected);
    }
}

#[test]
fn what_the_kernel_says() {
    let (asked, backend) = (
        tuple("10.0.0.5:50000", "198.51.100.1:80"),
        tuple("10.0.0.9:7000", "10.0.0.5:50000"),
    );
    let both = |original, reply| vec![direction(1, original, TCP), direction(2, reply, TCP)];
    let answer_to = |bytes: &[u8]| answer(bytes, asked, 7);
    let translated = whole(ENTRY, 7, 2, &both(asked, backend));
    let leaving = Tuple {
        source: backend.destination,
        destination: backend.source,
    };
    assert_eq!(answer_to(&translated), Ok(Answer::Leaving(leaving)));

    // Not translated at all, and its source translated, too.
    let straight = tuple("198.51.100.1:80", "10.0.0.5:50000");
    let bytes = whole(ENTRY, 7, 2, &both(asked, straight));
    assert_eq!(answer_to(&bytes), Ok(Answer::Leaving(asked)));
    let masked = tuple("10.0.0.9:7000", "192.0.2.1:1024");
    let bytes = whole(ENTRY, 7, 2, &both(asked, masked));
    let expected = tuple("192.0.2.1:1024", "10.0.0.9:7000");
    assert_eq!(answer_to(&bytes), Ok(Answer::Leaving(expected)));

    // Another connection, whose answers come as what was asked for.
    let bytes = whole(ENTRY, 7, 2, &both(backend, asked));
    assert_eq!(answer_to(&bytes), Ok(Answer::Unknown));
    // The answer to another question.
    let bytes = whole(ENTRY, 6, 2, &both(asked, backend));
    assert_eq!(answer_to(&bytes), Ok(Answer::Other));

    let error = |number: i32| {
        let body = [&(-number).to_ne_bytes()[..], &request(asked, 7)[..16]].concat();
        raw(ERROR, 7, &body)
    };
    assert_eq!(answer_to(&error(libc::ENOENT)), Ok(Answer::Unknown));
    assert_eq!(
        answer_to(&error(libc::EPERM)),
        Ok(Answer::Refused(Errno::PERM))
    );
    assert_eq!(answer_to(&error(0)), Ok(Answer::Other));
}

#[test]
fn entries_without_whole_addresses_are_errors() {
    let asked = tuple("10.0.0.5:50000", "198.51.100.1:80");
    let reply = tuple("10.0.0.9:7000", "10.0.0.5:50000");
    let original = direction(1, asked, TCP);
    let udp = 17;
    for (what, parts) in [
        ("no attribute", vec![]),
        ("no answers", vec![original.clone()]),
        ("UDP", vec![original.clone(), direction(2, reply, udp)]),
        (
            "no ports",
            vec![original.clone(), nested(2, &[nested(1, &[])])],
        ),
    ] {
        let bytes = whole(ENTRY, 7, 2, &parts);
        assert!(answer(&bytes, asked, 7).is_err(), "{what}");
    }
    let mixed = Tuple {
        source: "[::1]:1".parse().unwrap(),
        ..reply
    };
    let bytes = whole(ENTRY, 7, 2, &[original.clone(), direction(2, mixed, TCP)]);
    assert!(answer(&bytes, asked, 7).is_err());

    // Cut off anywhere, it is never an answer.
    let bytes = whole(ENTRY, 7, 2, &[original, direction(2, reply, TCP)]);
    for length in 0..bytes.len() {
        let cut = answer(&bytes[..length], asked, 7);
        assert!(!matches!(cut, Ok(Answer::Leaving(_))), "{length}");
    }
}
