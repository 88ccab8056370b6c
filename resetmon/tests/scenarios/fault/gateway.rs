//! What happens to the gateway itself.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::Signal;

use crate::exchange::{ANSWER, ask, asked, drain, request};
use crate::owner::signal;
use crate::scene::Scene;

/// How long the request waits for an answer before.
const WAIT: Duration = Duration::from_millis(150);

/// `kill -9` of the process that holds a request which the backend has.
pub(crate) fn worker_killed(scene: &Scene<'_>) -> Result<()> {
    let listener = scene.listen()?;
    let client = ask(scene)?;
    let _backend = asked(scene, &listener)?;
    sleep(WAIT);
    let holder = *scene.people().holders.first().context("no holder")?;
    signal(holder, Signal::KILL)?;
    drain(&client);
    client.close()
}

/// It reloads its configuration while clients come and go.
pub(crate) fn reloaded(scene: &Scene<'_>) -> Result<()> {
    let backend = scene
        .netns
        .enter(|| TcpListener::bind(scene.route.back))??;
    backend.set_nonblocking(true)?;
    for name in ["client", "backend"] {
        scene.name(name, std::process::id())?;
    }
    let over = AtomicBool::new(false);
    let request = request(scene);
    std::thread::scope(|scope| {
        let server = scope.spawn(|| serve(&backend, &over));
        let clients: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| be_client(scene.netns, scene.route.front, &request, &over)))
            .collect();
        sleep(WAIT);
        let reloaded = scene.gateway.reload();
        sleep(WAIT);
        over.store(true, Ordering::Relaxed);
        let mut answers = 0;
        for client in clients {
            answers += client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        server
            .join()
            .map_err(|_| anyhow!("the backend panicked"))??;
        ensure!(answers > 20, "only {answers} requests were answered");
        reloaded
    })
}

/// Asks over a connection each; answers how often.
fn be_client(
    netns: &crate::netns::Netns,
    front: std::net::SocketAddr,
    request: &str,
    over: &AtomicBool,
) -> Result<u32> {
    netns.enter(|| {
        let mut answers = 0;
        while !over.load(Ordering::Relaxed) {
            let mut stream = TcpStream::connect(front)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\nok") {
                let mut bytes = [0; 1024];
                let length = stream.read(&mut bytes)?;
                ensure!(length > 0, "no whole answer: {answer:?}");
                answer.extend_from_slice(&bytes[..length]);
            }
            answers += 1;
            sleep(Duration::from_millis(2));
        }
        Ok(answers)
    })?
}

/// Answers every request, on connections that stay open until the gateway closes them.
fn serve(listener: &TcpListener, over: &AtomicBool) -> Result<()> {
    std::thread::scope(|scope| {
        while !over.load(Ordering::Relaxed) {
            match listener.accept() {
                Ok((stream, _)) => drop(scope.spawn(|| answer(stream))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    sleep(Duration::from_millis(1));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    })
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut bytes = [0; 4096];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(_) => stream.write_all(ANSWER)?,
            Err(error) => return Err(error),
        }
    }
}
