//! The records on the ring buffer.

/// First word of every record: what follows.
pub mod kind {
    /// A [`super::ResetRecord`].
    pub const RESET: u32 = 1;
    /// A [`super::ProcessRecord`].
    pub const PROCESS: u32 = 2;
    /// A [`super::ResetRecord`] of a connection that failed without a RST: `failure` holds.
    pub const FAILURE: u32 = 3;
}

/// Value of [`ResetRecord::reason`] on kernels without the argument.
pub const REASON_ABSENT: u32 = u32::MAX;

/// Value of a "ticks since" member when it never happened or is not known.
pub const NEVER: u32 = u32::MAX;

/// [`ResetRecord::direction`].
pub mod direction {
    /// This node's stack sent the RST; without one, this end gave up.
    pub const SENT: u8 = 1;
    /// This node's stack received it; without one, the peer closed or did not answer.
    pub const RECEIVED: u8 = 2;
}

/// [`ResetRecord::failure`]: how a connection ended that failed without a RST.
pub mod failure {
    /// There was a RST.
    pub const NONE: u8 = 0;
    /// The kernel gave it up with `socket_error`.
    pub const ERROR: u8 = 1;
    /// This end let go of it before it was established.
    pub const ABANDONED: u8 = 2;
    /// This end closed first, and `unanswered` bytes had no answer.
    pub const LEFT: u8 = 3;
    /// The peer closed first, and `unanswered` bytes had no answer.
    pub const UNANSWERED: u8 = 4;
}

/// Least bytes that count as a request on a connection that never carried an answer: under it are
/// words of farewell such as `quit` and single commands, over it every HTTP request.
pub const FIRST_REQUEST: u32 = 16;

/// Least bytes that count as a request where earlier ones had an answer.
///
/// Below are the messages that want none: TLS `close_notify` and the last flight of its handshake
/// (up to 85 bytes each), HTTP/2 `GOAWAY`, `WINDOW_UPDATE`, `PING`, `QUIT` of mail and databases,
/// the farewell of SSH. An HTTP/1.1 request as proxies pass it on is seldom shorter.
pub const LATER_REQUEST: u32 = 128;

/// Least time for which a peer was waited for before giving up on its answer to a SYN, ns: below, the
/// loser of a race of address families (RFC 8305) is dropped in good health. SYNs are
/// sent again after as long.
pub const CONNECT_PATIENCE_NS: u64 = 1_000_000_000;

/// Segments with payload from which on data that was never answered may be a stream that wants no
/// answer.
pub const MANY_SEGMENTS: u32 = 3;

/// Lengths on the wire of a TLS `close_notify`: 1.3 and 1.2 with `ChaCha20` or GCM, 1.2 with CBC
/// and SHA-1, SHA-256, SHA-384 (RFC 5246, RFC 8446).
///
/// An end that closes in good order sends one; that it was not read loses nothing.
pub const CLOSE_NOTIFY: [u32; 6] = [23, 24, 31, 53, 69, 85];

/// [`ResetRecord::role`]: who opened the connection.
pub mod role {
    /// Not known.
    pub const UNKNOWN: u8 = 0;
    /// The local end connected.
    pub const CLIENT: u8 = 1;
    /// The local end listened or accepted.
    pub const SERVER: u8 = 2;
}

/// [`Task::known_by`]: how the task was found to be the owner.
pub mod known_by {
    /// No owner.
    pub const NOBODY: u8 = 0;
    /// It called `connect()`.
    pub const CONNECT: u8 = 1;
    /// It called `listen()` on this socket.
    pub const LISTEN: u8 = 2;
    /// It called `listen()` on the socket that this connection came in by; nobody has read from it yet.
    pub const INHERITED: u8 = 3;
    /// It called `accept()`.
    pub const ACCEPT: u8 = 4;
    /// It was the first to read from an accepted connection.
    pub const FIRST_READ: u8 = 5;
    /// It held the socket when the agent started.
    pub const EXISTING: u8 = 6;
    /// It was one of several processes that held the socket when the agent started.
    pub const EXISTING_SHARED: u8 = 7;
    /// It closed or reset the socket, or was at work on it.
    pub const CURRENT: u8 = 8;
    /// It owned the connection of the same endpoints that was reset before.
    pub const EARLIER_RESET: u8 = 9;
    /// It owned the socket and was dead when the kernel closed it.
    pub const EXITED: u8 = 10;
}

/// [`Task::flags`].
pub mod task_flag {
    /// The task was exiting (`PF_EXITING`) or had exited: `exit_code` holds.
    pub const EXITING: u8 = 1;
    /// The kernel had chosen the process to be killed for want of memory.
    pub const OOM_VICTIM: u8 = 2;
}

/// [`ResetRecord::hook`]: where a packet filter rejected, if [`flag::FIREWALL`].
pub mod hook {
    /// Not by a packet filter.
    pub const NONE: u8 = 0;
    /// A packet to this node.
    pub const INPUT: u8 = 1;
    /// A packet that this node forwards.
    pub const FORWARD: u8 = 2;
    /// A packet from this node.
    pub const OUTPUT: u8 = 3;
}

