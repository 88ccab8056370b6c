//! TLS that does not come about.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::actor::command::Readiness;
use crate::bed::is_listening;
use crate::certificates::NAME;
use crate::exchange::{ask, drain, server_error};
use crate::scene::{Scene, wait_for};

/// Client and gateway have no cipher in common, and the gateway says so.
pub(crate) fn no_cipher(scene: &Scene<'_>) -> Result<()> {
    let (front, name) = (scene.route.front, scene.route.name);
    let mut curl = Command::new("curl");
    // The gateway's key is no RSA key.
    curl.args(["--silent", "--tls-max", "1.2"])
        .args(["--ciphers", "ECDHE-RSA-AES256-GCM-SHA384"])
        .args(["--output", "/dev/null", "--write-out", "%{errormsg}"])
        .args(["--max-time", "20", "--resolve"])
        .arg(format!("{NAME}:{}:{}", front.port(), front.ip()))
        .arg(format!("https://{NAME}:{}/{name}", front.port()));
    let pid = scene.start("client", &mut curl)?;
    let said = scene.output("client", pid)?;
    ensure!(said.contains("handshake"), "curl said {said:?}");
    Ok(())
}

/// The client speaks HTTP without TLS.
pub(crate) fn plain_client(scene: &Scene<'_>) -> Result<()> {
    let client = ask(scene)?;
    drain(&client);
    client.close()
}

/// The gateway does not trust the backend's certificate.
pub(crate) fn distrusted_by_gateway(scene: &Scene<'_>) -> Result<()> {
    serve(scene)?;
    server_error(&ask(scene)?)
}

/// The gateway speaks HTTP without TLS to a backend that has TLS.
pub(crate) fn plain_gateway(scene: &Scene<'_>) -> Result<()> {
    serve(scene)?;
    server_error(&ask(scene)?)
}

/// The gateway speaks TLS to a backend that has not.
pub(crate) fn plain_backend(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let backend = scene.accept(&listener)?;
    backend.read(4096)?;
    backend.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nwhat is that?")?;
    backend.wait(Readiness::PeerClosed)?;
    backend.close()?;
    server_error(&client)
}

/// Starts `openssl s_server` as process `backend`, with a certificate that nobody trusts.
fn serve(scene: &Scene<'_>) -> Result<()> {
    let files = scene.certificates;
    let mut openssl = Command::new("openssl");
    openssl
        .args(["s_server", "-quiet", "-accept"])
        .arg(scene.route.back.to_string())
        .arg("-cert")
        .arg(&files.stranger)
        .arg("-key")
        .arg(&files.stranger_key);
    scene.start("backend", &mut openssl)?;
    wait_for("openssl to listen", || {
        Ok(is_listening(scene.netns, scene.route.back)?.then_some(()))
    })
}
