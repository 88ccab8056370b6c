use super::*;
use crate::kernel::btf::builder::{Builder, kind};
use crate::kernel::btf::fixtures;

mod damaged;

/// Offsets in the kernels of the fixtures, as bpftool reads their complete BTF.
#[rustfmt::skip]
const EXPECTED: [(&str, [u32; 6]); Layout::MEMBERS.len()] = [
    ("skc_daddr", [0, 0, 0, 0, 0, 0]),
    ("skc_rcv_saddr", [4, 4, 4, 4, 4, 4]),
    ("skc_dport", [12, 12, 12, 12, 12, 12]),
    ("skc_num", [14, 14, 14, 14, 14, 14]),
    ("skc_family", [16, 16, 16, 16, 16, 16]),
    ("skc_state", [18, 18, 18, 18, 18, 18]),
    ("skc_net", [48, 48, 48, 48, 48, 48]),
    ("skc_v6_daddr", [56, 56, 56, 56, 56, 56]),
    ("skc_v6_rcv_saddr", [72, 72, 72, 72, 72, 72]),
    ("skc_cookie", [88, 88, 88, 88, 88, 88]),
    ("skc_flags", [96, 96, 96, 96, 96, 96]),
    ("sk_shutdown", [626, 610, 571, 583, 575, 591]),
    ("sk_protocol", [540, 516, 574, 532, 532, 540]),
    ("sk_err", [568, 544, 284, 284, 284, 284]),
    ("sk_socket", [640, 624, 288, 288, 288, 288]),
    ("sk_lingertime", [544, 520, 576, 584, 576, 592]),
    ("sk_uid", [584, 560, 612, 528, 528, 536]),
    ("sk_cgroup", [ABSENT, 648, 672, 680, 672, 688]),
    ("sk_lock_owned", [140, 156, 324, 324, 324, 320]),
    ("sk_ack_backlog", [576, 552, 604, 608, 600, 616]),
    ("sk_max_ack_backlog", [580, 556, 608, 612, 604, 620]),
    ("inet_sport", [776, 804, 806, 814, 814, 830]),
    ("inet_saddr", [768, 784, 800, 808, 808, 824]),
    ("lrcvtime", [1248, 1304, 1312, 1264, 1264, 1296]),
    ("icsk_retransmits", [1225, 1281, 1289, 1249, 1249, 1281]),
    ("icsk_probes_out", [1229, 1285, 1293, 1253, 1253, 1285]),
    ("bytes_received", [1400, 1448, 1784, 1744, 1752, 1864]),
    ("bytes_acked", [1448, 1496, 1840, 1816, 1824, 1608]),
    ("bytes_sent", [1440, 1488, 1608, 1544, 1544, 1616]),
    ("segs_in", [1408, 1456, 1792, 1752, 1760, 1852]),
    ("segs_out", [1432, 1480, 1600, 1536, 1536, 1856]),
    ("data_segs_in", [1412, 1460, 1796, 1756, 1764, 1872]),
    ("data_segs_out", [1436, 1484, 1604, 1540, 1540, 1640]),
    ("srtt_us", [1624, 1672, 1728, 1672, 1680, 1784]),
    ("total_retrans", [2096, 2144, 2216, 2192, 2200, 2304]),
    ("lsndtime", [1472, 1520, 1644, 1580, 1584, 1676]),
    ("rcv_tstamp", [1468, 1516, 1524, 1716, 1724, 1824]),
    ("rcv_nxt", [1416, 1464, 1712, 1656, 1664, 1768]),
    ("copied_seq", [1420, 1468, 1520, 1472, 1464, 1504]),
    ("write_seq", [1804, 1852, 1636, 1572, 1576, 1668]),
    ("snd_una", [1460, 1508, 1720, 1664, 1672, 1776]),
    ("snd_nxt", [1428, 1476, 1716, 1660, 1668, 1772]),
    ("snd_wl1", [1520, 1568, 1528, 1476, 1468, 1508]),
    ("tcp_mstamp", [1616, 1664, 1704, 1648, 1656, 1760]),
    ("linger2", [2112, 2160, 2244, 2220, 2228, 2332]),
    ("is_mptcp", [ABSENT, 2220, 2272, 2244, 2252, 2356]),
    ("skb_head", [192, 200, 200, 200, 192, 200]),
    ("skb_len", [112, 112, 112, 112, 112, 112]),
    ("skb_network_header", [180, 184, 184, 184, 180, 184]),
    ("skb_transport_header", [178, 182, 182, 182, 178, 182]),
    ("skb_dev", [16, 16, 16, 16, 16, 16]),
    ("skb_sk", [24, 24, 24, 24, 24, 24]),
    ("skb_iif", [144, 144, 148, 148, 144, 148]),
    ("skb_refdst", [88, 88, 88, 88, 88, 88]),
    ("skb_protocol", [176, 180, 180, 180, 176, 180]),
    ("rt_flags", [116, 116, 140, 140, 140, 140]),
    ("rt6_flags", [192, 192, 216, 216, 216, 216]),
    ("dev_net", [1264, 1280, 280, 264, 264, 264]),
    ("net_inum", [136, 144, 136, 176, 176, 280]),
    ("cgroup_kn", [248, 248, 256, 256, 256, 296]),
    ("kernfs_id", [104, 104, 96, 96, 96, 96]),
    ("socket_sk", [24, 24, 24, 24, 24, 24]),
    ("task_tgid", [2236, 2420, 2436, 2708, 1268, 2812]),
    ("task_pid", [2232, 2416, 2432, 2704, 1264, 2808]),
    ("task_group_leader", [2296, 2480, 2496, 2768, 1328, 2872]),
    ("task_comm", [2736, 2976, 2976, 3248, 1752, 3344]),
    ("task_flags", [36, 44, 44, 44, 44, 44]),
    ("task_start_boottime", [2544, 2784, 2784, 3056, 1560, 3160]),
    ("task_mm", [2056, 2272, 2304, 2576, 1136, 2680]),
    ("mm_exe_file", [928, 944, 1168, 1280, 1312, 1536]),
    ("mm_arg_start", [312, 312, 376, 480, 480, 728]),
    ("mm_arg_end", [320, 320, 384, 488, 488, 736]),
    ("file_dentry", [24, 24, 72, 72, 72, 72]),
    ("dentry_name", [40, 40, 40, 40, 40, 40]),
    ("task_cgroups", [3328, 3600, 3584, 3880, 2376, 4000]),
    ("css_set_dfl_cgrp", [120, 128, 128, 128, 112, 128]),
    ("task_signal", [2832, 3072, 3072, 3344, 1848, 3448]),
    ("signal_group_exit_code", [96, 96, 96, 96, 96, 96]),
    ("signal_live", [4, 4, 4, 4, 4, 4]),
];

