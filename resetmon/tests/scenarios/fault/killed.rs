//! `kill -9` of the backend.

use anyhow::{Result, ensure};

use crate::exchange::{HALF, ask, asked, drain, server_error, status};
use crate::scene::Scene;

/// The request waits unread in its socket.
pub(crate) fn request_unread(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let _unread = scene.accept(&listener)?;
    scene.backend()?.kill()?;
    server_error(&client)
}

/// It has read the request.
pub(crate) fn request_read(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let _read = asked(scene, &listener)?;
    scene.backend()?.kill()?;
    server_error(&client)
}

/// It has answered by half.
pub(crate) fn mid_answer(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let backend = asked(scene, &listener)?;
    backend.write(HALF)?;
    let seen = status(&client)?;
    ensure!(seen == 200, "the client saw {seen}");
    scene.backend()?.kill()?;
    drain(&client);
    Ok(())
}
