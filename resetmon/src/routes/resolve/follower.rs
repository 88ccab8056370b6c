//! Names followed in the background: on threads of their own, so that no name server that hangs
//! ever delays a reset.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::resolver::Resolver;
use super::round::Round;
use super::schedule::Schedule;
use super::{Answer, HostKey};

/// Resolvers that are asked at the same time, each by a thread.
const AT_ONCE: usize = 8;
/// Answers on their way.
const QUEUE: usize = 1024;

/// Names to follow, and how to get to where they are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The names; beyond ten thousand they are not followed.
    pub hosts: Vec<HostKey>,
    /// Processes by the inode of their network namespace.
    pub pids: HashMap<u32, Vec<u32>>,
}

/// Looks names up again and again until it is dropped.
#[derive(Debug)]
pub struct Follower {
    wanted: watch::Sender<Arc<Wanted>>,
    answers: mpsc::Receiver<Answer>,
}

enum Event {
    Answer(Answer, Option<Duration>),
    /// The last one of this resolver's round.
    End(Option<Arc<Resolver>>),
}

impl Follower {
    /// Starts without names; `/proc` of the initial pid namespace is at `proc_root`. `before` runs
    /// first, on the thread that starts the look-ups: what it gives up, they do without.
    ///
    /// Errors: no thread can be started.
    pub fn start(
        proc_root: PathBuf,
        before: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (wanted, wishes) = watch::channel(Arc::default());
        let (send, answers) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("names".to_owned());
        thread.spawn(move || {
            before();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(follow(&proc_root, wishes, &send)),
                Err(error) => {
                    tracing::error!("host names are not looked up: no event loop: {error}");
                }
            }
        })?;
        Ok(Self { wanted, answers })
    }

    /// Follows these names from now on. What was followed before keeps its time.
    pub fn want(&self, wanted: Wanted) {
        self.wanted.send_if_modified(|before| {
            let changed = **before != wanted;
            if changed {
                *before = Arc::new(wanted);
            }
            changed
        });
    }

    /// Waits for the next answers.
    ///
    /// Dropping the future before it is done loses nothing.
    pub async fn next(&mut self) -> Vec<Answer> {
        let mut answers = Vec::new();
        if self.answers.recv_many(&mut answers, QUEUE).await == 0 {
            std::future::pending::<()>().await;
        }
        answers
    }

    /// The first answer to each of `wanted`, as far as they come within `limit`.
    pub async fn once(mut self, wanted: Wanted, limit: Duration) -> Vec<Answer> {
        let mut open: HashSet<HostKey> = wanted.hosts.iter().cloned().collect();
        let mut all = Vec::new();
        self.want(wanted);
        let end = Instant::now() + limit;
        while !open.is_empty()
            && let Ok(answers) = tokio::time::timeout_at(end, self.next()).await
        {
            all.extend(
                answers
                    .into_iter()
                    .filter(|answer| open.remove(&answer.host)),
            );
        }
        all
    }
}

