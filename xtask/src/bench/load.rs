//! Connections and resets, made as fast as the machine can or held open.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::place::{CLOSED_PORT, OURS_V4, OURS_V6};

/// Descriptors that a holder needs for other things than connections.
const SPARE: u64 = 64;

/// Runs each kind in a thread of its own, once at least, until `duration` is over; how often in
/// all, and the time it really took.
///
/// # Errors
/// The first error of a kind.
pub(crate) fn run_for<F>(duration: Duration, kinds: Vec<F>) -> Result<(u64, Duration)>
where
    F: FnMut() -> Result<()> + Send,
{
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let total = std::thread::scope(|scope| {
        let threads: Vec<_> = kinds
            .into_iter()
            .map(|mut once| {
                let stop = &stop;
                scope.spawn(move || {
                    let mut count = 0_u64;
                    loop {
                        once()?;
                        count += 1;
                        if stop.load(Ordering::Relaxed) {
                            return anyhow::Ok(count);
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(duration);
        stop.store(true, Ordering::Relaxed);
        let mut total = 0;
        for thread in threads {
            total += match thread.join() {
                Ok(count) => count?,
                Err(_) => bail!("a thread of the load panicked"),
            };
        }
        anyhow::Ok(total)
    })?;
    Ok((total, start.elapsed()))
}

/// A connection to a port on which nobody listens: one reset sent, one received.
///
/// # Errors
/// When it ends otherwise.
pub(crate) fn refused(address: IpAddr) -> Result<()> {
    match TcpStream::connect((address, CLOSED_PORT)) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error).with_context(|| format!("connect to {address}")),
        Ok(_) => bail!("somebody listens on {address}:{CLOSED_PORT}"),
    }
}

/// As [`refused`], one thread for IPv4 and one for IPv6.
///
/// # Errors
/// When a connection ends otherwise.
pub(crate) fn refuse_for(duration: Duration) -> Result<(u64, Duration)> {
    let kinds = [OURS_V4, OURS_V6].map(|address| move || refused(address));
    run_for(duration, kinds.into())
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Both sides close, the server first.
    Close,
    /// The server closes without reading everything: one reset sent and one received of an
    /// established connection, with all that is known of one.
    Reset,
}

/// Makes connections with a request, one after another.
#[derive(Debug)]
pub(crate) struct Connector {
    listener: TcpListener,
    end: End,
}

impl Connector {
    /// Listens on a port of its own.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn new(end: End) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen")?;
        Ok(Self { listener, end })
    }

    /// Makes one.
    ///
    /// # Errors
    /// When the connection is not made, or ends before the server closes it.
    pub(crate) fn once(&self) -> Result<()> {
        let mut client = TcpStream::connect(self.listener.local_addr()?)?;
        let (mut server, _) = self.listener.accept()?;
        client.write_all(b"request")?;
        server.read_exact(&mut [0; 7])?;
        if self.end == End::Reset {
            client.write_all(b"more")?;
        }
        // Before the client: it keeps its port free of TIME_WAIT.
        drop(server);
        Ok(())
    }
}

/// Makes connections in two threads.
///
/// # Errors
/// When a connection fails.
pub(crate) fn connect_for(duration: Duration, end: End) -> Result<(u64, Duration)> {
    let connectors = [Connector::new(end)?, Connector::new(end)?];
    run_for(
        duration,
        connectors.map(|connector| move || connector.once()).into(),
    )
}

/// Where the connections of one holder go: 28,000 ports and more each.
fn target(index: u64) -> IpAddr {
    // The third byte counts; a run has a handful of holders.
    let [.., byte] = index.to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 0, byte, 1))
}

/// How many connections a process may hold with both ends, by its hard limit of descriptors,
/// which becomes the soft one.
///
/// # Errors
/// When the limit cannot be set.
pub(crate) fn raise_limit() -> Result<u64> {
    let hard = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: hard,
        maximum: hard,
    };
    setrlimit(Resource::Nofile, limit).context("the limit of descriptors cannot be raised")?;
    Ok(hard.unwrap_or(u64::from(u32::MAX)).saturating_sub(SPARE) / 2)
}

/// Opens `count` connections, both ends in this process, says `held`, and holds them until
/// standard input ends.
///
/// # Errors
/// When a connection cannot be made.
pub(crate) fn hold(index: u64, count: u64) -> Result<()> {
    raise_limit()?;
    let address = target(index);
    let listener = TcpListener::bind((address, 0)).context("cannot listen")?;
    let to: SocketAddr = listener.local_addr()?;
    let mut held = Vec::new();
    for made in 0..count {
        let client = TcpStream::connect(to).with_context(|| format!("after {made} connections"))?;
        let (server, _) = listener
            .accept()
            .with_context(|| format!("after {made} connections"))?;
        held.push((client, server));
    }
    println!("held");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// How many connections each holder gets, of `connections` in all with at most `each`.
pub(crate) fn shares(connections: u64, each: u64) -> Vec<u64> {
    if each == 0 {
        return Vec::new();
    }
    let mut left = connections;
    let mut shares = Vec::new();
    while left > 0 {
        let share = left.min(each);
        shares.push(share);
        left -= share;
    }
    shares
}

/// The kernel's TCP counters of this network namespace (/proc/net/snmp): resets sent, and
/// connections that failed while being made.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn kernel_counters() -> Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/net/snmp").context("cannot read /proc/net/snmp")?;
    let read =
        |name| tcp_counter(&text, name).with_context(|| format!("no {name} in /proc/net/snmp"));
    Ok((read("OutRsts")?, read("AttemptFails")?))
}

/// A counter of the pair of lines `Tcp:`: names, then numbers.
fn tcp_counter(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let names = lines.next()?.split_whitespace();
    let values = lines.next()?.split_whitespace();
    names
        .zip(values)
        .find(|(own, _)| *own == name)?
        .1
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_share_the_connections() {
        assert_eq!(shares(50_000, 20_000), [20_000, 20_000, 10_000]);
        assert_eq!(shares(20_000, 20_000), [20_000]);
        assert_eq!(shares(0, 20_000), [0; 0]);
        assert_eq!(shares(5, 0), [0; 0]);
    }

    #[test]
    fn counters_are_found_by_name() {
        let text = "Ip: OutRsts\nIp: 1\nTcp: RtoMin OutRsts MaxConn\nTcp: 200 17 -1\n\
                    Udp: OutRsts\nUdp: 5\n";
        assert_eq!(tcp_counter(text, "OutRsts"), Some(17));
        assert_eq!(tcp_counter(text, "MaxConn"), None);
        assert_eq!(tcp_counter(text, "AttemptFails"), None);
        assert_eq!(tcp_counter("Tcp: OutRsts\n", "OutRsts"), None);
    }

    #[test]
    fn each_holder_has_an_address_of_its_own() {
        assert_eq!(target(0).to_string(), "127.0.0.1");
        assert_eq!(target(3).to_string(), "127.0.3.1");
    }

    #[test]
    fn load_runs_until_its_time_is_over_or_fails() {
        let once: fn() -> Result<()> = || Ok(());
        let (count, took) = run_for(Duration::from_millis(5), vec![once, once]).unwrap();
        assert!(count > 0 && took >= Duration::from_millis(5));
        let fails: fn() -> Result<()> = || bail!("no port");
        let error = run_for(Duration::from_millis(1), vec![once, fails]).unwrap_err();
        assert_eq!(error.to_string(), "no port");
    }
}
