//! The faults, and what is healthy beside them. Each goes on until the time is over, and checks by what
//! clients see that it was made.

use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::caller::Caller;
use super::site::{self, CALM, EDGE, LLM, ORDERS, PAYMENTS, PROVIDER, Site, at, provider};
use crate::owner::{is_stopped, signal};
use crate::scene::wait_for;
use crate::sockets::{self, state};

/// A fault of a site, until an instant.
type Fault = fn(&Site<'_>, Instant) -> Result<()>;

/// All of them.
pub(super) const ALL: [(&str, Fault); 8] = [
    ("keep-alive race", race),
    ("idle timeout", forgotten),
    ("a bad endpoint", bad_endpoint),
    ("a killed backend", killed),
    ("nobody listens", refused),
    ("a provider that crashes", crashing),
    ("healthy behind nginx", healthy),
    ("healthy behind Python", healthy_streams),
];

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The backend closes connections that were idle for 2 s. nginx, busy at that moment, gets the next request
/// before it gets to the FIN, and sends it where nobody is any more.
fn race(site: &Site<'_>, end: Instant) -> Result<()> {
    let mut met = 0;
    while Instant::now() + ms(3000) < end {
        let mut client = Caller::new(site.netns, EDGE)?;
        ensure!(client.call("/pay", "close-after:2")? == 200, "/pay failed");
        sleep(ms(1600));
        signal(site.worker, Signal::STOP)?;
        wait_for(
            "nginx to stop",
            || Ok(is_stopped(site.worker).then_some(())),
        )?;
        let asked = client.ask("/pay", "gpt", 0);
        let closed = asked.and_then(|()| {
            wait_for("the backend to close", || {
                let all = sockets::all(site.netns)?;
                let mut of_nginx = all.iter().filter(|socket| socket.remote == at(PAYMENTS));
                Ok(of_nginx
                    .all(|socket| socket.state != state::ESTABLISHED)
                    .then_some(()))
            })
        });
        signal(site.worker, Signal::CONT)?;
        closed?;
        met += usize::from(client.status()? == 502);
    }
    ensure!(met >= 5, "only {met} requests met a closed connection");
    Ok(())
}

/// Something resets connections that were idle for 3 s.
fn forgotten(site: &Site<'_>, end: Instant) -> Result<()> {
    let mut client = Caller::new(site.netns, EDGE)?;
    while Instant::now() + ms(3500) < end {
        ensure!(
            client.call("/search", "reset-after:3")? == 200,
            "/search failed"
        );
        sleep(ms(3400));
    }
    Ok(())
}

/// One of three endpoints resets.
fn bad_endpoint(site: &Site<'_>, end: Instant) -> Result<()> {
    let mut client = Caller::new(site.netns, EDGE)?;
    let (mut good, mut bad) = (0, 0);
    while Instant::now() < end {
        match client.call("/catalog", "gpt")? {
            200 => good += 1,
            502 => bad += 1,
            other => ensure!(other == 200, "/catalog answered {other}"),
        }
        sleep(ms(500));
    }
    ensure!(bad >= 10 && good >= bad, "{good} good, {bad} bad");
    Ok(())
}

/// A backend is killed with requests that it has not read, and started again.
fn killed(site: &Site<'_>, end: Instant) -> Result<()> {
    let backend = provider(site.netns, ORDERS, None)?;
    site::until_listening(site.netns, ORDERS)?;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Caller::new(site.netns, EDGE)?);
    }
    // At the same time, so that each has a connection of its own behind nginx.
    for client in &mut clients {
        client.ask("/orders", "slow:0.5", 0)?;
    }
    for client in &mut clients {
        ensure!(client.status()? == 200, "/orders failed");
    }
    sleep(ms(5000));
    signal(backend.pid(), Signal::STOP)?;
    for client in &mut clients {
        client.ask("/orders", "gpt", 0)?;
    }
    wait_for("the requests to wait", || {
        let all = sockets::all(site.netns)?;
        let waiting = all
            .iter()
            .filter(|socket| socket.local == at(ORDERS) && socket.unread > 0)
            .filter(|socket| socket.state == state::ESTABLISHED);
        Ok((waiting.count() == 3).then_some(()))
    })?;
    signal(backend.pid(), Signal::KILL)?;
    backend.ended()?;
    for client in &mut clients {
        ensure!(client.status()? == 502, "/orders was answered by the dead");
    }
    let _backend = provider(site.netns, ORDERS, None)?;
    site::until_listening(site.netns, ORDERS)?;
    while Instant::now() < end {
        for client in &mut clients {
            ensure!(client.call("/orders", "gpt")? == 200, "/orders failed");
        }
        sleep(ms(200));
    }
    Ok(())
}

/// Nobody listens.
fn refused(site: &Site<'_>, end: Instant) -> Result<()> {
    let mut client = Caller::new(site.netns, EDGE)?;
    while Instant::now() < end {
        ensure!(client.call("/billing", "gpt")? == 502, "/billing is there");
        sleep(ms(2500));
    }
    Ok(())
}

/// A provider crashes in the middle of a stream, is started again, and crashes again. While it is down,
/// connections to it are refused.
fn crashing(site: &Site<'_>, end: Instant) -> Result<()> {
    let mut rounds = 0;
    while Instant::now() + ms(3000) < end {
        let backend = provider(site.netns, PROVIDER, None)?;
        site::until_listening(site.netns, PROVIDER)?;
        let mut client = Caller::new(site.netns, LLM)?;
        let path = "/v1/chat/completions";
        ensure!(client.call(path, "gpt")? == 200, "the stream failed");
        // Crashes keep no time.
        rounds += 1;
        sleep(ms(170) * (rounds % 5));
        client.ask(path, "crash-mid", 60_000)?;
        // The stream had its status before; its error is inside.
        ensure!(client.status()? == 200, "the stream did not begin");
        backend.ended()?;
        ensure!(client.call(path, "gpt")? == 503, "the provider is there");
        sleep(ms(1500));
    }
    Ok(())
}

/// Kept connections, fresh ones, and checks that only connect.
fn healthy(site: &Site<'_>, end: Instant) -> Result<()> {
    let mut kept = Caller::new(site.netns, EDGE)?;
    while Instant::now() < end {
        ensure!(kept.call("/ok", "gpt")? == 200, "/ok failed");
        let mut fresh = Caller::new(site.netns, EDGE)?;
        ensure!(fresh.call("/ok", "slow:0.1")? == 200, "/ok failed");
        drop(site.netns.enter(|| TcpStream::connect(at(EDGE)))??);
        sleep(ms(100));
    }
    Ok(())
}

/// Streams over kept connections and over fresh ones.
fn healthy_streams(site: &Site<'_>, end: Instant) -> Result<()> {
    let path = "/v1/chat/completions";
    let mut kept = Caller::new(site.netns, CALM)?;
    while Instant::now() < end {
        ensure!(kept.call(path, "gpt")? == 200, "a stream failed");
        let mut fresh = Caller::new(site.netns, CALM)?;
        ensure!(fresh.call(path, "gpt")? == 200, "a stream failed");
    }
    Ok(())
}
