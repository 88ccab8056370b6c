use super::builder::{Builder, kind};
use super::*;

mod members;

fn parsed(build: impl FnOnce(&mut Builder)) -> Btf {
    let mut builder = Builder::new();
    build(&mut builder);
    Btf::parse(builder.finish()).unwrap()
}

/// Overwrites the 32 bits at an offset.
fn patched(mut data: Vec<u8>, at: usize, word: u32) -> Vec<u8> {
    data[at..at + 4].copy_from_slice(&word.to_ne_bytes());
    data
}

#[test]
fn headers_that_are_not_right() {
    let mut builder = Builder::new();
    builder.int("int", 4);
    let good = builder.finish();
    assert_eq!(Btf::parse(good.clone()).unwrap().type_count(), 2);

    let swapped: Vec<u8> = [&good[1..2], &good[0..1], &good[2..]].concat();
    let mut version = good.clone();
    version[2] = 2;
    let mut unterminated = good.clone();
    *unterminated.last_mut().unwrap() = b'x';
    let length = u32::try_from(good.len()).unwrap();
    let cases = [
        ("empty", Vec::new(), "cut short: its header"),
        ("one byte", good[..1].to_vec(), "cut short: its header"),
        ("ELF", b"\x7fELF\x02\x01\x01\0\0\0\0\0".to_vec(), "not BTF"),
        ("other byte order", swapped, "other byte order"),
        ("version 2", version, "version 2"),
        (
            "short header",
            patched(good.clone(), 4, 23),
            "cut short: its header",
        ),
        (
            "header beyond the end",
            patched(good.clone(), 4, u32::MAX),
            "type section",
        ),
        (
            "types beyond the end",
            patched(good.clone(), 12, length),
            "type section",
        ),
        (
            "strings beyond the end",
            patched(good.clone(), 20, length),
            "string section",
        ),
        (
            "offset beyond the end",
            patched(good.clone(), 16, u32::MAX),
            "string section",
        ),
        ("no strings", patched(good.clone(), 20, 0), "string section"),
        (
            "last string without its end",
            unterminated,
            "string section",
        ),
        (
            "name outside the strings",
            patched(good.clone(), 24, 1000),
            "name lies outside",
        ),
        (
            "struct longer than the section",
            patched(good.clone(), 28, 4 << 24 | 9),
            "beyond the type",
        ),
        ("kind 0", patched(good.clone(), 28, 0), "unknown kind 0"),
        ("kind 20", patched(good, 28, 20 << 24), "unknown kind 20"),
    ];
    for (case, data, says) in cases {
        let error = Btf::parse(data).expect_err(case).to_string();
        assert!(error.contains(says), "{case}: {error}");
    }
}

#[test]
fn every_kind_is_passed_over() {
    let btf = parsed(|b| {
        let int = b.int("int", 4);
        b.plain(kind::PTR, "", int);
        b.raw("", kind::ARRAY << 24, 0, &[int, int, 3]);
        b.composite(kind::STRUCT, "s", 4, &[("m", int, 0)]);
        b.composite(kind::UNION, "u", 4, &[("m", int, 0)]);
        b.enumeration(false, "e", &[("A", 1)]);
        b.plain(kind::FWD, "f", 0);
        b.plain(kind::TYPEDEF, "t", int);
        b.plain(kind::VOLATILE, "", int);
        b.plain(kind::CONST, "", int);
        b.plain(kind::RESTRICT, "", int);
        b.function("function", &[("a", int)]);
        b.raw("v", kind::VAR << 24, int, &[1]);
        b.raw(".data", kind::DATASEC << 24 | 2, 8, &[13, 0, 4, 13, 4, 4]);
        b.plain(kind::FLOAT, "double", 8);
        b.raw("tag", kind::DECL_TAG << 24, 4, &[u32::MAX]);
        b.plain(kind::TYPE_TAG, "user", int);
        b.raw("e64", kind::ENUM64 << 24 | 1, 8, &[0, 1, 2]);
        b.composite(kind::STRUCT, "last", 4, &[("found", int, 0)]);
    });
    assert_eq!(btf.member_offset("last.found"), Ok(0));
    let kinds: Vec<Kind> = (1..btf.type_count())
        .map(|id| btf.record(id).unwrap().kind)
        .collect();
    let expected = [
        Kind::Int,
        Kind::Ptr,
        Kind::Array,
        Kind::Struct,
        Kind::Union,
        Kind::Enum,
        Kind::Fwd,
        Kind::Typedef,
        Kind::Volatile,
        Kind::Const,
        Kind::Restrict,
        Kind::FuncProto,
        Kind::Func,
        Kind::Var,
        Kind::Datasec,
        Kind::Float,
        Kind::DeclTag,
        Kind::TypeTag,
        Kind::Enum64,
        Kind::Struct,
    ];
    assert_eq!(kinds, expected);
    assert!(btf.record(0).is_none());
    assert!(btf.record(btf.type_count()).is_none());
    assert!(btf.record(u32::MAX).is_none());
}

