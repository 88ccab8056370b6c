//! A request body that is too large.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::actor::Socket;
use crate::exchange::{ask_with, status};
use crate::scene::Scene;

/// Longer than any limit here, and than one read of any gateway.
const BODY: usize = 256 * 1024;
/// In this time a client must learn that nobody takes the rest.
const TOLD: Duration = Duration::from_secs(10);

/// For the gateway, which says so and takes no more of it: clients send on, until they are told.
pub(crate) fn for_gateway(scene: &Scene<'_>) -> Result<()> {
    let client = ask_with(scene, 100 * BODY, BODY)?;
    refused(&client)?;
    let end = Instant::now() + TOLD;
    while client.write(&[b'x'; 8192]).is_ok() {
        ensure!(Instant::now() < end, "the client may send on and on");
        sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// The same, and the client leaves when it has read that.
pub(crate) fn for_gateway_that_reads_on(scene: &Scene<'_>) -> Result<()> {
    let client = ask_with(scene, 100 * BODY, BODY)?;
    refused(&client)?;
    client.close()
}

/// For the backend, which says so and closes without reading it.
pub(crate) fn for_backend(scene: &Scene<'_>) -> Result<()> {
    const TOO_LARGE: &[u8] =
        b"HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let listener = scene.listen()?;
    let client = ask_with(scene, 100 * BODY, BODY)?;
    let backend = scene.accept(&listener)?;
    backend.write(TOO_LARGE)?;
    refused(&client)?;
    // What the gateway makes of it, it has done by then.
    sleep(Duration::from_millis(100));
    backend.close()
}

fn refused(client: &Socket) -> Result<()> {
    let seen = status(client)?;
    ensure!(seen == 413, "the client saw {seen}");
    Ok(())
}