fn fixture(number: usize) -> Btf {
    Btf::parse(fixtures::ALL[number].1.to_vec()).unwrap()
}

#[test]
fn offsets_of_the_recorded_kernels() {
    for (number, (kernel, _)) in fixtures::ALL.iter().enumerate() {
        let layout = resolve(&fixture(number)).layout;
        for ((field, _), (expected_field, expected)) in Layout::MEMBERS.iter().zip(EXPECTED) {
            assert_eq!(*field, expected_field);
            assert_eq!(
                layout.get(field),
                Some(expected[number]),
                "{field} in Linux {kernel}"
            );
        }
    }
}

#[test]
fn what_the_recorded_kernels_lack() {
    for (number, (kernel, _)) in fixtures::ALL.iter().enumerate() {
        let resolved = resolve(&fixture(number));
        let fields: Vec<&str> = resolved
            .missing
            .iter()
            .map(|missing| missing.field)
            .collect();
        let expected: &[&str] = if number == 0 {
            &["sk_cgroup", "is_mptcp"]
        } else {
            &[]
        };
        assert_eq!(fields, expected, "Linux {kernel}");
        assert_eq!(resolved.required_missing().count(), 0, "Linux {kernel}");
    }
    let cgroup = &resolve(&fixture(0)).missing[0];
    assert_eq!(cgroup.path, "sock.sk_cgrp_data.cgroup");
    assert_eq!(
        cgroup.why.to_string(),
        "this kernel's `sock.sk_cgrp_data` has no member `cgroup`"
    );
}