#[test]
fn a_new_kind_is_passed_over_if_the_layout_tells_its_length() {
    let build = || {
        let mut builder = Builder::new();
        // Four bytes, then two elements of eight.
        builder.raw("new", 20 << 24 | 2, 0, &[7, 1, 2, 3, 4]);
        let int = builder.int("int", 4);
        builder.composite(kind::STRUCT, "s", 4, &[("m", int, 0)]);
        builder
    };
    let mut layout = [(0, 0); 21];
    layout[20] = (4, 8);
    let btf = Btf::parse(build().finish_with_layout(&layout)).unwrap();
    assert_eq!(btf.member_offset("s.m"), Ok(0));
    assert_eq!(btf.record(1).unwrap().kind, Kind::Unknown(20));

    for layout in [&layout[..20], &[]] {
        let error = Btf::parse(build().finish_with_layout(layout)).unwrap_err();
        assert!(
            matches!(error, BtfError::UnknownKind { id: 1, kind: 20 }),
            "{error}"
        );
    }
}

#[test]
fn enumerators_of_all_widths_and_signs() {
    let btf = parsed(|b| {
        b.enumeration(false, "unsigned", &[("A", 0), ("B", u32::MAX)]);
        b.enumeration(true, "signed", &[("MINUS", u32::MAX), ("C", 1)]);
        b.raw("wide", kind::ENUM64 << 24 | 1, 8, &[0, 5, 1]);
        b.plain(kind::TYPEDEF, "alias", 1);
        b.composite(kind::STRUCT, "both", 4, &[]);
        b.enumeration(false, "both", &[("D", 2)]);
    });
    assert_eq!(
        btf.enum_values("unsigned"),
        Some(vec![("A", 0), ("B", 0xffff_ffff)])
    );
    assert_eq!(
        btf.enum_values("signed"),
        Some(vec![("MINUS", -1), ("C", 1)])
    );
    assert_eq!(btf.enum_values("wide"), Some(vec![("", (1 << 32) + 5)]));
    assert_eq!(btf.enum_values("both"), Some(vec![("D", 2)]));
    for absent in ["alias", "sign", "signed ", "", "A"] {
        assert_eq!(btf.enum_values(absent), None, "{absent:?}");
    }
}

#[test]
fn prototypes_of_tracepoints_and_functions() {
    let btf = parsed(|b| {
        let reason = b.enumeration(false, "sk_rst_reason", &[("A", 0)]);
        let constant = b.plain(kind::CONST, "", reason);
        let sock = b.composite(kind::STRUCT, "sock", 4, &[]);
        let pointer = b.plain(kind::PTR, "", sock);
        b.tracepoint("sent", &[("sk", pointer), ("reason", constant)]);
        b.tracepoint("bare", &[]);
        b.function("sent", &[("sk", pointer), ("reason", reason)]);
        b.plain(kind::TYPEDEF, "btf_trace_no_pointer", sock);
        b.plain(kind::TYPEDEF, "btf_trace_no_prototype", pointer);
        b.plain(kind::FUNC, "no_prototype", sock);
    });
    let param = |name, type_name, kind| Param {
        name,
        type_name,
        kind,
    };
    assert_eq!(
        btf.tracepoint("sent").unwrap(),
        [
            param("", "", Some(Kind::Ptr)),
            param("", "sk_rst_reason", Some(Kind::Enum))
        ]
    );
    assert_eq!(btf.tracepoint("bare"), Some(Vec::new()));
    assert_eq!(
        btf.function("sent").unwrap(),
        [
            param("sk", "", Some(Kind::Ptr)),
            param("reason", "sk_rst_reason", Some(Kind::Enum))
        ]
    );
    for absent in ["no_pointer", "no_prototype", "btf_trace_sent", "sen", ""] {
        assert!(!btf.has_tracepoint(absent), "{absent:?}");
    }
    for absent in ["no_prototype", "bare", "btf_trace_sent", "sock", ""] {
        assert!(!btf.has_function(absent), "{absent:?}");
    }
}

#[test]
fn every_name_of_many_is_found_and_no_other() {
    let btf = parsed(|b| {
        for number in 0..2000 {
            b.composite(
                kind::STRUCT,
                &format!("name_of_struct_{number}"),
                number,
                &[],
            );
        }
    });
    for number in 0..2000 {
        let ids: Vec<u32> = btf.ids(&format!("name_of_struct_{number}")).collect();
        assert_eq!(ids, [number + 1]);
    }
    assert_eq!(btf.ids("name_of_struct_2000").next(), None);
    assert_eq!(btf.ids("name_of_struct_").next(), None);
}

#[test]
fn loops_of_typedefs_end() {
    let btf = parsed(|b| {
        b.plain(kind::TYPEDEF, "ping", 2);
        b.plain(kind::TYPEDEF, "pong", 1);
        b.plain(kind::CONST, "", 3);
        b.raw("", kind::ARRAY << 24, 0, &[4, 4, 2]);
    });
    for id in 1..=4 {
        assert_eq!(btf.size_of(id), None, "type {id}");
    }
    assert!(btf.strip(1).is_none());
}

#[test]
fn a_missing_file_names_path_and_remedy() {
    let error = Btf::from_file(Path::new("/nonexistent/btf"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/nonexistent/btf") && error.contains("CONFIG_DEBUG_INFO_BTF"),
        "{error}"
    );
}
