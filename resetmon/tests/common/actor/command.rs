//! What an actor can be told to do.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One step of an actor. Sockets are named by the script.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// A socket for addresses like this one; with Multipath TCP if asked.
    Socket {
        name: String,
        like: SocketAddr,
        mptcp: bool,
    },
    /// Binds with `SO_REUSEADDR`. Answers the local address.
    Bind { name: String, to: SocketAddr },
    /// Answers the local address.
    Local { name: String },
    /// `listen()`. Answers the local address.
    Listen { name: String, backlog: i32 },
    /// `connect()`, which blocks. Answers the local address.
    Connect { name: String, to: SocketAddr },
    /// Sends a SYN and does not wait. Answers the local address.
    StartConnect { name: String, to: SocketAddr },
    /// Takes a connection. Answers the peer's address.
    Accept { listener: String, name: String },
    /// One `read()` of at most `length` bytes. Answers the bytes, none at the end.
    Read { name: String, length: usize },
    /// Writes all of it.
    Write { name: String, bytes: Vec<u8> },
    /// Waits for one of the events.
    Await { name: String, what: Readiness },
    /// Waits until the kernel's TCP state is this number.
    AwaitState { name: String, state: u8 },
    /// Forgets the socket: the last close of its descriptor in this process.
    Close { name: String },
    /// `shutdown()`.
    Shutdown { name: String, how: Half },
    /// `connect(AF_UNSPEC)`.
    Disconnect { name: String },
    /// Sets an option.
    Set { name: String, option: Setting },
    /// Answers with the descriptor of the socket.
    Give { name: String },
    /// Takes the descriptor that comes with this command.
    Take { name: String },
    /// `fork()`: the child is an actor of its own, with copies of all sockets. Answers its process
    /// id, with its channel.
    Fork,
    /// `prctl(PR_SET_NAME)` of the thread at work.
    Rename { name: Vec<u8> },
    /// Does `command` in a new thread of this name.
    InThread {
        thread: String,
        command: Box<Command>,
    },
    /// `SOCK_DESTROY` of the socket with these endpoints.
    Destroy {
        local: SocketAddr,
        remote: SocketAddr,
        state: DestroyState,
    },
    /// Several steps without waiting in between; stops at the first failure. Answers the last.
    Sequence(Vec<Command>),
    /// Sends the socket to nobody: it waits in the queue of a Unix socket that waits in its own, and
    /// is closed here.
    Strand { name: String },
    /// Takes memory until there is none.
    TakeMemory,
    /// Sends the thread at work this signal.
    Raise { signal: i32 },
    /// `exit()`.
    Exit { status: i32 },
}

/// What [`Command::Await`] waits for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Readiness {
    /// Data, a connection to accept, or the end.
    Input,
    /// The peer's FIN.
    PeerClosed,
    /// An error, or both directions shut.
    Broken,
    /// The connection stands, or failed.
    Connected,
}

/// Which direction [`Command::Shutdown`] shuts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Half {
    /// `SHUT_WR`.
    Write,
    /// `SHUT_RDWR`.
    Both,
}

/// Options of a socket.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Setting {
    /// `SO_LINGER` with this time, seconds.
    Linger(u16),
    /// `TCP_LINGER2`.
    Linger2(i32),
    /// Keep-alive after 1 s idle, one probe, given up 1 s later.
    Keepalive,
    /// `TCP_USER_TIMEOUT`, milliseconds.
    UserTimeout(u32),
}

/// Which kind of socket [`Command::Destroy`] means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum DestroyState {
    /// A connection.
    Connection,
    /// A listening socket; `remote` is the unspecified address.
    Listener,
}

/// What an actor answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Done.
    Done,
    /// Done, with an address.
    Address(SocketAddr),
    /// Done, with what was read.
    Bytes(Vec<u8>),
    /// Done, with a process id.
    Pid(u32),
    /// The system call failed with this errno.
    Failed(i32),
}
