//! The kernel's counters: `/proc/net/snmp` and `netstat`.

use resetmon::kernel::counters::{Counter, TcpCounters};

use crate::mutate::Pool;
use crate::random::Random;
use crate::run::Target;

const SNMP: &str = "\
Ip: Forwarding DefaultTTL InReceives InHdrErrors
Ip: 1 64 4201559 0
Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors
Tcp: 1 200 120000 -1 503396 362851 140222 21180 1 4201559 4173328 12 0 150972 0
Udp: InDatagrams NoPorts InErrors OutDatagrams
Udp: 3 0 0 3
";

const NETSTAT: &str = "\
TcpExt: SyncookiesSent EmbryonicRsts TW DelayedACKs ListenOverflows ListenDrops TCPAbortOnData TCPAbortOnClose TCPAbortOnMemory TCPAbortOnTimeout TCPAbortOnLinger TCPAbortFailed TCPChallengeACK
TcpExt: 0 12 3581 77 4 5 991 1203 1 2 3 4 18446744073709551615
IpExt: InNoRoutes InTruncatedPkts
IpExt: 0 0
";

const TOKENS: &[&[u8]] = &[
    b"Tcp: ",
    b"TcpExt: ",
    b"Tcp:",
    b"\n",
    b" ",
    b"  ",
    b"OutRsts",
    b"EstabResets",
    b"TCPAbortOnData",
    b"-1",
    b"+1",
    b"18446744073709551616",
    b"00",
    b"\t",
    b"\r\n",
    b"\xff",
    b"\0",
];

/// Damaged counters.
#[derive(Debug)]
pub(crate) struct Counters {
    pool: Pool,
    good: TcpCounters,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            pool: Pool::new([SNMP, NETSTAT], TOKENS, 4096),
            good: TcpCounters::parse(SNMP, NETSTAT),
        }
    }
}

impl Target for Counters {
    const NAME: &'static str = "counters";
    const QUICK: u64 = 20_000;
    const REFUSES: bool = true;
    type Input = (String, usize);

    fn make(&mut self, random: &mut Random) -> Self::Input {
        let text = String::from_utf8_lossy(&self.pool.make(random)).into_owned();
        (text, random.below(SNMP.len() + NETSTAT.len()))
    }

    fn check(&mut self, (text, cut): &Self::Input) -> bool {
        // Good files that are cut off yield fewer counters but no wrong ones.
        let snmp = &SNMP[..SNMP.len().min(*cut)];
        let netstat = &NETSTAT[..cut.saturating_sub(SNMP.len())];
        let part = TcpCounters::parse(snmp, netstat);
        let counters = TcpCounters::parse(text, "");
        let mut found = false;
        for counter in Counter::ALL {
            assert!(part.get(counter).is_none() || part.get(counter) == self.good.get(counter));
            if let Some(value) = counters.get(counter) {
                found = true;
                assert!(text.contains(counter.name()), "{value}");
            }
        }
        if found {
            self.pool.keep(text.as_bytes());
        }
        found
    }
}
