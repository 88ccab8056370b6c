//! `resetmon watch` full-screen in a pseudo-terminal: keys in, a screen out.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::agent::terminate;
use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::wait_for;

/// Every row.
pub(crate) static TESTS: &[Whole] = &[
    Whole {
        name: "screen_shows_a_reset_and_its_evidence",
        programs: &[],
        natively: false,
        run: shows,
    },
    Whole {
        name: "screen_is_given_back_upon_sigterm",
        programs: &[],
        natively: false,
        run: terminated,
    },
];

/// A port on which nobody listens in a namespace of our own.
const PORT: u16 = 4321;

/// Switches to the screen of full-screen programs and back.
const ENTER: &[u8] = b"\x1b[?1049h";
const LEAVE: &[u8] = b"\x1b[?1049l";

/// Shows the cursor.
const SHOW: &[u8] = b"\x1b[?25h";

const SMALL: Winsize = Winsize {
    ws_row: 24,
    ws_col: 80,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// A terminal with `resetmon watch` in it.
struct Session {
    child: Child,
    keyboard: File,
    /// Keeps the terminal, whose modes are looked at when the program has ended.
    line: OwnedFd,
    before: Termios,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Session {
    fn start(netns: &Netns) -> Result<Self> {
        let (master, line) = open_pty()?;
        tcsetwinsize(&line, SMALL)?;
        let before = tcgetattr(&line)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_resetmon"));
        command
            .args(["watch", "--netns", &netns.inode().to_string()])
            .env("TERM", "xterm-256color")
            .stdin(line.try_clone()?)
            .stdout(line.try_clone()?)
            .stderr(line.try_clone()?);
        // SAFETY: both calls are async-signal-safe and touch nothing but this process's session.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.spawn().context("start resetmon")?;
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut bytes) {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.extend_from_slice(&bytes[..read]);
            }
        });
        let session = Self {
            child,
            keyboard,
            line,
            before,
            seen,
        };
        session.waits_for("1 events")?;
        ensure!(
            tcgetattr(&session.line)?.local_modes != session.before.local_modes,
            "the terminal is not in raw mode"
        );
        Ok(session)
    }

    fn bytes(&self) -> Vec<u8> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// Waits until the text stands on the screen.
    fn waits_for(&self, text: &str) -> Result<()> {
        let found = wait_for(text, || {
            let screen = screen(&self.bytes());
            Ok(screen.contains(text).then_some(()))
        });
        found.with_context(|| screen(&self.bytes()))
    }

    fn press(&mut self, keys: &str) -> Result<()> {
        self.keyboard.write_all(keys.as_bytes()).context("type")
    }

    fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ..SMALL
        };
        tcsetwinsize(&self.line, size).context("resize")
    }

    /// Whether it ended well and left the terminal as it was.
    fn gave_back(&self, status: ExitStatus) -> Result<()> {
        ensure!(
            status.success(),
            "it ended with {status}: {}",
            screen(&self.bytes())
        );
        let after = tcgetattr(&self.line)?;
        ensure!(
            after.local_modes == self.before.local_modes
                && after.input_modes == self.before.input_modes
                && after.output_modes == self.before.output_modes,
            "the modes were {:?} and are {after:?}",
            self.before
        );
        wait_for("the old screen", || {
            let bytes = self.bytes();
            let last = |sequence| find_last(&bytes, sequence);
            Ok((last(LEAVE) > last(ENTER) && last(SHOW).is_some()).then_some(()))
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It has ended if all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Both ends of a new pseudo-terminal.
fn open_pty() -> Result<(OwnedFd, OwnedFd)> {
    let (mut master, mut line) = (-1, -1);
    let none = std::ptr::null_mut();
    // SAFETY: both numbers are ours to write; name, modes and size may be null.
    let result = unsafe {
        libc::openpty(
            &raw mut master,
            &raw mut line,
            none,
            std::ptr::null(),
            std::ptr::null(),
        )
    };
    if result < 0 {
        bail!("openpty: {}", std::io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us both, and nobody else knows them.
    let both = unsafe { (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(line)) };
    for fd in [&both.0, &both.1] {
        // SAFETY: the descriptor is open; the call changes its flags alone.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            bail!("close-on-exec: {}", std::io::Error::last_os_error());
        }
    }
    Ok(both)
}

fn find_last(bytes: &[u8], sequence: &[u8]) -> Option<usize> {
    bytes
        .windows(sequence.len())
        .rposition(|window| window == sequence)
}

/// What stands on the screen after these bytes: a terminal that knows as much as is needed.
fn screen(bytes: &[u8]) -> String {
    const ROWS: usize = 60;
    const COLUMNS: usize = 200;
    let mut cells = vec![vec![' '; COLUMNS]; ROWS];
    let (mut row, mut column) = (0, 0);
    let text = String::from_utf8_lossy(bytes);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\u{1b}' => {
                if letters.next() != Some('[') {
                    continue;
                }
                let mut parameters = String::new();
                let end = letters.by_ref().find(|letter| {
                    if !letter.is_ascii_alphabetic() {
                        parameters.push(*letter);
                    }
                    letter.is_ascii_alphabetic()
                });
                let mut numbers = parameters
                    .split(';')
                    .map(|number| number.parse().unwrap_or(1));
                match end {
                    Some('H') => {
                        row = numbers.next().unwrap_or(1) - 1;
                        column = numbers.next().unwrap_or(1) - 1;
                    }
                    Some('J') => cells.iter_mut().for_each(|row| row.fill(' ')),
                    _ => (),
                }
            }
            '\r' => column = 0,
            '\n' => row += 1,
            _ => {
                if let Some(cell) = cells.get_mut(row).and_then(|row| row.get_mut(column)) {
                    *cell = letter;
                }
                column += 1;
            }
        }
    }
    let lines = cells.iter().map(|row| row.iter().collect::<String>());
    let lines: Vec<_> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n").trim_end().to_owned()
}

/// A connection that is refused: a reset sent, and the same one received.
fn refuse(netns: &Netns) -> Result<()> {
    let refused = netns.enter(|| TcpStream::connect((Ipv4Addr::LOCALHOST, PORT)))?;
    match refused {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("the connection was not refused: {other:?}"),
    }
}

fn shows() -> Result<()> {
    let netns = Netns::new()?;
    let mut session = Session::start(&netns)?;
    refuse(&netns)?;
    session.waits_for("sent 1 received 1 failed 0")?;
    session.waits_for("no_listener")?;
    session.waits_for(&format!("127.0.0.1:{PORT}"))?;
    session.press("/cause=refused\r")?;
    session.waits_for("filter: cause=refused")?;
    session.press("\r")?;
    session.waits_for("received refused")?;
    session.waits_for("Evidence")?;
    session.waits_for("Advice")?;
    session.resize(100, 40)?;
    session.waits_for("\nchange ")?;
    session.press("q")?;
    let status = wait_for("the end", || Ok(session.child.try_wait()?))?;
    session.gave_back(status)
}

fn terminated() -> Result<()> {
    let netns = Netns::new()?;
    let mut session = Session::start(&netns)?;
    let status = terminate(&mut session.child)?;
    session.gave_back(status)
}
