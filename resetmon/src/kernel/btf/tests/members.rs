//! Members by path, on structs made for it.

use super::*;

/// A struct with everything that a path may lead through.
fn nested() -> Btf {
    parsed(|b| {
        let int = b.int("int", 4);
        let short = b.int("short", 2);
        let long = b.int("long", 8);
        let ch = b.int("char", 1);
        let comm = b.raw("", kind::ARRAY << 24, 0, &[ch, int, 16]);
        let matrix = b.raw("", kind::ARRAY << 24, 0, &[comm, int, 4]);
        let lock = b.composite(
            kind::STRUCT,
            "",
            8,
            &[("slock", int, 0), ("owned", int, 32)],
        );
        let lock = b.plain(kind::TYPEDEF, "socket_lock_t", lock);
        let lock = b.plain(kind::CONST, "", lock);
        let lock = b.plain(kind::VOLATILE, "", lock);
        let lock = b.plain(kind::TYPE_TAG, "tag", lock);
        let inner = b.composite(kind::STRUCT, "", 8, &[("a", short, 0), ("deep", short, 16)]);
        let either = b.composite(kind::UNION, "", 8, &[("whole", long, 0), ("", inner, 0)]);
        let pointer = b.plain(kind::PTR, "", lock);
        let forward = b.plain(kind::FWD, "elsewhere", 0);
        let target = b.plain(kind::PTR, "", forward);
        let members = [
            ("first", int, 0),
            ("lock", lock, 64),
            ("", either, 128),
            ("pointer", pointer, 192),
            ("comm", comm, 256),
            ("matrix", matrix, 384),
            ("target", target, 896),
            ("nothing", 0, 960),
            ("lost", 999, 1024),
        ];
        b.composite(kind::STRUCT, "outer", 136, &members);
        b.plain(kind::TYPEDEF, "alias", lock);
    })
}

