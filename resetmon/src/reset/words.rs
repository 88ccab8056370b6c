//! The closed lists of words: the same in labels, output and documentation.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
        }

        impl $name {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word used in labels and output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// The value that a word names.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

words! {
    /// Who made the RST.
    Sender {
        /// This node's stack.
        Local = "local",
        /// The other end of the connection.
        Peer = "peer",
        /// A packet filter on this node.
        Firewall = "firewall",
        /// A box in between, suspected on packet evidence.
        Middlebox = "middlebox",
    }
}

words! {
    /// How a connection failed as its user saw it.
    FailureKind {
        /// A RST ended it.
        Reset = "reset",
        /// The attempt to connect was refused.
        Refused = "refused",
        /// The peer, or the path to it, stopped answering.
        TimedOut = "timed_out",
        /// No way to the peer, as a router or this node said.
        Unreachable = "unreachable",
        /// A request went out and the peer closed without a byte of an answer.
        EmptyResponse = "empty_response",
        /// This side gave up first.
        Canceled = "canceled",
    }
}

words! {
    /// Which side of a gateway the connection is on.
    Leg {
        /// Client to gateway.
        Downstream = "downstream",
        /// Gateway to backend.
        Upstream = "upstream",
        /// Not a gateway's connection, or not known.
        None = "none",
    }
}

words! {
    /// How far the connection had come, from the TCP state before the reset.
    Stage {
        /// Handshake.
        Connecting = "connecting",
        /// Open in both directions.
        Established = "established",
        /// One FIN or more was seen.
        Closing = "closing",
        /// No connection.
        None = "none",
    }
}

words! {
    /// What resetmon concludes.
    Cause {
        /// Received: nobody listens at the peer.
        Refused = "refused",
        /// Received: the peer had closed an idle connection and our next request met it.
        KeepaliveRace = "keepalive_race",
        /// Received: after long silence the peer or a box in between no longer knew the connection.
        IdleTimeout = "idle_timeout",
        /// Received: a request was sent and no byte of the answer had come.
        AbortedBeforeResponse = "aborted_before_response",
        /// Received: the answer had begun.
        AbortedMidResponse = "aborted_mid_response",
        /// Received: established, then reset before any payload was exchanged.
        AbortedDuringSetup = "aborted_during_setup",
        /// Received: the client left while we were answering.
        ClientCanceled = "client_canceled",
        /// Received: both directions were finished.
        ResetAfterClose = "reset_after_close",
        /// Received: not the peer's, on packet evidence.
        Injected = "injected",
        /// Sent: nobody listens on the port.
        NoListener = "no_listener",
        /// Sent: a segment of a connection that does not exist.
        StraySegment = "stray_segment",
        /// Sent: the accept queue was full.
        ListenOverflow = "listen_overflow",
        /// Sent: the application closed with received data unread.
        ClosedWithUnreadData = "closed_with_unread_data",
        /// Sent: the application asked for an abort (`SO_LINGER` 0, `TCP_LINGER2`, disconnect).
        LingerAbort = "linger_abort",
        /// Sent: the connection was waiting to be accepted when its listener was closed.
        ListenerClosed = "listener_closed",
        /// Sent: the peer sent data after the application had closed.
        DataAfterClose = "data_after_close",
        /// Sent: the owner was exiting.
        ProcessExit = "process_exit",
        /// Sent: the owner was killed by a signal.
        ProcessKilled = "process_killed",
        /// Sent: the peer no longer answered keep-alive probes.
        KeepaliveTimeout = "keepalive_timeout",
        /// Sent: `TCP_USER_TIMEOUT` expired.
        UserTimeout = "user_timeout",
        /// Sent: too many orphans, or no memory for TCP.
        MemoryPressure = "memory_pressure",
        /// Sent: an administrator or CNI destroyed the socket.
        SocketDestroyed = "socket_destroyed",
        /// Sent by a packet filter's reject rule.
        FirewallReject = "firewall_reject",
        /// Sent: the handshake broke TCP's rules.
        ProtocolError = "protocol_error",
        /// Sent: data or a SYN for a connection in `TIME_WAIT`.
        Timewait = "timewait",
        /// Sent: Multipath TCP gave up a subflow or closed fast.
        Mptcp = "mptcp",
        /// The evidence does not decide.
        Unknown = "unknown",
    }
}
