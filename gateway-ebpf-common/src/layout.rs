//! What the agent hands to the programs before they load.
//!
//! The programs contain no struct offset. The agent looks each member up by name in the running
//! kernel's BTF and writes its byte offset into the instructions that are marked for it, so that
//! the verifier sees constants and prunes what is absent. Other differences between kernels stand
//! in a global, whose map is frozen.

/// Offset of a member that this kernel does not have.
pub const ABSENT: u32 = u32::MAX;

/// Offset of a load that is marked for a member: this, the member's place in [`Layout`] in bytes,
/// and which of its words of four bytes. No struct of the kernel is read that far.
pub const LOAD_MARK: i16 = 0x7000;

/// The same for a constant that is to become the offset itself; no other constant is near it.
pub const OFFSET_MARK: i32 = 0x6d65_0000;

macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident : $path:literal,)+) => {
        /// Byte offsets of kernel members, from the start of the struct named in each path.
        ///
        /// Named by `struct.member[.member…]`; [`ABSENT`] where the kernel lacks it.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Layout {
            $($(#[$doc])* pub $field: u32,)+
        }

        impl Layout {
            /// Nothing known: every offset [`ABSENT`].
            pub const UNKNOWN: Self = Self { $($field: ABSENT,)+ };

            /// `(field, "struct.member")` of every offset, in declaration order.
            pub const MEMBERS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($field), $path),)+];

            /// The offsets in the order of [`Layout::MEMBERS`].
            pub fn set(&mut self, field: &str, offset: u32) -> bool {
                match field {
                    $(stringify!($field) => self.$field = offset,)+
                    _ => return false,
                }
                true
            }

            /// The offset held for `field`; `None` for a name that is not one.
            #[must_use]
            pub fn get(&self, field: &str) -> Option<u32> {
                match field {
                    $(stringify!($field) => Some(self.$field),)+
                    _ => None,
                }
            }
        }
    };
}

