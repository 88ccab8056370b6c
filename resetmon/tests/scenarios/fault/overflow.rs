//! The backend's accept queue is full.

use anyhow::Result;

use super::filter;
use crate::exchange::{ask, server_error};
use crate::scene::{Scene, wait_for};

/// From where the queue is filled.
const FILLER: &str = "127.255.0.1:0";

/// No SYN is taken any more.
pub(crate) fn silent(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.backend()?.socket(scene.route.back)?;
    listener.listen(scene.route.back, 0)?;
    fill(scene)?;
    server_error(&ask(scene)?)
}

/// The gateway's connection is half open when the queue fills, and `tcp_abort_on_overflow` makes the kernel
/// refuse it.
pub(crate) fn aborting(scene: &Scene<'_>) -> Result<()> {
    scene.netns.sysctl("ipv4/tcp_abort_on_overflow", "1")?;
    let listener = scene.backend()?.socket(scene.route.back)?;
    listener.listen(scene.route.back, 0)?;
    let port = scene.route.back.port();
    // What follows the SYN is held up until the queue is full.
    let held = format!("ip saddr != 127.255.0.1 tcp dport {port} tcp flags & (syn|ack) == ack");
    filter::drop_silently(scene, &held)?;
    let client = ask(scene)?;
    wait_for("the gateway to connect", || {
        let table = scene
            .netns
            .enter(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))??;
        // SYN_RECV
        let half_open = format!(":{port:04X} ");
        Ok(table
            .lines()
            .any(|line| line.contains(&half_open) && line.contains(" 03 "))
            .then_some(()))
    })?;
    fill(scene)?;
    filter::clear(scene)?;
    server_error(&client)?;
    scene.netns.sysctl("ipv4/tcp_abort_on_overflow", "0")
}

/// Fills a queue that has room for one.
fn fill(scene: &Scene<'_>) -> Result<()> {
    let filler = scene.actor("filler")?.socket(scene.route.back)?;
    filler.bind(FILLER.parse()?)?;
    filler.connect(scene.route.back)?;
    Ok(())
}
