//! The backend aborts: `SO_LINGER` 0, then `close()`.

use std::thread::sleep;

use anyhow::{Result, ensure};

use super::idle::SILENCE;
use crate::actor::Socket;
use crate::actor::command::{Readiness, Setting};
use crate::exchange::{ANSWER, HALF, answered, ask, asked, drain, exchanged, server_error, status};
use crate::scene::Scene;

/// It has read the request and answers nothing.
pub(crate) fn before_answer(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let backend = asked(scene, &listener)?;
    abort(&backend)?;
    server_error(&client)
}

/// The client has read the first half of the answer.
pub(crate) fn mid_answer(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let backend = asked(scene, &listener)?;
    backend.write(HALF)?;
    let seen = status(&client)?;
    ensure!(seen == 200, "the client saw {seen}");
    abort(&backend)?;
    drain(&client);
    Ok(())
}

/// The client has the whole answer, and the gateway has closed its end.
pub(crate) fn after_answer(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let backend = asked(scene, &listener)?;
    backend.write(ANSWER)?;
    answered(&client)?;
    backend.wait(Readiness::PeerClosed)?;
    abort(&backend)
}

/// The connection was kept, and silent for long.
pub(crate) fn while_idle(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, backend) = exchanged(scene, &listener)?;
    sleep(SILENCE);
    abort(&backend)?;
    // The next request is answered over a new connection.
    client.write(crate::exchange::request(scene).as_bytes())?;
    asked(scene, &listener)?.write(ANSWER)?;
    answered(&client)
}

/// Resets a connection.
pub(crate) fn abort(socket: &Socket) -> Result<()> {
    socket.set(Setting::Linger(0))?;
    socket.close()
}