layout! {
    /// `__be32`, remote IPv4 address.
    skc_daddr: "sock_common.skc_daddr",
    /// `__be32`, local IPv4 address.
    skc_rcv_saddr: "sock_common.skc_rcv_saddr",
    /// `__be16`, remote port.
    skc_dport: "sock_common.skc_dport",
    /// `u16`, local port in host order; 0 once released.
    skc_num: "sock_common.skc_num",
    /// `u16`, `AF_INET` or `AF_INET6`.
    skc_family: "sock_common.skc_family",
    /// `u8`, TCP state.
    skc_state: "sock_common.skc_state",
    /// `struct net *`.
    skc_net: "sock_common.skc_net.net",
    /// `in6_addr`, remote IPv6 address.
    skc_v6_daddr: "sock_common.skc_v6_daddr",
    /// `in6_addr`, local IPv6 address.
    skc_v6_rcv_saddr: "sock_common.skc_v6_rcv_saddr",
    /// `atomic64_t`, 0 until somebody asked for it.
    skc_cookie: "sock_common.skc_cookie",
    /// `unsigned long`, bits of `enum sock_flags`.
    skc_flags: "sock_common.skc_flags",

    /// `u8`, `RCV_SHUTDOWN` 1, `SEND_SHUTDOWN` 2.
    sk_shutdown: "sock.sk_shutdown",
    /// `u16`, `IPPROTO_TCP` or `IPPROTO_MPTCP`.
    sk_protocol: "sock.sk_protocol",
    /// `int`, pending errno.
    sk_err: "sock.sk_err",
    /// `struct socket *`, NULL when orphaned or not yet accepted.
    sk_socket: "sock.sk_socket",
    /// `unsigned long`, `SO_LINGER` time in jiffies.
    sk_lingertime: "sock.sk_lingertime",
    /// `kuid_t` of the creator.
    sk_uid: "sock.sk_uid",
    /// `struct cgroup *` of the creator.
    sk_cgroup: "sock.sk_cgrp_data.cgroup",
    /// `int`, 1 while a task holds the socket lock, 0 in softirq.
    sk_lock_owned: "sock.sk_lock.owned",
    /// `u32`, connections waiting to be accepted.
    sk_ack_backlog: "sock.sk_ack_backlog",
    /// `u32`, how many may wait.
    sk_max_ack_backlog: "sock.sk_max_ack_backlog",

    /// `__be16`, local port; survives the release of `skc_num`.
    inet_sport: "inet_sock.inet_sport",
    /// `__be32`, local IPv4 address; survives `skc_rcv_saddr`.
    inet_saddr: "inet_sock.inet_saddr",

    /// `__u32` jiffies of the last data received.
    lrcvtime: "inet_connection_sock.icsk_ack.lrcvtime",
    /// `__u8`, retransmits of the segment in flight.
    icsk_retransmits: "inet_connection_sock.icsk_retransmits",
    /// `__u8`, unanswered keep-alive or zero-window probes.
    icsk_probes_out: "inet_connection_sock.icsk_probes_out",

    /// `u64`, payload received; a FIN counts as 1.
    bytes_received: "tcp_sock.bytes_received",
    /// `u64`, payload acknowledged; SYN (active side) and FIN count as 1.
    bytes_acked: "tcp_sock.bytes_acked",
    /// `u64`, payload sent, retransmits included.
    bytes_sent: "tcp_sock.bytes_sent",
    /// `u32`, segments received.
    segs_in: "tcp_sock.segs_in",
    /// `u32`, segments sent.
    segs_out: "tcp_sock.segs_out",
    /// `u32`, segments with payload received.
    data_segs_in: "tcp_sock.data_segs_in",
    /// `u32`, segments with payload sent.
    data_segs_out: "tcp_sock.data_segs_out",
    /// `u32`, smoothed round-trip time in µs, shifted left by 3.
    srtt_us: "tcp_sock.srtt_us",
    /// `u32`, retransmits over the connection's life.
    total_retrans: "tcp_sock.total_retrans",
    /// `u32` jiffies of the last data sent.
    lsndtime: "tcp_sock.lsndtime",
    /// `u32` jiffies of the last acknowledgement received.
    rcv_tstamp: "tcp_sock.rcv_tstamp",
    /// `u32`, next sequence number expected.
    rcv_nxt: "tcp_sock.rcv_nxt",
    /// `u32`, head of data not yet read by the application.
    copied_seq: "tcp_sock.copied_seq",
    /// `u32`, tail of data written by the application.
    write_seq: "tcp_sock.write_seq",
    /// `u32`, first byte not acknowledged.
    snd_una: "tcp_sock.snd_una",
    /// `u32`, next sequence number to send.
    snd_nxt: "tcp_sock.snd_nxt",
    /// `u32`, sequence number of the segment that last acknowledged anything new.
    snd_wl1: "tcp_sock.snd_wl1",
    /// `u64`, µs of `CLOCK_MONOTONIC` at the latest packet.
    tcp_mstamp: "tcp_sock.tcp_mstamp",
    /// `int`, `TCP_LINGER2`; negative means abort in `FIN_WAIT2`.
    linger2: "tcp_sock.linger2",
    /// `bool`, this is a subflow of an MPTCP connection.
    is_mptcp: "tcp_sock.is_mptcp",

    /// `unsigned char *`, start of the packet's buffer.
    skb_head: "sk_buff.head",
    /// `unsigned int`, bytes from the current header to the end.
    skb_len: "sk_buff.len",
    /// `__u16` from `head`.
    skb_network_header: "sk_buff.network_header",
    /// `__u16` from `head`.
    skb_transport_header: "sk_buff.transport_header",
    /// `struct net_device *`.
    skb_dev: "sk_buff.dev",
    /// `struct sock *`.
    skb_sk: "sk_buff.sk",
    /// `int`, index of the device that it came in by; 0 for one of our own.
    skb_iif: "sk_buff.skb_iif",
    /// `unsigned long`, `struct dst_entry *` with flags in the low bits.
    skb_refdst: "sk_buff._skb_refdst",
    /// `__be16`, `ETH_P_IP` or `ETH_P_IPV6`.
    skb_protocol: "sk_buff.protocol",
    /// `unsigned int`, from the `dst_entry` of an IPv4 route: `RTCF_LOCAL`.
    rt_flags: "rtable.rt_flags",
    /// `u32`, from the `dst_entry` of an IPv6 route: `RTF_LOCAL`.
    rt6_flags: "rt6_info.rt6i_flags",
    /// `struct net *`.
    dev_net: "net_device.nd_net.net",
    /// `unsigned int`, inode number of the network namespace.
    net_inum: "net.ns.inum",

    /// `struct kernfs_node *`.
    cgroup_kn: "cgroup.kn",
    /// `u64`, the cgroup's id.
    kernfs_id: "kernfs_node.id",
    /// `struct sock *`.
    socket_sk: "socket.sk",

    /// `pid_t` of the process.
    task_tgid: "task_struct.tgid",
    /// `pid_t` of the thread.
    task_pid: "task_struct.pid",
    /// `struct task_struct *`.
    task_group_leader: "task_struct.group_leader",
    /// `char[16]`.
    task_comm: "task_struct.comm",
    /// `unsigned int`, `PF_EXITING` 0x4.
    task_flags: "task_struct.flags",
    /// `u64`, ns since boot.
    task_start_boottime: "task_struct.start_boottime",
    /// `struct mm_struct *`, NULL for a kernel thread and late in an exit.
    task_mm: "task_struct.mm",
    /// `struct file *`.
    mm_exe_file: "mm_struct.exe_file",
    /// `unsigned long`, user address of the arguments.
    mm_arg_start: "mm_struct.arg_start",
    /// `unsigned long`, end of the arguments.
    mm_arg_end: "mm_struct.arg_end",
    /// `struct dentry *`.
    file_dentry: "file.f_path.dentry",
    /// `const unsigned char *`, name of the file without its directory.
    dentry_name: "dentry.d_name.name",
    /// `struct css_set *`.
    task_cgroups: "task_struct.cgroups",
    /// `struct cgroup *` of the unified hierarchy.
    css_set_dfl_cgrp: "css_set.dfl_cgrp",
    /// `struct signal_struct *`.
    task_signal: "task_struct.signal",
    /// `int`, wait status of a dying process: signal in the low 7 bits, exit code above 8.
    signal_group_exit_code: "signal_struct.group_exit_code",
    /// `int`, threads that have not exited.
    signal_live: "signal_struct.live.counter",
}

