//! What each member is needed for: one row per row of [`Layout::MEMBERS`], in its order.

use gateway_ebpf_common::layout::Layout;

/// What a member is needed for.
pub(super) struct Need {
    /// Field of [`Layout`].
    pub(super) field: &'static str,
    /// Bytes that the programs load.
    pub(super) bytes: u32,
    /// resetmon cannot work without it.
    pub(super) required: bool,
    /// What is lost without it.
    pub(super) lost: &'static str,
    /// Paths by which older kernels know it.
    pub(super) formerly: &'static [&'static str],
}

impl Need {
    /// resetmon works without it.
    const fn useful(field: &'static str, bytes: u32, lost: &'static str) -> Self {
        Self {
            field,
            bytes,
            required: false,
            lost,
            formerly: &[],
        }
    }

    /// resetmon cannot work without it.
    const fn required(field: &'static str, bytes: u32, lost: &'static str) -> Self {
        Self {
            required: true,
            ..Self::useful(field, bytes, lost)
        }
    }

    /// Adds paths of older kernels.
    const fn formerly(self, formerly: &'static [&'static str]) -> Self {
        Self { formerly, ..self }
    }
}

const NAME_OF_SHORT_LIVED: &str = "executable and arguments of processes that end at once";

/// The needs, in the order of [`Layout::MEMBERS`].
pub(super) const NEEDS: [Need; Layout::MEMBERS.len()] = [
    Need::required("skc_daddr", 4, "IPv4 address of the peer"),
    Need::required("skc_rcv_saddr", 4, "local IPv4 address"),
    Need::required("skc_dport", 2, "port of the peer"),
    Need::required("skc_num", 2, "local port"),
    Need::required("skc_family", 2, "whether a socket is IPv4 or IPv6"),
    Need::required("skc_state", 1, "state of the connection at the reset"),
    Need::useful("skc_net", 8, "network namespace of sockets"),
    Need::useful(
        "skc_v6_daddr",
        16,
        "IPv6 address of the peer (a kernel without IPv6 has none)",
    ),
    Need::useful(
        "skc_v6_rcv_saddr",
        16,
        "local IPv6 address (a kernel without IPv6 has none)",
    ),
    Need::useful("skc_cookie", 8, "owner of connections in TIME_WAIT"),
    Need::useful(
        "skc_flags",
        8,
        "whether the application had let go of the socket, keep-alive and linger: causes that rest on them are unknown",
    ),
    Need::useful(
        "sk_shutdown",
        1,
        "which side had finished: closing told from aborting",
    ),
    Need::required(
        "sk_protocol",
        2,
        "TCP told from MPTCP and SCTP, whose sockets would be misread",
    ),
    Need::useful("sk_err", 4, "error pending on the socket"),
    Need::useful(
        "sk_socket",
        8,
        "sockets that were never accepted or are orphaned",
    ),
    Need::useful(
        "sk_lingertime",
        8,
        "SO_LINGER time: a linger abort told from other aborts",
    ),
    Need::useful("sk_uid", 4, "user who created the socket"),
    Need::useful(
        "sk_cgroup",
        8,
        "cgroup of the socket's creator (before Linux 5.15 the pointer shares its word with other data)",
    ),
    Need::useful(
        "sk_lock_owned",
        4,
        "whether the task at work on the socket caused the reset: the closer",
    ),
    Need::useful(
        "sk_ack_backlog",
        4,
        "connections waiting in an accept queue",
    ),
    Need::useful("sk_max_ack_backlog", 4, "limit of an accept queue"),
    Need::required(
        "inet_sport",
        2,
        "local port of a socket that is being closed",
    ),
    Need::useful(
        "inet_saddr",
        4,
        "local IPv4 address of a socket that was disconnected",
    ),
    Need::useful("lrcvtime", 4, "idle time of data in"),
    Need::useful(
        "icsk_retransmits",
        1,
        "retransmits of the segment in flight",
    ),
    Need::useful(
        "icsk_probes_out",
        1,
        "unanswered keep-alive and zero-window probes",
    ),
    Need::useful(
        "bytes_received",
        8,
        "bytes received: whether the peer had answered",
    ),
    Need::useful(
        "bytes_acked",
        8,
        "bytes acknowledged by the peer: whether a request had arrived",
    ),
    Need::useful("bytes_sent", 8, "bytes sent"),
    Need::useful("segs_in", 4, "segments received"),
    Need::useful("segs_out", 4, "segments sent"),
    Need::useful("data_segs_in", 4, "segments with payload received"),
    Need::useful("data_segs_out", 4, "segments with payload sent"),
    Need::useful("srtt_us", 4, "round-trip time"),
    Need::useful("total_retrans", 4, "retransmits over the connection's life"),
    Need::useful("lsndtime", 4, "idle time of data out"),
    Need::useful("rcv_tstamp", 4, "time since the last acknowledgement"),
    Need::useful(
        "rcv_nxt",
        4,
        "unread bytes, and the position of a reset in the stream",
    ),
    Need::useful("copied_seq", 4, "unread bytes"),
    Need::useful("write_seq", 4, "unacknowledged bytes"),
    Need::useful("snd_una", 4, "unacknowledged bytes"),
    Need::useful("snd_nxt", 4, "position of a reset in the stream"),
    Need::useful("snd_wl1", 4, "order of request and answer within one tick"),
    Need::useful("tcp_mstamp", 8, "nothing: the clock is read instead"),
    Need::useful("linger2", 4, "abort by TCP_LINGER2"),
    Need::useful(
        "is_mptcp",
        1,
        "subflows of MPTCP (a kernel without MPTCP has none)",
    ),
    Need::required("skb_head", 8, "addresses of resets without a socket"),
    Need::useful("skb_len", 4, "payload length of the packet answered"),
    Need::required(
        "skb_network_header",
        2,
        "addresses of resets without a socket",
    ),
    Need::required(
        "skb_transport_header",
        2,
        "ports of resets without a socket",
    ),
    Need::useful("skb_dev", 8, "network namespace of resets without a socket"),
    Need::useful(
        "skb_sk",
        8,
        "owner of connections that a packet filter rejects",
    ),
    Need::useful(
        "skb_iif",
        4,
        "whether a packet filter rejected a packet of our own",
    ),
    Need::useful("skb_refdst", 8, "resets that a packet filter makes"),
    Need::useful("skb_protocol", 2, "resets that the kernel refuses"),
    Need::useful(
        "rt_flags",
        4,
        "whether a packet filter rejected what it forwards",
    ),
    Need::useful(
        "rt6_flags",
        4,
        "whether a packet filter rejected what it forwards (a kernel without IPv6 has none)",
    ),
    Need::useful("dev_net", 8, "network namespace of resets without a socket"),
    Need::useful("net_inum", 4, "network namespaces"),
    Need::useful("cgroup_kn", 8, "cgroup of the socket's creator"),
    Need::useful("kernfs_id", 8, "cgroup of the socket's creator"),
    Need::useful(
        "socket_sk",
        8,
        "sockets accepted or held open before the start, by their files",
    ),
    Need::useful(
        "task_tgid",
        4,
        "process of tasks other than the current one",
    ),
    Need::useful("task_pid", 4, "thread of tasks other than the current one"),
    Need::useful(
        "task_group_leader",
        8,
        "name of the process where a thread has its own",
    ),
    Need::useful(
        "task_comm",
        16,
        "name of the process where a thread has its own",
    ),
    Need::useful("task_flags", 4, "whether the closing process was dying"),
    Need::useful(
        "task_start_boottime",
        8,
        "start of processes: a pid used again is not told from the first",
    )
    // Before Linux 5.5.
    .formerly(&["task_struct.real_start_time"]),
    Need::useful("task_mm", 8, NAME_OF_SHORT_LIVED),
    Need::useful("mm_exe_file", 8, NAME_OF_SHORT_LIVED),
    Need::useful("mm_arg_start", 8, NAME_OF_SHORT_LIVED),
    Need::useful("mm_arg_end", 8, NAME_OF_SHORT_LIVED),
    Need::useful("file_dentry", 8, NAME_OF_SHORT_LIVED),
    Need::useful("dentry_name", 8, NAME_OF_SHORT_LIVED),
    Need::useful("task_cgroups", 8, "cgroup of the processes named"),
    Need::useful("css_set_dfl_cgrp", 8, "cgroup of the processes named"),
    Need::useful("task_signal", 8, "exit code or signal of a dying process"),
    Need::useful(
        "signal_group_exit_code",
        4,
        "exit code or signal of a dying process",
    ),
    Need::useful(
        "signal_live",
        4,
        "the end of a process told from that of a thread",
    ),
];

const _: () = {
    let mut row = 0;
    while row < NEEDS.len() {
        assert!(
            same(NEEDS[row].field, Layout::MEMBERS[row].0),
            "rows differ from Layout::MEMBERS"
        );
        row += 1;
    }
};

/// Comparison of strings at compile time.
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}