#[test]
fn paths_that_lead_somewhere() {
    let btf = nested();
    let cases = [
        ("outer.first", 0, Some(4)),
        ("outer.lock", 8, Some(8)),
        ("outer.lock.owned", 12, Some(4)),
        ("outer.whole", 16, Some(8)),
        ("outer.a", 16, Some(2)),
        ("outer.deep", 18, Some(2)),
        ("outer.pointer", 24, Some(8)),
        ("outer.comm", 32, Some(16)),
        ("outer.matrix", 48, Some(64)),
        ("outer.target", 112, Some(8)),
        ("outer.nothing", 120, None),
        ("outer.lost", 128, None),
    ];
    for (path, offset, size) in cases {
        assert_eq!(btf.member(path), Ok(Member { offset, size }), "{path}");
        assert_eq!(btf.member_offset(path), Ok(offset), "{path}");
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let btf = nested();
    let malformed = |path: &str| MemberError::Malformed {
        path: path.to_owned(),
    };
    let no_struct = |path: &str, name: &str| MemberError::NoStruct {
        path: path.to_owned(),
        name: name.to_owned(),
    };
    let no_member = |container: &str, member: &str| MemberError::NoMember {
        container: container.to_owned(),
        member: member.to_owned(),
    };
    let not_composite = |path: &str| MemberError::NotComposite {
        path: path.to_owned(),
    };
    let cases = [
        ("", malformed("")),
        ("outer", malformed("outer")),
        ("outer.", malformed("outer.")),
        (".first", malformed(".first")),
        ("outer..first", malformed("outer..first")),
        ("inner.a", no_struct("inner.a", "inner")),
        ("alias.owned", no_struct("alias.owned", "alias")),
        ("elsewhere.a", no_struct("elsewhere.a", "elsewhere")),
        ("oute.first", no_struct("oute.first", "oute")),
        ("outer.firs", no_member("outer", "firs")),
        ("outer.owned", no_member("outer", "owned")),
        ("outer.lock.a", no_member("outer.lock", "a")),
        ("outer.first.a", not_composite("outer.first")),
        ("outer.pointer.owned", not_composite("outer.pointer")),
        ("outer.comm.a", not_composite("outer.comm")),
        ("outer.nothing.a", not_composite("outer.nothing")),
        ("outer.lost.a", not_composite("outer.lost")),
    ];
    for (path, error) in cases {
        assert_eq!(btf.member(path), Err(error), "{path}");
    }
}

#[test]
fn bitfields_told_by_the_member() {
    let btf = parsed(|b| {
        let int = b.int("int", 4);
        let place = |width: u32, offset: u32| width << 24 | offset;
        let members = [
            ("plain", int, place(0, 32)),
            ("flag", int, place(1, 64)),
            ("part", int, place(3, 72)),
            ("byte", int, place(8, 80)),
            ("astride", int, place(8, 92)),
            ("word", int, place(16, 112)),
        ];
        let inner = b.flagged(kind::STRUCT, true, "", 16, &members);
        b.composite(
            kind::STRUCT,
            "s",
            20,
            &[("before", int, 0), ("", inner, 32)],
        );
    });
    let cases = [
        ("s.plain", Some((8, 4))),
        ("s.flag", None),
        ("s.part", None),
        ("s.byte", Some((14, 1))),
        ("s.astride", None),
        ("s.word", Some((18, 2))),
    ];
    for (path, place) in cases {
        let expected = match place {
            Some((offset, size)) => Ok(Member {
                offset,
                size: Some(size),
            }),
            None => Err(MemberError::Bitfield {
                path: path.to_owned(),
            }),
        };
        assert_eq!(btf.member(path), expected, "{path}");
    }
}

#[test]
fn bitfields_told_by_their_type() {
    let btf = parsed(|b| {
        let mut bits =
            |width: u32, shift: u32| b.raw("u32", kind::INT << 24, 4, &[shift << 16 | width]);
        let [whole, one, byte, shifted] = [bits(32, 0), bits(1, 0), bits(8, 0), bits(8, 4)];
        let members = [
            ("whole", whole, 0),
            ("unaligned", whole, 33),
            ("one", one, 64),
            ("byte", byte, 72),
            ("shifted", shifted, 100),
            ("astride", shifted, 104),
        ];
        b.composite(kind::STRUCT, "s", 16, &members);
    });
    let cases = [
        ("s.whole", Some((0, 4))),
        ("s.unaligned", None),
        ("s.one", None),
        ("s.byte", Some((9, 1))),
        ("s.shifted", Some((13, 1))),
        ("s.astride", None),
    ];
    for (path, place) in cases {
        let expected = match place {
            Some((offset, size)) => Ok(Member {
                offset,
                size: Some(size),
            }),
            None => Err(MemberError::Bitfield {
                path: path.to_owned(),
            }),
        };
        assert_eq!(btf.member(path), expected, "{path}");
    }
}

#[test]
fn structs_of_one_name() {
    let btf = parsed(|b| {
        let int = b.int("int", 4);
        b.composite(
            kind::STRUCT,
            "s",
            12,
            &[("same", int, 32), ("moved", int, 0)],
        );
        b.composite(
            kind::STRUCT,
            "s",
            12,
            &[("same", int, 32), ("moved", int, 64), ("only", int, 0)],
        );
        b.enumeration(false, "s", &[]);
    });
    assert_eq!(btf.member_offset("s.same"), Ok(4));
    assert_eq!(btf.member_offset("s.only"), Ok(0));
    let ambiguous = MemberError::Ambiguous {
        path: "s.moved".to_owned(),
        name: "s".to_owned(),
    };
    assert_eq!(btf.member_offset("s.moved"), Err(ambiguous));
    assert!(matches!(
        btf.member_offset("s.none"),
        Err(MemberError::NoMember { .. })
    ));
}

#[test]
fn structs_within_themselves_end() {
    let btf = parsed(|b| {
        // Each holds both without a name, so that a naive search would double at every step.
        b.composite(kind::STRUCT, "s", 8, &[("", 1, 0), ("", 2, 0), ("", 1, 0)]);
        b.composite(
            kind::STRUCT,
            "t",
            16,
            &[("", 2, 0), ("", 1, 0), ("named", 1, 64)],
        );
    });
    assert!(matches!(
        btf.member("s.absent"),
        Err(MemberError::NoMember { .. })
    ));
    assert_eq!(btf.member_offset("t.named"), Ok(8));
}

#[test]
fn members_end_within_their_struct() {
    let btf = parsed(|b| {
        let int = b.int("int", 4);
        let beyond = b.composite(kind::STRUCT, "", 4, &[("deep", int, 8 * 12)]);
        let members = [
            ("last", int, 8 * 12),
            ("half", int, 8 * 14),
            ("after", int, 8 * 16),
            ("far", int, 0xffff_fff8),
            ("end", 0, 8 * 16),
            ("inner", beyond, 8 * 8),
        ];
        b.composite(kind::STRUCT, "outer", 16, &members);
    });
    for (path, offset) in [("outer.last", 12), ("outer.end", 16), ("outer.inner", 8)] {
        assert_eq!(btf.member_offset(path), Ok(offset), "{path}");
    }
    for path in ["outer.half", "outer.after", "outer.far", "outer.inner.deep"] {
        let outside = MemberError::Outside {
            path: path.to_owned(),
        };
        assert_eq!(btf.member(path), Err(outside), "{path}");
    }
}
