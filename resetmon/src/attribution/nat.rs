//! Where connections really lead whose addresses are translated on the way (NAT): Service
//! addresses of Kubernetes, `dnat` and `redirect` rules of nftables and iptables, IPVS with
//! conntrack.
//!
//! The kernel's connection tracking is asked for one connection at a time, and only where a
//! gateway's connection matches no upstream by its own address. The question is put on a thread of
//! its own, which alone keeps `CAP_NET_ADMIN`; whoever asks waits for [`WAIT`] at most. No answer
//! is no guess: the reset has then no upstream.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::kernel::conntrack::{self, ConntrackError, Tuple};

mod lookup;

use lookup::Lookup;

/// How long a reset may be held up by one question. Answers take microseconds; only a machine that
/// has no time for the thread takes longer.
pub const WAIT: Duration = Duration::from_millis(20);
/// Questions a second; past it, connections are left without a translation.
const MOST_A_SECOND: u32 = 500;
/// How long an answer holds: one connection has often more than one reset, but its addresses may
/// soon be another's.
const KEPT: Duration = Duration::from_secs(10);
/// Answers that are kept.
const CAPACITY: usize = 4096;

/// A connection whose destination is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Inode of its network namespace.
    pub netns: u32,
    /// A process in that namespace, if it still lives.
    pub pid: u32,
    /// Its addresses, as its client sees them.
    pub tuple: Tuple,
}

/// What an operator may want to know.
#[derive(Debug, Default)]
pub struct Status {
    unanswered: AtomicU64,
    trouble: Mutex<Option<String>>,
}

impl Status {
    /// Connections that were not looked up: too many at once, or no answer in time.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    /// Why the latest question had no answer, or none would have; `None` if all is well.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock();
        trouble.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn tell(&self, trouble: Option<&ConntrackError>) {
        let trouble = trouble.map(|error| match error {
            ConntrackError::Denied => format!(
                "translated connections (nat.conntrack) are not followed: {error}: run resetmon as \
                 root, or give it this capability"
            ),
            error => format!("translated connections (nat.conntrack) are not followed: {error}"),
        });
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble != *known {
            if let Some(trouble) = &trouble {
                tracing::warn!("{trouble}");
            }
            *known = trouble;
        }
    }
}

/// Asks for translations.
#[derive(Debug)]
pub struct Nat {
    questions: SyncSender<(u64, Question)>,
    answers: Receiver<(u64, Arc<[SocketAddr]>)>,
    /// The number of the latest question.
    number: u64,
    /// The latest question has not been answered yet.
    waiting: bool,
    wait: Duration,
    known: HashMap<(u32, Tuple), Known>,
    /// A second since boot, and the questions in it.
    second: (u64, u32),
    status: Arc<Status>,
}

#[derive(Debug)]
struct Known {
    destinations: Arc<[SocketAddr]>,
    asked: Duration,
}

impl Nat {
    /// Starts the thread that asks, which finds processes below `proc_root`; with `enter`, which
    /// takes `CAP_SYS_ADMIN`, also in other network namespaces than this process's. `before` runs
    /// first, on that thread: what it gives up, the thread does without.
    ///
    /// Errors: no thread can be started.
    pub fn start(
        proc_root: PathBuf,
        enter: bool,
        before: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        Self::with(WAIT, move |status| {
            before();
            // Where nothing is tracked yet, nothing is translated: no trouble.
            let trouble = conntrack::check().err();
            status.tell(
                trouble
                    .filter(|error| *error != ConntrackError::Absent)
                    .as_ref(),
            );
            let mut lookup = Lookup::new(proc_root, enter);
            move |question: &Question| lookup.destinations(question)
        })
    }

    /// Asks what `make` makes on the thread.
    fn with<W, E>(wait: Duration, make: W) -> std::io::Result<Self>
    where
        W: FnOnce(&Status) -> E + Send + 'static,
        E: FnMut(&Question) -> Result<Vec<SocketAddr>, ConntrackError>,
    {
        let (questions, asked) = sync_channel::<(u64, Question)>(1);
        let (answer, answers) = sync_channel(1);
        let status = Arc::new(Status::default());
        let told = Arc::clone(&status);
        std::thread::Builder::new()
            .name("nat".to_owned())
            .spawn(move || {
                let mut expert = make(&told);
                while let Ok((number, question)) = asked.recv() {
                    let found = expert(&question);
                    told.tell(found.as_ref().err());
                    let found = Arc::from(found.unwrap_or_default());
                    if answer.send((number, found)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            questions,
            answers,
            number: 0,
            waiting: false,
            wait,
            known: HashMap::new(),
            second: (0, 0),
            status,
        })
    }

    /// What an operator may want to know, kept up to date.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Where the connection leads, from the first translation to the last; empty if none is known.
    /// `now` is the time since boot.
    pub fn destinations(&mut self, question: Question, now: Duration) -> Arc<[SocketAddr]> {
        let key = (question.netns, question.tuple);
        let fresh = |known: &Known| now.saturating_sub(known.asked) < KEPT;
        if let Some(known) = self.known.get(&key).filter(|known| fresh(known)) {
            return Arc::clone(&known.destinations);
        }
        let Some(destinations) = self.may_ask(now).then(|| self.ask(question)).flatten() else {
            self.status.unanswered.fetch_add(1, Ordering::Relaxed);
            return Arc::default();
        };
        if self.known.len() >= CAPACITY {
            self.known.retain(|_, known| fresh(known));
        }
        if self.known.len() >= CAPACITY {
            self.known.clear();
        }
        let known = Known {
            destinations: Arc::clone(&destinations),
            asked: now,
        };
        self.known.insert(key, known);
        destinations
    }

    fn may_ask(&mut self, now: Duration) -> bool {
        let second = now.as_secs();
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.second.1 <= MOST_A_SECOND
    }

    /// The answer, unless that takes long. While one is late no other question is put, so that not
    /// every reset waits in vain.
    fn ask(&mut self, question: Question) -> Option<Arc<[SocketAddr]>> {
        if self.waiting {
            match self.answers.try_recv() {
                Ok(_) => self.waiting = false,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
            }
        }
        self.number += 1;
        self.questions.try_send((self.number, question)).ok()?;
        self.waiting = true;
        let (number, destinations) = self.answers.recv_timeout(self.wait).ok()?;
        self.waiting = false;
        (number == self.number).then_some(destinations)
    }
}

#[cfg(test)]
mod tests;