async fn follow(
    proc_root: &std::path::Path,
    mut wishes: watch::Receiver<Arc<Wanted>>,
    send: &mpsc::Sender<Answer>,
) {
    // Each name has at most one answer on its way, so that the names bound this.
    let (report, mut events) = mpsc::unbounded_channel();
    let mut schedule = Schedule::default();
    let mut running: HashSet<Option<Arc<Resolver>>> = HashSet::new();
    loop {
        let busy = |resolver: Option<&Arc<Resolver>>| running.contains(&resolver.cloned());
        let room = AT_ONCE - running.len();
        let due = schedule.take_due(Instant::now(), busy, room);
        for (resolver, names) in due {
            let netns = resolver.as_ref().and_then(|resolver| resolver.netns);
            let pids = netns.and_then(|netns| wishes.borrow().pids.get(&netns).cloned());
            running.insert(resolver.clone());
            start(
                Round {
                    proc_root: proc_root.to_owned(),
                    resolver,
                    names,
                    pids: pids.unwrap_or_default(),
                },
                report.clone(),
            );
        }
        let busy = |resolver: Option<&Arc<Resolver>>| running.contains(&resolver.cloned());
        let due = match running.len() {
            AT_ONCE.. => None,
            _ => schedule.next_due(busy),
        };
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = wishes.changed() => {
                if changed.is_err() {
                    return;
                }
                let wanted = Arc::clone(&wishes.borrow_and_update());
                schedule.want(&wanted.hosts, Instant::now());
            }
            Some(event) = events.recv() => match event {
                Event::Answer(answer, ttl) => {
                    let found = answer.found.as_ref().map(|_| ttl).map_err(|_| ());
                    schedule.done(&answer.host, found, Instant::now());
                    if send.send(answer).await.is_err() {
                        return;
                    }
                }
                Event::End(resolver) => {
                    schedule.end(resolver.as_ref(), Instant::now());
                    running.remove(&resolver);
                }
            },
            () = sleep => {}
        }
    }
}

/// Says that a round has ended, however it did.
struct End(Option<Arc<Resolver>>, mpsc::UnboundedSender<Event>);

impl Drop for End {
    fn drop(&mut self) {
        // Nobody listens any more when the agent ends.
        let _ = self.1.send(Event::End(self.0.take()));
    }
}

/// Runs a round on a thread that ends with it, in whatever network namespace that left it.
fn start(round: Round, report: mpsc::UnboundedSender<Event>) {
    let thread = std::thread::Builder::new().name("names".to_owned());
    // Dropped with the thread, or here where there can be none.
    let end = End(round.resolver.clone(), report);
    let started = thread.spawn(move || {
        round.run(|answer, ttl| {
            let _ = end.1.send(Event::Answer(answer, ttl));
        });
    });
    if let Err(error) = started {
        tracing::warn!("host names are not looked up now: no thread: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::resolve::hosts_file::HostsFile;
    use crate::routes::resolve::name_switch::NameSwitch;
    use crate::routes::resolve::resolv_conf::ResolvConf;

    fn key(hosts: &str, name: &str) -> HostKey {
        HostKey {
            resolver: Some(Arc::new(Resolver::new(
                None,
                ResolvConf::default(),
                HostsFile::parse(hosts),
                NameSwitch::parse("hosts: files"),
                Vec::new(),
            ))),
            name: name.into(),
        }
    }

    #[tokio::test]
    async fn the_same_name_by_two_resolvers() {
        let hosts = vec![
            key("10.0.0.1 api\n", "api"),
            key("10.0.0.2 api\n", "api"),
            key("10.0.0.1 api\n", "other"),
        ];
        let follower = Follower::start("/proc".into(), || {}).unwrap();
        let wanted = Wanted {
            hosts: hosts.clone(),
            ..Wanted::default()
        };
        let answers = follower.once(wanted, Duration::from_secs(60)).await;
        let of = |host: &HostKey| {
            let answer = answers.iter().find(|answer| answer.host == *host).unwrap();
            answer.found.clone()
        };
        assert_eq!(answers.len(), 3);
        assert_eq!(of(&hosts[0]), Ok(vec!["10.0.0.1".parse().unwrap()]));
        assert_eq!(of(&hosts[1]), Ok(vec!["10.0.0.2".parse().unwrap()]));
        assert!(of(&hosts[2]).is_err());
    }

    #[tokio::test]
    async fn what_is_wanted_later_is_looked_up_too() {
        let mut follower = Follower::start("/proc".into(), || {}).unwrap();
        for number in 1..=20 {
            let host = key(&format!("10.0.0.{number} api\n"), "api");
            follower.want(Wanted {
                hosts: vec![host.clone()],
                ..Wanted::default()
            });
            let expected = format!("10.0.0.{number}").parse().unwrap();
            assert_eq!(follower.next().await, [Answer::found(host, vec![expected])]);
        }
    }
}
