//! Nobody answers at the backend's address, or a packet filter does.

use anyhow::Result;

use super::filter;
use crate::exchange::{ask, exchanged, no_answer, request, server_error};
use crate::scene::Scene;

/// Nobody listens.
pub(crate) fn not_listening(scene: &Scene<'_>) -> Result<()> {
    server_error(&ask(scene)?)
}

/// A packet filter rejects the attempt to connect.
pub(crate) fn rejected(scene: &Scene<'_>) -> Result<()> {
    let _listener = scene.listen()?;
    filter::reject(scene, &format!("tcp dport {}", scene.route.back.port()))?;
    server_error(&ask(scene)?)
}

/// A packet filter rejects the next request on a connection that stands.
pub(crate) fn rejected_later(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let (client, _backend) = exchanged(scene, &listener)?;
    let port = scene.route.back.port();
    filter::reject(scene, &format!("tcp dport {port} tcp flags & psh == psh"))?;
    client.write(request(scene).as_bytes())?;
    no_answer(&client)
}
