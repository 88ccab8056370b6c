//! A gateway run for one test.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What a loaded machine may need for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running gateway, ended when dropped.
pub(crate) struct Program {
    child: Child,
}

impl Program {
    /// Starts `command`; its output goes to the file `log`, for a failing test to show.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let out = std::fs::File::create(log).unwrap();
        let err = out.try_clone().unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|error| {
                let name = command.get_program().display();
                panic!("{name} does not start: {error}; cargo xtask setup installs it")
            });
        Self { child }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it `signal`.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Its own children follow it on SIGTERM, not on SIGKILL.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `done` says so.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until somebody accepts connections at `address`.
pub(crate) fn until_listening(address: SocketAddr) {
    until(&format!("listening at {address}"), || {
        TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
    });
}

/// A port of 127.0.0.1 that nobody has at the moment: use it at once.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
