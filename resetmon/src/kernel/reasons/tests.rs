use super::*;
use crate::kernel::btf::builder::Builder;
use crate::kernel::btf::fixtures;

fn reasons(values: &[(&str, u32)]) -> Reasons {
    let mut builder = Builder::new();
    builder.enumeration(false, ENUM, values);
    Reasons::from_btf(&Btf::parse(builder.finish()).unwrap())
}

#[test]
fn kernels_with_reasons_name_them() {
    let expected = [
        "not_specified",
        "no_socket",
        "tcp_invalid_ack_sequence",
        "tcp_rfc7323_paws",
        "tcp_too_old_ack",
        "tcp_ack_unsent_data",
        "tcp_flags",
        "tcp_old_ack",
        "tcp_abort_on_data",
        "tcp_timewait_socket",
        "invalid_syn",
        "tcp_abort_on_close",
        "tcp_abort_on_linger",
        "tcp_abort_on_memory",
        "tcp_state",
        "tcp_keepalive_timeout",
        "tcp_disconnect_with_data",
        "mptcp_rst_eunspec",
        "mptcp_rst_emptcp",
        "mptcp_rst_eresource",
        "mptcp_rst_eprohibit",
        "mptcp_rst_ewq2big",
        "mptcp_rst_ebadperf",
        "mptcp_rst_emiddlebox",
        "error",
        "max",
        "reason_26",
    ];
    for (kernel, data) in &fixtures::ALL[fixtures::FIRST_WITH_REASON..] {
        let reasons = Reasons::from_btf(&Btf::parse(data.to_vec()).unwrap());
        for (number, name) in (0..).zip(expected) {
            assert_eq!(reasons.name(number).name(), name, "{kernel}");
        }
    }
}

#[test]
fn kernels_without_reasons_have_an_empty_table() {
    for (kernel, data) in &fixtures::ALL[..fixtures::FIRST_WITH_REASON] {
        let reasons = Reasons::from_btf(&Btf::parse(data.to_vec()).unwrap());
        assert_eq!(reasons.name(0).name(), "reason_0", "{kernel}");
    }
}

#[test]
fn numbers_are_those_of_the_kernel() {
    // As in Linux 6.11, where 11 is not yet an abort; and names without the prefix or beyond the table.
    let reasons = reasons(&[
        ("SK_RST_REASON_INVALID_SYN", 10),
        ("SK_RST_REASON_MPTCP_RST_EUNSPEC", 11),
        ("SK_RST_REASON_", 12),
        ("OTHER", 13),
        ("SK_RST_REASON_FAR", 5000),
        ("SK_RST_REASON_BEYOND", 1 << 20),
    ]);
    let cases = [
        (9, "reason_9"),
        (10, "invalid_syn"),
        (11, "mptcp_rst_eunspec"),
        (12, "reason_12"),
        (13, "other"),
        (4999, "reason_4999"),
        (5000, "far"),
        (5001, "reason_5001"),
        (1 << 20, "reason_1048576"),
        (u32::MAX, "reason_4294967295"),
    ];
    for (number, name) in cases {
        assert_eq!(reasons.name(number).name(), name);
    }
}

#[test]
fn names_are_shared() {
    let reasons = reasons(&[("SK_RST_REASON_NO_SOCKET", 1)]);
    for number in [0, 1, 63] {
        assert!(
            Arc::ptr_eq(&reasons.name(number).0, &reasons.name(number).0),
            "{number}"
        );
    }
}
