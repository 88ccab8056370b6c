//! The kernel's own TCP counters of a network namespace: `/proc/PID/net/snmp` and `netstat`.
//!
//! Both files are pairs of lines, a header with column names and the values below it, each
//! beginning with the name of the group. Columns come and go with kernel versions, so they are
//! found by name.

pub mod namespaces;

/// A counter of RST packets or of what leads to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counter {
    /// RST packets sent, but for those of netfilter and BPF.
    OutRsts,
    /// Connections that left ESTABLISHED or `CLOSE_WAIT` for CLOSE, whatever the cause.
    EstabResets,
    /// Connections that failed before they were established.
    AttemptFails,
    /// Aborted by data after close, or by linger with time 0.
    AbortOnData,
    /// Closed with data unread.
    AbortOnClose,
    /// Too many orphans, or out of TCP memory.
    AbortOnMemory,
    /// Given up after retransmits, probes or the user's time limit.
    AbortOnTimeout,
    /// Closed in `FIN_WAIT2` with `TCP_LINGER2` below 0.
    AbortOnLinger,
    /// RST packets that could not be built or transmitted.
    AbortFailed,
    /// Half-open requests ended by a reset.
    EmbryonicRsts,
    /// Handshakes dropped because the accept queue was full.
    ListenOverflows,
    /// Handshakes dropped for any reason.
    ListenDrops,
    /// Challenge ACKs sent in answer to doubtful RST or SYN packets (RFC 5961).
    ChallengeAck,
}

const TCP: &str = "Tcp:";
const TCP_EXT: &str = "TcpExt:";

impl Counter {
    /// Every counter, in the order of its index.
    pub const ALL: [Self; 13] = [
        Self::OutRsts,
        Self::EstabResets,
        Self::AttemptFails,
        Self::AbortOnData,
        Self::AbortOnClose,
        Self::AbortOnMemory,
        Self::AbortOnTimeout,
        Self::AbortOnLinger,
        Self::AbortFailed,
        Self::EmbryonicRsts,
        Self::ListenOverflows,
        Self::ListenDrops,
        Self::ChallengeAck,
    ];

    /// The kernel's name: the column, and the value of the metric label `counter`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutRsts => "OutRsts",
            Self::EstabResets => "EstabResets",
            Self::AttemptFails => "AttemptFails",
            Self::AbortOnData => "TCPAbortOnData",
            Self::AbortOnClose => "TCPAbortOnClose",
            Self::AbortOnMemory => "TCPAbortOnMemory",
            Self::AbortOnTimeout => "TCPAbortOnTimeout",
            Self::AbortOnLinger => "TCPAbortOnLinger",
            Self::AbortFailed => "TCPAbortFailed",
            Self::EmbryonicRsts => "EmbryonicRsts",
            Self::ListenOverflows => "ListenOverflows",
            Self::ListenDrops => "ListenDrops",
            Self::ChallengeAck => "TCPChallengeACK",
        }
    }

    /// The first word of its lines.
    const fn group(self) -> &'static str {
        match self {
            Self::OutRsts | Self::EstabResets | Self::AttemptFails => TCP,
            _ => TCP_EXT,
        }
    }

    fn from_column(group: &str, column: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|counter| counter.name() == column && counter.group() == group)
    }
}

/// The counters of one network namespace at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounters {
    values: [Option<u64>; Counter::ALL.len()],
}

impl TcpCounters {
    /// From the text of the two files.
    ///
    /// What is not there, or no number, is `None`; a text cut off anywhere yields fewer counters
    /// but no wrong ones.
    #[must_use]
    pub fn parse(snmp: &str, netstat: &str) -> Self {
        let mut counters = Self::default();
        counters.take(snmp);
        counters.take(netstat);
        counters
    }

    /// A counter's value; `None` if this kernel does not have it.
    #[must_use]
    pub const fn get(&self, counter: Counter) -> Option<u64> {
        self.values[counter as usize]
    }

    /// The same with one counter set.
    #[must_use]
    pub const fn with(mut self, counter: Counter, value: u64) -> Self {
        self.values[counter as usize] = Some(value);
        self
    }

    fn take(&mut self, text: &str) {
        let mut header: Option<(&str, &str)> = None;
        for line in text.split_inclusive('\n') {
            // Without its end a line may be cut off in the middle of a number.
            let Some(line) = line.strip_suffix('\n') else {
                return;
            };
            let (group, rest) = line.split_once(' ').unwrap_or((line, ""));
            match header.take() {
                Some((above, columns)) if above == group => self.pair(group, columns, rest),
                _ => header = Some((group, rest)),
            }
        }
    }

    fn pair(&mut self, group: &str, columns: &str, values: &str) {
        for (column, value) in columns.split(' ').zip(values.split(' ')) {
            if let Some(counter) = Counter::from_column(group, column) {
                let slot = &mut self.values[counter as usize];
                // Of a column that is there twice, the first.
                *slot = slot.or_else(|| value.parse().ok());
            }
        }
    }
}

#[cfg(test)]
mod tests;