/// [`ResetRecord::shape`]: what the kernel had for a socket.
pub mod shape {
    /// None: no socket matched the packet.
    pub const NONE: u8 = 0;
    /// A full socket.
    pub const FULL: u8 = 1;
    /// A socket in `TIME_WAIT`.
    pub const TIME_WAIT: u8 = 2;
    /// A request socket (`NEW_SYN_RECV`).
    pub const REQUEST: u8 = 3;
}

/// Bits of [`ResetRecord::flags`].
pub mod flag {
    /// The reset answers a packet: the `trigger_*` members hold.
    pub const TRIGGERED: u32 = 1 << 0;
    /// The `tcp_sock` members (counters, sequence numbers) hold.
    pub const VITALS: u32 = 1 << 1;
    /// `SOCK_DEAD`: the application has let go of the socket.
    pub const DEAD: u32 = 1 << 2;
    /// `SOCK_DONE`: the peer's FIN was received.
    pub const DONE: u32 = 1 << 3;
    /// `SO_KEEPALIVE` is set.
    pub const KEEPOPEN: u32 = 1 << 4;
    /// `SO_LINGER` is set.
    pub const LINGER: u32 = 1 << 5;
    /// A `struct socket` (file) is attached.
    pub const HAS_SOCKET: u32 = 1 << 6;
    /// A task holds the socket lock: `current` is at work on this socket.
    pub const IN_TASK: u32 = 1 << 7;
    /// A subflow of an MPTCP connection.
    pub const MPTCP: u32 = 1 << 8;
    /// The state before the reset was seen, not assumed.
    pub const STATE_SEEN: u32 = 1 << 9;
    /// Received only: data after close makes this tracepoint fire too, so the event stands only
    /// if no sent record with [`RETRACTS`] and the same cookie follows at once.
    pub const PROVISIONAL: u32 = 1 << 10;
    /// Sent only: the received record of the same cookie was not a RST but data after close.
    pub const RETRACTS: u32 = 1 << 11;
    /// The owner was found by the socket cookie of a connection in `TIME_WAIT`.
    pub const BY_COOKIE: u32 = 1 << 12;
    /// The socket was open before the agent started.
    pub const EXISTING: u32 = 1 << 13;
    /// The connection was never accepted and its listener was closed by `closer`.
    pub const LISTENER_CLOSED: u32 = 1 << 14;
    /// Received only: the RST itself was seen: the `rst_*` members hold.
    pub const PACKET: u32 = 1 << 15;
    /// Sent only: a packet filter made the RST, which `OutRsts` does not count; `hook` holds. The
    /// local end is that of this node, which in [`super::hook::OUTPUT`] the RST goes to.
    pub const FIREWALL: u32 = 1 << 16;
}

/// A process at one moment.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Start of the process, ns since boot: with `pid` unique for the node's uptime.
    pub start_ns: u64,
    /// cgroup v2 id.
    pub cgroup: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Name of the process's main thread, NUL-padded.
    pub comm: [u8; 16],
    /// Wait status if [`task_flag::EXITING`]: signal in the low 7 bits, exit status above 8.
    pub exit_code: u32,
    /// [`known_by`].
    pub known_by: u8,
    /// [`task_flag`] bits.
    pub flags: u8,
    /// Zero.
    pub pad: [u8; 2],
}

const _: () = assert!(size_of::<Task>() == 48);

/// A process seen for the first time: the agent reads its /proc entry while it lives. What is here
/// serves where it is gone by then.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessRecord {
    /// [`kind::PROCESS`].
    pub kind: u32,
    /// `size_of::<ProcessRecord>()`.
    pub size: u32,
    /// `CLOCK_MONOTONIC`, ns.
    pub time_ns: u64,
    /// The process.
    pub task: Task,
    /// File name of its executable, NUL-terminated; empty if not known.
    pub exe_name: [u8; EXE_NAME],
    /// Start of its arguments, each NUL-terminated; empty if not known.
    pub arguments: [u8; ARGUMENTS],
}

const _: () = assert!(size_of::<ProcessRecord>() == 64 + EXE_NAME + ARGUMENTS);

/// Bytes of [`ProcessRecord::exe_name`].
pub const EXE_NAME: usize = 64;
/// Bytes of [`ProcessRecord::arguments`].
pub const ARGUMENTS: usize = 256;

