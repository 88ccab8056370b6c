//! The client leaves.

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::aborted::abort;
use crate::actor::Socket;
use crate::actor::command::Readiness;
use crate::exchange::{HALF, ask, asked, status};
use crate::scene::Scene;

/// How long the request waits for an answer before.
const WAIT: Duration = Duration::from_millis(150);

/// It resets its connection while the backend works.
pub(crate) fn aborts_waiting(scene: &Scene<'_>) -> Result<()> {
    let (client, backend) = waiting(scene)?;
    abort(&client)?;
    backend.wait(Readiness::PeerClosed)
}

/// It closes its connection while the backend works.
pub(crate) fn closes_waiting(scene: &Scene<'_>) -> Result<()> {
    let (client, backend) = waiting(scene)?;
    client.close()?;
    backend.wait(Readiness::PeerClosed)
}

/// It resets its connection in the middle of a stream, which the backend goes on with.
pub(crate) fn aborts_mid_stream(scene: &Scene<'_>) -> Result<()> {
    let (client, backend) = streaming(scene)?;
    abort(&client)?;
    backend.wait(Readiness::PeerClosed)?;
    // It fails where the gateway has reset the connection.
    let _ = backend.write(b"more");
    Ok(())
}

/// It closes its connection in the middle of a stream, which the backend goes on with.
pub(crate) fn closes_mid_stream(scene: &Scene<'_>) -> Result<()> {
    let (client, backend) = streaming(scene)?;
    client.close()?;
    backend.wait(Readiness::PeerClosed)?;
    // It fails where the gateway has reset the connection.
    let _ = backend.write(b"more");
    Ok(())
}

/// A health check that connects and resets.
pub(crate) fn probes(scene: &Scene<'_>) -> Result<()> {
    let (client, _) = scene.connect()?;
    // The gateway has taken it by then.
    sleep(WAIT);
    abort(&client)
}

fn waiting(scene: &Scene<'_>) -> Result<(Socket, Socket)> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let backend = asked(scene, &listener)?;
    sleep(WAIT);
    Ok((client, backend))
}

fn streaming(scene: &Scene<'_>) -> Result<(Socket, Socket)> {
    let (client, backend) = waiting(scene)?;
    backend.write(HALF)?;
    let seen = status(&client)?;
    ensure!(seen == 200, "the client saw {seen}");
    sleep(WAIT);
    Ok((client, backend))
}
