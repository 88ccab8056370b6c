//! One reset as the kernel showed it: the decoded form of a ring-buffer record.
//!
//! Units are those of the reader (durations, socket addresses, enums); nothing
//! here is concluded, only translated.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Which way the RST went, seen from this node's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// This node's stack sent it.
    Sent,
    /// This node's stack received it.
    Received,
}

impl Direction {
    /// The word used in labels and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

/// Who opened the connection, seen from the local end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The local end connected.
    Client,
    /// The local end listened or accepted.
    Server,
}

impl Role {
    /// The word used in labels and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// TCP states by the kernel's numbers (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpState {
    /// 1
    Established = 1,
    /// 2
    SynSent,
    /// 3
    SynRecv,
    /// 4
    FinWait1,
    /// 5
    FinWait2,
    /// 6
    TimeWait,
    /// 7
    Close,
    /// 8
    CloseWait,
    /// 9
    LastAck,
    /// 10
    Listen,
    /// 11
    Closing,
    /// 12
    NewSynRecv,
}

impl TcpState {
    /// The state of a kernel number; `None` for 0 and numbers that are not one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Close,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            12 => Self::NewSynRecv,
            _ => return None,
        })
    }

    /// The kernel's name, lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn_sent",
            Self::SynRecv => "syn_recv",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::TimeWait => "time_wait",
            Self::Close => "close",
            Self::CloseWait => "close_wait",
            Self::LastAck => "last_ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
            Self::NewSynRecv => "new_syn_recv",
        }
    }
}

/// What the kernel had for a socket when it reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// No socket matched the packet.
    NoSocket,
    /// A full socket, listening ones included.
    Full,
    /// A socket in `TIME_WAIT`.
    TimeWait,
    /// A half-open request.
    Request,
}

/// How the owner of a socket is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KnownBy {
    /// It called `connect()`.
    Connect,
    /// It called `listen()` on this socket.
    Listen,
    /// It called `listen()` on the socket by which the connection came in.
    Inherited,
    /// It called `accept()`.
    Accept,
    /// It was the first to read from the accepted connection.
    FirstRead,
    /// It held the socket when resetmon started.
    Existing,
    /// It was one of several that held the socket when resetmon started.
    ExistingShared,
    /// It was at work on the socket when it was closed or reset.
    Current,
    /// It owned the connection of which this reset is a repeat.
    EarlierReset,
    /// It owned the socket and was dead when the kernel closed it.
    Exited,
}

impl KnownBy {
    /// The word used in output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Listen => "listen",
            Self::Inherited => "listener",
            Self::Accept => "accept",
            Self::FirstRead => "first_read",
            Self::Existing => "open_before_start",
            Self::ExistingShared => "open_before_start_shared",
            Self::Current => "current",
            Self::EarlierReset => "earlier_reset",
            Self::Exited => "exited",
        }
    }
}

/// A process as the kernel saw it at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Thread id.
    pub tid: u32,
    /// Start of the process since boot; with `pid` it names the process for good.
    pub start: Duration,
    /// Name of the main thread; bytes that are not UTF-8 are replaced.
    pub comm: Arc<str>,
    /// cgroup v2 id.
    pub cgroup: u64,
    /// How it is known; `None` for a process record, which says nothing of a socket.
    pub known_by: Option<KnownBy>,
    /// Set if the task was dying.
    pub exit: Option<Exit>,
}

/// A process seen for the first time, with what the kernel says of its program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The process.
    pub task: Task,
    /// File name of its executable, as bytes; empty if not known.
    pub exe_name: Vec<u8>,
    /// Its arguments, each ended by NUL, cut off where they are long; empty if not known.
    pub arguments: Vec<u8>,
}

/// How a dying task dies (`signal_struct.group_exit_code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It called exit with this status.
    Status(u8),
    /// A signal ends it.
    Signal(u8),
    /// SIGKILL of the kernel's own, for want of memory.
    OutOfMemory,
}