const _: () = assert!(size_of::<Layout>() == 4 * Layout::MEMBERS.len());

/// As [`OFFSET_MARK`], for a constant that is to become a number of [`Switches`]; this and its place
/// there in bytes.
pub const SWITCH_MARK: i32 = 0x6d66_0000;

/// Differences between kernels that are not offsets; 0 or 1 each if not said otherwise.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// `tcp_send_reset` has the argument `enum sk_rst_reason` (6.10 and newer).
    pub has_reason: u32,
    /// `tcp_send_reset` may pass NULL where the verifier assumes it cannot (6.10, 6.11).
    pub unmarked_null: u32,
    /// `inet_csk_accept` takes two arguments (6.10 and newer), not four.
    pub accept_two_args: u32,
    /// A program at a tracepoint may be interrupted by another task (7.0 and newer).
    pub preemptible: u32,
    /// Resets of one source that are reported one by one, a second and CPU; 0 for all.
    pub detail_rate: u32,
    /// `sk_buff.sk` is a pointer to the verifier too; elsewhere it lies in a union (before Linux 6.9
    /// and the stable series of its time).
    pub typed_skb_sk: u32,
    /// `oom/mark_victim` passes the task, not its thread id.
    pub victim_is_task: u32,
    /// Numbers of `enum skb_drop_reason` under which the kernel refuses a RST, a bit each; none
    /// where they are not counted.
    pub refusals: [u32; DROP_REASONS / 32],
}

const _: () = assert!(size_of::<Switches>() == 28 + DROP_REASONS / 8);

/// Numbers of `enum skb_drop_reason` that are counted, from 0 on; kernels up to 7.2 use 130.
pub const DROP_REASONS: usize = 256;

#[cfg(feature = "user")]
// SAFETY: repr(C), integers only, no padding (size asserted above).
unsafe impl aya::Pod for Layout {}
#[cfg(feature = "user")]
// SAFETY: repr(C), integers only, no padding (size asserted above).
unsafe impl aya::Pod for Switches {}