/// Numbers of `enum skb_drop_reason` for a RST that is not believed, as bpftool reads them.
const REFUSALS: [&[u32]; 6] = [
    &[],
    &[1, 27, 28],
    &[2, 36, 37, 38, 39],
    &[2, 41, 42, 44, 45],
    &[2, 41, 42, 44, 45],
    &[2, 41, 42, 44, 45],
];

fn refusals(numbers: &[u32]) -> [u32; 8] {
    let mut bits = [0; 8];
    for number in numbers {
        bits[*number as usize / 32] |= 1 << (number % 32);
    }
    bits
}

#[test]
fn switches_of_the_recorded_kernels() {
    for (number, (kernel, _)) in fixtures::ALL.iter().enumerate() {
        let expected = Switches {
            has_reason: u32::from(number >= fixtures::FIRST_WITH_REASON),
            unmarked_null: 0,
            accept_two_args: [0, 0, 1, 1, 1, 1][number],
            preemptible: [0, 0, 0, 0, 0, 1][number],
            detail_rate: 0,
            typed_skb_sk: u32::from(number > 0),
            victim_is_task: u32::from(number > 0),
            refusals: refusals(REFUSALS[number]),
        };
        assert_eq!(switches(&fixture(number)), expected, "Linux {kernel}");
    }
}

#[test]
fn parameters_of_accept_in_the_recorded_kernels() {
    const FOUR: &[&str] = &["sk", "flags", "err", "kern"];
    const TWO: &[&str] = &["sk", "arg"];
    for (number, (kernel, _)) in fixtures::ALL.iter().enumerate() {
        let btf = fixture(number);
        let names: Option<Vec<&str>> = btf
            .function("inet_csk_accept")
            .map(|params| params.iter().map(|param| param.name).collect());
        let expected = [FOUR, FOUR, TWO, TWO, TWO, TWO][number];
        assert_eq!(names.as_deref(), Some(expected), "Linux {kernel}");
    }
}

#[test]
fn tracepoints_and_functions_of_the_recorded_kernels() {
    for (number, (kernel, _)) in fixtures::ALL.iter().enumerate() {
        let btf = fixture(number);
        let arguments = [
            (
                "tcp_send_reset",
                if number >= fixtures::FIRST_WITH_REASON {
                    3
                } else {
                    2
                },
            ),
            ("tcp_receive_reset", 1),
            ("inet_sock_set_state", 3),
            ("tcp_destroy_sock", 1),
        ];
        for (tracepoint, count) in arguments {
            let found = btf.tracepoint(tracepoint).map(|params| params.len());
            assert_eq!(found, Some(count), "{tracepoint} in Linux {kernel}");
        }
        let listed: Vec<bool> = ["tcp_reset", "inet_csk_accept", "tcp_resets", "tcp_rese"]
            .map(|function| btf.has_function(function))
            .into();
        assert_eq!(listed, [true, true, false, false], "Linux {kernel}");
    }
}

/// A kernel whose `tcp_send_reset` has these arguments, and a function of other names.
fn send_reset(reason: Option<&str>, function: Option<(&str, &str)>) -> Switches {
    let mut builder = Builder::new();
    let structure = builder.composite(kind::STRUCT, "sk_buff", 8, &[]);
    let pointer = builder.plain(kind::PTR, "", structure);
    let mut arguments = vec![("sk", pointer), ("skb", pointer)];
    if let Some(name) = reason {
        let reason = builder.enumeration(false, name, &[]);
        arguments.push(("reason", builder.plain(kind::CONST, "", reason)));
    }
    builder.tracepoint(SEND_RESET, &arguments);
    if let Some((function, parameter)) = function {
        builder.function(
            function,
            &[("__data", 0), ("sk", pointer), (parameter, pointer)],
        );
    }
    switches(&Btf::parse(builder.finish()).unwrap())
}