/// One RST sent or received, or a connection that failed without one.
///
/// Addresses are in network byte order as on the wire; IPv4 stands in the first four bytes.
/// Ports are in host order. Times are `CLOCK_MONOTONIC` in ns, 0 when not known.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetRecord {
    /// [`kind::RESET`] or [`kind::FAILURE`].
    pub kind: u32,
    /// `size_of::<ResetRecord>()`.
    pub size: u32,
    /// When it happened.
    pub time_ns: u64,
    /// Socket cookie, 0 without a socket.
    pub cookie: u64,
    /// When `connect()` was called or the SYN was accepted.
    pub opened_ns: u64,
    /// When the state became ESTABLISHED.
    pub established_ns: u64,
    /// When the peer's FIN was received, if its state change was seen.
    pub fin_received_ns: u64,
    /// When the local end closed or shut down its sending side.
    pub fin_sent_ns: u64,
    /// Payload received (a FIN counts as 1).
    pub bytes_received: u64,
    /// Payload acknowledged by the peer (our SYN and FIN count as 1 each).
    pub bytes_acked: u64,
    /// Payload sent, retransmits included.
    pub bytes_sent: u64,
    /// Who owns the socket.
    pub owner: Task,
    /// Who closed it, or was at work on it when it was reset; `pid` 0 when not known.
    pub closer: Task,
    /// Local address.
    pub local_addr: [u32; 4],
    /// Remote address.
    pub remote_addr: [u32; 4],
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Number in the running kernel's `enum sk_rst_reason`, or [`REASON_ABSENT`].
    pub reason: u32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Local port.
    pub local_port: u16,
    /// Remote port.
    pub remote_port: u16,
    /// Jiffies since data was last received, or [`NEVER`].
    pub ticks_since_data_in: u32,
    /// Jiffies since data was last sent, or [`NEVER`].
    pub ticks_since_data_out: u32,
    /// Jiffies since the last acknowledgement was received, or [`NEVER`].
    pub ticks_since_ack_in: u32,
    /// Segments received.
    pub segs_in: u32,
    /// Segments sent.
    pub segs_out: u32,
    /// Segments with payload received.
    pub data_segs_in: u32,
    /// Segments with payload sent.
    pub data_segs_out: u32,
    /// Received and not read by the application (a FIN counts as 1).
    pub unread: u32,
    /// Written and not acknowledged by the peer (an unsent FIN counts as 1).
    pub unacked: u32,
    /// Smoothed round-trip time, µs.
    pub srtt_us: u32,
    /// Retransmits over the connection's life.
    pub retransmits: u32,
    /// Next sequence number expected.
    pub rcv_nxt: u32,
    /// Next sequence number to send.
    pub snd_nxt: u32,
    /// `SO_LINGER` time in jiffies, saturated.
    pub linger_ticks: u32,
    /// `TCP_LINGER2` in jiffies; negative: abort in `FIN_WAIT2`.
    pub linger2: i32,
    /// `sk_err` at the event.
    pub socket_error: u32,
    /// uid of the socket's creator.
    pub uid: u32,
    /// Connections waiting for `accept()`, if the socket listens.
    pub accept_queue: u32,
    /// How many may wait, if the socket listens.
    pub accept_limit: u32,
    /// Sequence number of the packet answered.
    pub trigger_seq: u32,
    /// Acknowledgement number of the packet answered.
    pub trigger_ack: u32,
    /// Payload received with and since the segment that acknowledged our latest data (a FIN
    /// counts as 1), or [`NEVER`] if the kernel does not tell.
    pub received_since_ack: u32,
    /// Sequence number of the RST received less the one expected, if [`flag::PACKET`].
    pub rst_seq_offset: i32,
    /// Payload written since the application last read, bytes; 0 if not known.
    pub unanswered: u32,
    /// Zero.
    pub pad: u32,
    /// Payload of the packet answered, bytes.
    pub trigger_len: u16,
    /// IP identification of the RST received, 0 for IPv6, if [`flag::PACKET`].
    pub rst_ip_id: u16,
    /// TCP flags of the packet answered (FIN 1, SYN 2, RST 4, PSH 8, ACK 16).
    pub trigger_flags: u8,
    /// TTL or hop limit of the packet answered.
    pub trigger_ttl: u8,
    /// [`direction`].
    pub direction: u8,
    /// 4 or 6: of the packet, so a v4-mapped socket counts as 4.
    pub ip_version: u8,
    /// [`shape`].
    pub shape: u8,
    /// TCP state at the event, the kernel's number; 0 without a socket.
    pub state: u8,
    /// TCP state before the reset, the kernel's number; 0 without a socket.
    pub state_before: u8,
    /// [`role`].
    pub role: u8,
    /// `sk_shutdown`: `RCV_SHUTDOWN` 1, `SEND_SHUTDOWN` 2.
    pub shutdown: u8,
    /// Unanswered keep-alive or zero-window probes.
    pub probes_out: u8,
    /// Retransmits of the segment in flight.
    pub retransmits_now: u8,
    /// TTL or hop limit of the RST received, if [`flag::PACKET`].
    pub rst_ttl: u8,
    /// TTL or hop limit of the peer's packet in the handshake; 0 if not seen.
    pub handshake_ttl: u8,
    /// TCP flags of the RST received, if [`flag::PACKET`].
    pub rst_flags: u8,
    /// [`hook`].
    pub hook: u8,
    /// [`failure`].
    pub failure: u8,
}

const _: () = assert!(size_of::<ResetRecord>() == 344);
const _: () = assert!(size_of::<ResetRecord>().is_multiple_of(8));
