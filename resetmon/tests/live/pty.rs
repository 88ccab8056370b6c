//! A program in a pseudo-terminal: keys in, a screen out.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, ioctl_tiocsctty, kill_process, setsid};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::service::wait_for;

/// Switches to the screen of full-screen programs and back.
const ENTER: &[u8] = b"\x1b[?1049h";
const LEAVE: &[u8] = b"\x1b[?1049l";

/// Shows the cursor.
const SHOW: &[u8] = b"\x1b[?25h";

/// Rows and columns that a [`screen`] has at most.
const ROWS: usize = 60;
const COLUMNS: usize = 200;

/// A terminal of 80 columns and 24 rows with a program in it.
pub(crate) struct Session {
    child: Child,
    /// Our end; without it the terminal hangs up.
    window: Option<Arc<File>>,
    /// Keeps the terminal, whose modes are looked at when the program has ended.
    line: OwnedFd,
    before: Termios,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Session {
    /// Starts the program as the leader of a session with that terminal.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).context("open a pseudo-terminal")?;
        unlockpt(&master)?;
        let line = ioctl_tiocgptpeer(&master, flags).context("open its other end")?;
        tcsetwinsize(&line, size(80, 24))?;
        let before = tcgetattr(&line)?;
        command
            .env("TERM", "xterm-256color")
            .stdin(line.try_clone()?)
            .stdout(line.try_clone()?)
            .stderr(line.try_clone()?);
        // SAFETY: both calls are async-signal-safe and touch nothing but this process's session.
        unsafe {
            command.pre_exec(|| {
                setsid()?;
                ioctl_tiocsctty(rustix::stdio::stdin())?;
                Ok(())
            });
        }
        let child = command.spawn().context("start the program")?;
        let window = Arc::new(File::from(master));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (output, sink) = (Arc::downgrade(&window), Arc::clone(&seen));
        std::thread::spawn(move || {
            while let Some(output) = output.upgrade()
                && let Ok(bytes) = read_some(&output)
            {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.extend_from_slice(&bytes);
            }
        });
        Ok(Self {
            child,
            window: Some(window),
            line,
            before,
            seen,
        })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    fn bytes(&self) -> Vec<u8> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }

    /// What stands on the screen.
    pub(crate) fn screen(&self) -> String {
        screen(&self.bytes())
    }

    /// Waits until the text stands on the screen.
    pub(crate) fn waits_for(&self, text: &str) -> Result<()> {
        self.waits_until(text, |screen| screen.contains(text))
    }

    /// Waits until the screen is as wanted.
    pub(crate) fn waits_until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        let found = wait_for(what, || Ok(wanted(&self.screen()).then_some(())));
        found.with_context(|| self.screen())
    }

    /// Waits until it has taken the terminal for the `count`th time.
    pub(crate) fn waits_for_start(&self, count: usize) -> Result<()> {
        wait_for("the full screen", || {
            Ok((find(&self.bytes(), ENTER).count() == count).then_some(()))
        })?;
        ensure!(
            tcgetattr(&self.line)?.local_modes != self.before.local_modes,
            "the terminal is not in raw mode"
        );
        Ok(())
    }

    /// Types.
    pub(crate) fn press(&self, keys: &str) -> Result<()> {
        let window = self.window.as_deref().context("the terminal has gone")?;
        let mut keyboard: &File = window;
        keyboard.write_all(keys.as_bytes()).context("type")
    }

    /// Makes the window larger or smaller.
    pub(crate) fn resize(&self, columns: u16, rows: u16) -> Result<()> {
        tcsetwinsize(&self.line, size(columns, rows)).context("resize")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).context("send a signal")
    }

    /// Waits for its end.
    /// Closes the window: nobody reads the screen or types any more.
    pub(crate) fn hang_up(&mut self) {
        self.window = None;
    }

    pub(crate) fn wait(&mut self) -> Result<ExitStatus> {
        wait_for("the end", || Ok(self.child.try_wait()?))
    }

    /// Whether it ends well and leaves the terminal as it was.
    pub(crate) fn gives_back(&mut self) -> Result<()> {
        let status = self.wait()?;
        ensure!(
            status.success(),
            "it ended with {status}: {}",
            self.screen()
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
            let last = |sequence| find(&bytes, sequence).last();
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

/// What the program writes within a moment, if anything.
fn read_some(mut output: &File) -> std::io::Result<Vec<u8>> {
    const MOMENT: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 50_000_000,
    };
    let mut polled = [PollFd::new(output, PollFlags::IN)];
    if poll(&mut polled, Some(&MOMENT))? == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = vec![0; 4096];
    let read = output.read(&mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Where a sequence stands.
fn find<'a>(bytes: &'a [u8], sequence: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    let windows = bytes.windows(sequence.len()).enumerate();
    windows.filter_map(move |(at, window)| (window == sequence).then_some(at))
}

/// What stands on the screen after these bytes: a terminal that knows as much as is needed.
fn screen(bytes: &[u8]) -> String {
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
                let mut next = || numbers.next().unwrap_or(1_usize).max(1) - 1;
                match end {
                    Some('H') => {
                        row = next();
                        column = next();
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