#[test]
fn switches_by_prototype_and_parameter_name() {
    const REASON: Option<&str> = Some("sk_rst_reason");
    const FUNCTION: &str = "__bpf_trace_tcp_send_reset";
    let cases = [
        ("before 6.10", None, None, (0, 0)),
        (
            "before 6.10 with the function",
            None,
            Some((FUNCTION, "skb")),
            (0, 0),
        ),
        (
            "another third argument",
            Some("skb_drop_reason"),
            None,
            (0, 0),
        ),
        ("6.11", REASON, Some((FUNCTION, "skb")), (1, 1)),
        ("no such function", REASON, None, (1, 1)),
        (
            "another function",
            REASON,
            Some(("__bpf_trace_other", "skb__nullable")),
            (1, 1),
        ),
        (
            "another suffix",
            REASON,
            Some((FUNCTION, "skb__null")),
            (1, 1),
        ),
        ("6.12", REASON, Some((FUNCTION, "skb__nullable")), (1, 0)),
    ];
    for (case, reason, function, (has_reason, unmarked_null)) in cases {
        let expected = Switches {
            has_reason,
            unmarked_null,
            ..Switches::default()
        };
        assert_eq!(send_reset(reason, function), expected, "{case}");
    }
}

#[test]
fn arguments_of_accept_are_counted() {
    let cases: [(&str, &str, &[&str], u32); 9] = [
        (
            "before 6.10",
            "inet_csk_accept",
            &["sk", "flags", "err", "kern"],
            0,
        ),
        ("6.10", "inet_csk_accept", &["sk", "arg"], 1),
        ("other names", "inet_csk_accept", &["sk", "flags"], 1),
        ("none", "inet_csk_accept", &[], 0),
        ("one", "inet_csk_accept", &["sk"], 0),
        ("three", "inet_csk_accept", &["sk", "flags", "err"], 0),
        (
            "five",
            "inet_csk_accept",
            &["sk", "flags", "err", "kern", "arg"],
            0,
        ),
        ("a longer name", "inet_csk_accept_", &["sk", "arg"], 0),
        ("the function above it", "inet_accept", &["sk", "arg"], 0),
    ];
    for (case, function, names, accept_two_args) in cases {
        let mut builder = Builder::new();
        let pointer = builder.plain(kind::PTR, "", 0);
        let params: Vec<_> = names.iter().map(|name| (*name, pointer)).collect();
        builder.function(function, &params);
        let expected = Switches {
            accept_two_args,
            ..Switches::default()
        };
        let found = switches(&Btf::parse(builder.finish()).unwrap());
        assert_eq!(found, expected, "{case}");
    }
}

#[test]
fn interrupted_programs_by_what_tracepoints_are_made_of() {
    const FAST: &str = "srcu_ctr";
    const VARIABLE: &str = "tracepoint_srcu_srcu_data";
    const FORMER: &str = "rcu_read_unlock_trace_special";
    let cases: [(&str, &str, &str, &str, u32); 8] = [
        ("6.1", "", VARIABLE, FORMER, 0),
        ("6.18", FAST, "softnet_data", FORMER, 0),
        ("6.18 without variables", FAST, "", FORMER, 0),
        ("7.2", FAST, VARIABLE, "", 1),
        ("7.2 without variables", FAST, "", "", 1),
        ("the rework of tracepoints alone", FAST, VARIABLE, FORMER, 1),
        ("another variable, in doubt", FAST, "tracepoint_srcu", "", 1),
        ("nothing", "", "", "", 0),
    ];
    for (case, structure, variable, function, preemptible) in cases {
        let mut builder = Builder::new();
        let int = builder.int("int", 4);
        if !structure.is_empty() {
            builder.composite(kind::STRUCT, structure, 16, &[]);
        }
        if !variable.is_empty() {
            builder.raw(variable, kind::VAR << 24, int, &[0]);
        }
        if !function.is_empty() {
            builder.function(function, &[("t", int)]);
        }
        let found = switches(&Btf::parse(builder.finish()).unwrap());
        assert_eq!(found.preemptible, preemptible, "{case}");
    }
}

