//! What is done at the terminal: keys, a new size, a shell that goes on with a stopped command.

use std::io;
use std::thread;

use crossterm::event::Event;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Inputs that wait at most; whoever types faster waits.
const WAITING: usize = 64;

/// Something done at the terminal.
#[derive(Debug)]
pub(super) enum Input {
    /// A key, or a new size.
    Typed(Event),
    /// The command was stopped and goes on: the terminal may be in other hands since.
    Resumed,
    /// No more can be read.
    Lost(io::Error),
}

/// Inputs in the order in which they were made.
#[derive(Debug)]
pub(super) struct Inputs(Option<mpsc::Receiver<Input>>);

impl Inputs {
    /// Of no terminal: never anything.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Of the terminal on standard input; needs a running event loop.
    ///
    /// A thread waits in a read for the next key. It lives as long as the process: nothing but a
    /// key ends the read. The event loop is woken by what was typed and by nothing else.
    pub(super) fn start() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut resumed = signal(SignalKind::from_raw(libc::SIGCONT))?;
        let typed = sender.clone();
        thread::Builder::new()
            .name("keyboard".to_owned())
            .spawn(move || {
                let mut lost = false;
                while !lost {
                    let input = crossterm::event::read().map_or_else(Input::Lost, Input::Typed);
                    lost = matches!(input, Input::Lost(_));
                    // Without a receiver nobody reads any more.
                    lost |= typed.blocking_send(input).is_err();
                }
            })?;
        tokio::spawn(async move {
            while resumed.recv().await.is_some() && sender.send(Input::Resumed).await.is_ok() {}
        });
        Ok(Self(Some(receiver)))
    }

    /// Waits for the next one.
    ///
    /// Dropping the future before it is done loses nothing.
    pub(super) async fn next(&mut self) -> Input {
        if let Some(receiver) = &mut self.0
            && let Some(input) = receiver.recv().await
        {
            return input;
        }
        std::future::pending().await
    }

    /// The next one, if it is there already.
    pub(super) fn at_hand(&mut self) -> Option<Input> {
        self.0.as_mut()?.try_recv().ok()
    }

    /// Whether these are of a terminal that has gone, as it does when its window is closed.
    pub(super) fn hung_up(&self) -> bool {
        self.0.is_some() && rustix::termios::tcgetattr(io::stdin()).is_err()
    }
}