impl Exit {
    /// The number of the signal, if one ends it.
    #[must_use]
    pub const fn signal(self) -> Option<u8> {
        const SIGKILL: u8 = 9;
        match self {
            Self::Status(_) => None,
            Self::Signal(number) => Some(number),
            Self::OutOfMemory => Some(SIGKILL),
        }
    }
}

/// Where in its way through this node a packet filter rejected a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hook {
    /// It was for this node.
    Input,
    /// This node forwards it.
    Forward,
    /// It was this node's own.
    Output,
}

impl Hook {
    /// The word of netfilter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
        }
    }
}

/// A kernel name of `enum sk_rst_reason`, lower case without its prefix: `tcp_abort_on_close`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reason(pub Arc<str>);

impl Reason {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Counters and sequence numbers of the connection, from `tcp_sock`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Payload bytes received, without the FIN.
    pub bytes_received: u64,
    /// Payload bytes that the peer acknowledged, without SYN and FIN.
    pub bytes_acked: u64,
    /// Payload bytes sent, retransmits included.
    pub bytes_sent: u64,
    /// Segments received.
    pub segs_in: u32,
    /// Segments sent.
    pub segs_out: u32,
    /// Segments with payload received.
    pub data_segs_in: u32,
    /// Segments with payload sent.
    pub data_segs_out: u32,
    /// Payload bytes received and not read, without the FIN.
    pub unread: u32,
    /// Payload bytes written and not acknowledged, without SYN and FIN.
    pub unacked: u32,
    /// Payload bytes received with and since the segment that acknowledged our latest data,
    /// without the FIN; `None` if the kernel does not tell.
    pub received_since_ack: Option<u32>,
    /// Smoothed round-trip time; `None` before the first sample.
    pub srtt: Option<Duration>,
    /// Retransmits over the connection's life.
    pub retransmits: u32,
    /// Retransmits of the segment in flight.
    pub retransmits_now: u8,
    /// Unanswered keep-alive or zero-window probes.
    pub probes_out: u8,
    /// Next sequence number expected.
    pub rcv_nxt: u32,
    /// Next sequence number to send.
    pub snd_nxt: u32,
}

/// The packet that a reset answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Payload, bytes.
    pub len: u16,
    /// TCP flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    pub flags: u8,
    /// TTL or hop limit.
    pub ttl: u8,
}

impl Trigger {
    /// The packet has SYN.
    #[must_use]
    pub const fn syn(&self) -> bool {
        self.flags & 2 != 0
    }

    /// The packet has ACK.
    #[must_use]
    pub const fn ack_flag(&self) -> bool {
        self.flags & 16 != 0
    }

    /// The packet has FIN.
    #[must_use]
    pub const fn fin(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// The RST received, as its packet was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RstPacket {
    /// TTL or hop limit.
    pub ttl: u8,
    /// IP identification; 0 for IPv6.
    pub ip_id: u16,
    /// Its sequence number less the one expected: 0 is exact.
    pub seq_offset: i32,
    /// TCP flags.
    pub flags: u8,
}

/// What held of the socket at the reset (`sock.sk_flags`, `sk_socket`, lock).
#[expect(clippy::struct_excessive_bools, reason = "independent kernel flags")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SocketFlags {
    /// `SOCK_DEAD`: the application let go of it.
    pub dead: bool,
    /// `SO_KEEPALIVE`.
    pub keepalive: bool,
    /// A file is attached.
    pub has_file: bool,
    /// A task held the lock: the closer is who did it.
    pub in_task: bool,
    /// Subflow of an MPTCP connection.
    pub mptcp: bool,
    /// Open before the agent started.
    pub existing: bool,
    /// Never accepted, and its listener was closed.
    pub listener_closed: bool,
    /// The packet answered is new data of a peer in whose name a RST had come.
    pub peer_went_on: bool,
    /// Owner found by the cookie of a connection in `TIME_WAIT`.
    pub by_cookie: bool,
    /// `RCV_SHUTDOWN`.
    pub receive_shut: bool,
    /// `SEND_SHUTDOWN`.
    pub send_shut: bool,
}