#[test]
fn a_prototype_is_no_function() {
    let mut builder = Builder::new();
    let pointer = builder.plain(kind::PTR, "", 0);
    let prototype = builder.prototype(&[("sk", pointer), ("arg", pointer)]);
    builder.plain(kind::TYPEDEF, "inet_csk_accept", prototype);
    let btf = Btf::parse(builder.finish()).unwrap();
    assert_eq!(switches(&btf), Switches::default());
}

#[test]
fn a_kernel_with_nothing_lacks_everything() {
    let btf = Btf::parse(Builder::new().finish()).unwrap();
    let resolved = resolve(&btf);
    assert_eq!(resolved.layout, Layout::UNKNOWN);
    let paths: Vec<&str> = resolved
        .missing
        .iter()
        .map(|missing| missing.path)
        .collect();
    let expected: Vec<&str> = Layout::MEMBERS.iter().map(|(_, path)| *path).collect();
    assert_eq!(paths, expected);
    assert!(
        resolved
            .missing
            .iter()
            .all(|missing| !missing.lost.is_empty())
    );
    let required: Vec<&str> = resolved
        .required_missing()
        .map(|missing| missing.field)
        .collect();
    assert!(
        required.contains(&"skc_daddr") && !required.contains(&"sk_uid"),
        "{required:?}"
    );
    assert_eq!(switches(&btf), Switches::default());
}

#[test]
fn former_names_and_changed_sizes() {
    let mut builder = Builder::new();
    let int = builder.int("unsigned int", 4);
    let long = builder.int("unsigned long long", 8);
    let members = [
        ("real_start_time", long, 64),
        ("tgid", long, 128),
        ("pid", int, 192),
        ("comm", int, 224),
    ];
    builder.composite(kind::STRUCT, "task_struct", 64, &members);
    let flags = [
        ("sk_shutdown", int, (2 << 24) + 64),
        ("sk_protocol", int, (16 << 24) + 80),
    ];
    builder.flagged(kind::STRUCT, true, "sock", 16, &flags);
    let resolved = resolve(&Btf::parse(builder.finish()).unwrap());

    assert_eq!(
        resolved.layout.task_start_boottime, 8,
        "by its name before 5.5"
    );
    assert_eq!(resolved.layout.task_pid, 24);
    assert_eq!(
        resolved.layout.sk_protocol, 10,
        "a bitfield of two whole bytes"
    );
    let why = |field| {
        let missing = resolved
            .missing
            .iter()
            .find(|missing| missing.field == field);
        missing
            .map(|missing| missing.why.to_string())
            .unwrap_or_default()
    };
    assert_eq!(
        why("task_tgid"),
        "`task_struct.tgid` has 8 bytes in this kernel, resetmon reads 4"
    );
    assert_eq!(
        why("task_comm"),
        "`task_struct.comm` has 4 bytes in this kernel, resetmon reads 16"
    );
    assert!(why("sk_shutdown").contains("bitfield"));
    assert_eq!(why("task_pid"), "");
    for field in ["task_tgid", "task_comm", "sk_shutdown"] {
        assert_eq!(resolved.layout.get(field), Some(ABSENT), "{field}");
    }
}

#[test]
fn the_running_kernel_has_what_is_required() {
    let btf = Btf::from_kernel().unwrap();
    let required: Vec<_> = resolve(&btf).required_missing().cloned().collect();
    assert!(required.is_empty(), "{required:?}");
    for tracepoint in ["tcp_send_reset", "tcp_receive_reset", "inet_sock_set_state"] {
        assert!(btf.has_tracepoint(tracepoint), "{tracepoint}");
    }
}
