//! Nothing is wrong.

use anyhow::Result;

use crate::actor::command::Readiness;
use crate::exchange::{ANSWER, answered, ask, asked, exchanged, read_request, request};
use crate::scene::Scene;

/// A second request over kept connections; then the client leaves.
pub(crate) fn kept(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, backend) = exchanged(scene, &listener)?;
    client.write(request(scene).as_bytes())?;
    read_request(&backend)?;
    backend.write(ANSWER)?;
    answered(&client)?;
    client.close()
}

/// A connection for each of three requests on either leg.
pub(crate) fn short(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    for _ in 0..3 {
        let client = ask(scene)?;
        let backend = asked(scene, &listener)?;
        backend.write(ANSWER)?;
        answered(&client)?;
        client.close()?;
        backend.wait(Readiness::PeerClosed)?;
        backend.close()?;
    }
    Ok(())
}

/// A health check that connects and closes.
pub(crate) fn checked(scene: &Scene<'_>) -> Result<()> {
    let (check, _) = scene.connect()?;
    check.close()
}
