//! Kept connections that one end, or the path, has given up.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use super::filter;
use crate::exchange::{ANSWER, answered, asked, exchanged, no_answer, request};
use crate::owner::{is_stopped, signal};
use crate::scene::{Scene, wait_for};

/// Long enough to count as silence.
pub(crate) const SILENCE: Duration = Duration::from_millis(1200);
/// Time enough for a gateway to see a FIN.
const MOMENT: Duration = Duration::from_millis(100);

/// The backend closes a kept connection, which the gateway sees before the next request.
pub(crate) fn closed_by_backend(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, backend) = exchanged(scene, &listener)?;
    backend.close()?;
    sleep(MOMENT);
    client.write(request(scene).as_bytes())?;
    asked(scene, &listener)?.write(ANSWER)?;
    answered(&client)
}

/// While the gateway gets no processor, the next request comes in and then the backend closes the
/// kept connection: the gateway sends the request over it all the same.
pub(crate) fn race(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, backend) = exchanged(scene, &listener)?;
    let holder = *scene.people().holders.first().context("no holder")?;
    signal(holder, Signal::STOP)?;
    wait_for("the gateway to stop", || {
        Ok(is_stopped(holder).then_some(()))
    })?;
    client.write(request(scene).as_bytes())?;
    backend.close()?;
    signal(holder, Signal::CONT)?;
    no_answer(&client)
}

/// The same, and the gateway looks at the backend's FIN first: it asks over a new connection.
pub(crate) fn race_noticed(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, backend) = exchanged(scene, &listener)?;
    let holder = *scene.people().holders.first().context("no holder")?;
    signal(holder, Signal::STOP)?;
    wait_for("the gateway to stop", || {
        Ok(is_stopped(holder).then_some(()))
    })?;
    client.write(request(scene).as_bytes())?;
    backend.close()?;
    signal(holder, Signal::CONT)?;
    asked(scene, &listener)?.write(ANSWER)?;
    answered(&client)
}

/// The backend closes a kept connection and its FIN is lost: it no longer knows the connection when
/// the next request comes.
pub(crate) fn forgotten(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, backend) = exchanged(scene, &listener)?;
    let port = scene.route.back.port();
    filter::drop_silently(scene, &format!("tcp sport {port} tcp flags & fin == fin"))?;
    backend.close()?;
    sleep(SILENCE);
    client.write(request(scene).as_bytes())?;
    no_answer(&client)
}

/// A box in between forgets a kept connection and drops what comes for it.
pub(crate) fn black_hole(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, _backend) = exchanged(scene, &listener)?;
    sleep(SILENCE);
    let port = scene.route.back.port();
    filter::drop_silently(scene, &format!("tcp dport {port}"))?;
    client.write(request(scene).as_bytes())?;
    no_answer(&client)
}

/// The gateway closes the idle connection of a client, its FIN is lost, and the client asks again.
pub(crate) fn client_asks_again(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let port = scene.route.front.port();
    filter::drop_silently(scene, &format!("tcp sport {port} tcp flags & fin == fin"))?;
    let (client, _backend) = exchanged(scene, &listener)?;
    // The gateway waits for a second.
    sleep(Duration::from_millis(1800));
    client.write(request(scene).as_bytes())?;
    client.read_fails(rustix::io::Errno::CONNRESET)
}