/// One reset, as the kernel showed it.
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When, since boot (`CLOCK_MONOTONIC`).
    pub time: Duration,
    /// Sent or received.
    pub direction: Direction,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Socket cookie; `None` without a socket.
    pub cookie: Option<u64>,
    /// Local endpoint.
    pub local: SocketAddr,
    /// Remote endpoint.
    pub remote: SocketAddr,
    /// What the kernel had for a socket.
    pub shape: Shape,
    /// State at the event.
    pub state: Option<TcpState>,
    /// State before the reset; `None` without a socket or when it was not seen.
    pub state_before: Option<TcpState>,
    /// The kernel's reason; `None` for received resets and before Linux 6.10.
    pub reason: Option<Reason>,
    /// Who opened the connection, if seen.
    pub role: Option<Role>,
    /// Whose socket it is.
    pub owner: Option<Task>,
    /// Who closed it, or was at work on it.
    pub closer: Option<Task>,
    /// Since the connection was established.
    pub age: Option<Duration>,
    /// Since `connect()` or the SYN.
    pub since_opened: Option<Duration>,
    /// Since payload last came in (or since the handshake, if none did).
    pub since_data_in: Option<Duration>,
    /// Since payload last went out (or since the handshake, if none did).
    pub since_data_out: Option<Duration>,
    /// Since the peer last acknowledged anything.
    pub since_ack_in: Option<Duration>,
    /// One tick of the three durations above: their uncertainty.
    pub tick: Duration,
    /// The peer had sent its FIN.
    pub fin_received: bool,
    /// Since then, if the moment was seen.
    pub since_fin_received: Option<Duration>,
    /// The local end had closed or shut down its sending side.
    pub fin_sent: bool,
    /// Since then, if the moment was seen.
    pub since_fin_sent: Option<Duration>,
    /// Counters, if the socket had them.
    pub vitals: Option<Vitals>,
    /// The packet answered, for passive resets.
    pub trigger: Option<Trigger>,
    /// The RST itself, for received resets where the kernel lets it be seen.
    pub packet: Option<RstPacket>,
    /// TTL or hop limit of the peer's packet in the handshake, if that was seen.
    pub handshake_ttl: Option<u8>,
    /// Set if a packet filter of this node made the RST: where. The local end is that of this node,
    /// which in [`Hook::Output`] a sent RST goes to.
    pub firewall: Option<Hook>,
    /// `SO_LINGER` time, if set.
    pub linger: Option<Duration>,
    /// `TCP_LINGER2` is negative.
    pub linger2_abort: bool,
    /// `sk_err`, an errno; 0 for none.
    pub socket_error: u32,
    /// uid of the socket's creator.
    pub uid: Option<u32>,
    /// `(waiting, limit)` of the accept queue, for listening sockets.
    pub accept_queue: Option<(u32, u32)>,
    /// Further flags.
    pub flags: SocketFlags,
    /// May be data after close instead of a RST: stands unless a sent reset retracts it.
    pub provisional: bool,
    /// This sent reset shows that the received one of the same socket was none.
    pub retracts: bool,
}

/// Which event showed that a connection failed without a RST.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ended {
    /// The kernel gave it up with [`Observation::socket_error`].
    Error,
    /// This end let go of it before it was established.
    Abandoned,
    /// This end closed first, with data that had no answer.
    Left,
    /// The peer closed first, with data of ours that had no answer.
    Unanswered,
}

/// A connection that may have failed without a RST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which event showed it.
    pub ended: Ended,
    /// Payload written since the application last read, bytes; 0 if that is not the question.
    pub unanswered: u32,
    /// The connection at that moment. Its direction is sent where this end gave up.
    pub observation: Observation,
}
