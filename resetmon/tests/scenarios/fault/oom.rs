//! The kernel kills the backend for want of memory in its cgroup.

use anyhow::Result;

use crate::actor::command::Command;
use crate::cgroup::Cgroup;
use crate::exchange::{ask, asked, server_error};
use crate::scene::Scene;

/// What the backend may use, bytes: more than it does when idle.
const LIMIT: u64 = 32 << 20;

/// It has not read the whole request.
pub(crate) fn request_unread(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    scene.accept(&listener)?.read(1)?;
    kill(scene)?;
    server_error(&client)
}

/// It has read the request.
pub(crate) fn request_read(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    asked(scene, &listener)?;
    kill(scene)?;
    server_error(&client)
}

fn kill(scene: &Scene<'_>) -> Result<()> {
    let backend = scene.backend()?;
    let _limited = Cgroup::limited(backend.pid(), LIMIT)?;
    backend.start_step(&Command::TakeMemory)?;
    backend.ended()
}
