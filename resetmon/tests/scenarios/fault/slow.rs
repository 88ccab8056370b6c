//! A backend that is slower than the gateway waits.

use anyhow::Result;

use crate::actor::command::Readiness;
use crate::exchange::{ANSWER, ask, asked, server_error};
use crate::scene::Scene;

/// It answers after the gateway has given up.
pub(crate) fn answer(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let backend = asked(scene, &listener)?;
    server_error(&client)?;
    backend.wait(Readiness::PeerClosed)?;
    // It fails where the gateway has reset the connection.
    let _ = backend.write(ANSWER);
    Ok(())
}
