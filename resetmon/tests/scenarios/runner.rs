//! Runs the rows: those of one gateway after each other, gateways at the same time.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::bed::{Bed, Running};
use crate::dashboards::Watcher;
use crate::gateway::{Gateway, Route};
use crate::matrix::Matrix;
use crate::monitor::{Monitor, sees_rejects};
use crate::row::Row;
use crate::scene::Scene;
use crate::tap::{Tap, contradictions};
use crate::verdict::{self, Truth, Verdict};

/// Longest time from the end of a fault to the last event that is due, on a machine busy with other
/// work.
const REPORTED: Duration = Duration::from_secs(10);
/// How long a row is watched on, for what ought not to come.
const SETTLE: Duration = Duration::from_millis(250);
/// Most lines of a kind that are shown of a row.
const LINES: usize = 30;
/// Endpoint of the reset that closes each row. Nobody listens there.
const FENCE: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 99, 99, 99), 9);

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Rows with nothing wrong.
    pub(crate) right: usize,
    /// Rows with something wrong.
    pub(crate) wrong: usize,
    /// Rows that this machine cannot run.
    pub(crate) skipped: usize,
    /// Events with a process that was not concerned.
    pub(crate) wrong_processes: usize,
    /// Events with a route that was not concerned.
    pub(crate) wrong_routes: usize,
    /// Expected against reported.
    pub(crate) matrix: Matrix,
    /// What was wrong of the dashboards, a line each, where they were looked at.
    pub(crate) dashboards: Option<Vec<String>>,
}

/// The rows of one gateway that are to be run.
pub(crate) type Chosen = (&'static dyn Gateway, Vec<&'static Row>);

/// Runs all of it; `shown` looks at the dashboards too.
pub(crate) fn run(chosen: &[Chosen], verbose: bool, shown: bool) -> Result<Outcome> {
    let outcome = Mutex::new(Outcome::default());
    let mut beds = Vec::new();
    for (gateway, rows) in chosen {
        let missing = gateway.programs().into_iter().find(|path| !is_there(path));
        if let Some(program) = missing {
            for row in rows {
                let title = title(*gateway, row);
                println!(
                    "{title:<44} skipped: {} is not installed",
                    program.display()
                );
            }
            locked(&outcome).skipped += rows.len();
            continue;
        }
        let (alone, together): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.alone);
        if !together.is_empty() {
            beds.push(Bed::new(*gateway, &together)?);
        }
        for row in alone {
            beds.push(Bed::new(*gateway, &[row])?);
        }
    }
    if !beds.is_empty() {
        let folder = TempDir::new().context("temporary folder")?;
        let described: Vec<String> = beds.iter().filter_map(Bed::described).collect();
        let monitor = Monitor::start(&described, folder.path())?;
        let shown = shown && is_there(Path::new("prometheus"));
        let watcher = shown.then(|| Watcher::start(&monitor)).transpose()?;
        let bench = Bench {
            monitor: &monitor,
            outcome: &outcome,
            sees_rejects: sees_rejects()?,
            verbose,
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = beds
                .iter()
                .map(|bed| scope.spawn(|| bench.bed(bed)))
                .collect();
            threads.into_iter().try_for_each(|thread| {
                let done = thread.join();
                done.map_err(|_| anyhow!("a gateway's thread panicked"))?
            })
        })?;
        if let Some(watcher) = watcher {
            locked(&outcome).dashboards = Some(watcher.end(&monitor)?);
        }
        monitor.stop()?;
    }
    outcome
        .into_inner()
        .map_err(|_| anyhow!("a gateway's thread panicked"))
}

/// Name of a row among all.
pub(crate) fn title(gateway: &dyn Gateway, row: &Row) -> String {
    format!("{} {}", gateway.name(), row.name)
}

struct Bench<'a> {
    monitor: &'a Monitor,
    outcome: &'a Mutex<Outcome>,
    sees_rejects: bool,
    verbose: bool,
}

impl Bench<'_> {
    fn bed(&self, bed: &Bed) -> Result<()> {
        let started = bed.start().and_then(|running| {
            if bed.described().is_none() {
                self.monitor.until_found(running.pid(), bed.rows.len())?;
            }
            Ok(running)
        });
        let running = started.with_context(|| format!("bring {} up", bed.gateway.name()))?;
        for (row, route) in &bed.rows {
            let start = Instant::now();
            let done = self.row(bed, &running, row, route);
            let (verdict, events) = done.unwrap_or_else(|error| {
                let wrong = vec![format!("{error:#}")];
                let verdict = Verdict {
                    wrong,
                    ..Verdict::default()
                };
                (verdict, Vec::new())
            });
            self.tell(bed, row, start, verdict, &events);
        }
        Ok(())
    }

    fn row(
        &self,
        bed: &Bed,
        running: &Running,
        row: &Row,
        route: &Route,
    ) -> Result<(Verdict, Vec<Value>)> {
        let before = running.workers();
        let folder = bed.folder_of(row)?;
        let scene = Scene::new(&bed.netns, route, running, &bed.certificates, &folder);
        let tap = Tap::new(&bed.netns)?;
        let script = (row.fault)(&scene);
        let truth = self.truth(bed, running, &scene, before);
        let events = || {
            let all = self.monitor.events().of(&bed.netns);
            let of_it = all.into_iter().filter(|event| truth.has(event));
            of_it.collect::<Vec<Value>>()
        };
        let ends = (route.front, route.back);
        let wire = || {
            let mut seen = tap.take();
            seen.retain(|one| one.is_of(ends));
            seen
        };
        if let Err(error) = script {
            let mut wrong = vec![format!("the script: {error:#}"), bed.said()];
            wrong.extend(wire().iter().map(ToString::to_string));
            let verdict = Verdict {
                wrong,
                ..Verdict::default()
            };
            return Ok((verdict, events()));
        }
        let enough = |events: &[Value]| {
            let due = row.expect.iter().filter(|one| one.must_come(&truth));
            let due = due.count();
            let is_new = |event: &&Value| truth.has(event) && event["repeat_of"].is_null();
            events.iter().filter(is_new).count() >= due
        };
        let wait = |enough: &dyn Fn(&[Value]) -> bool| {
            self.monitor.events().wait(&bed.netns, REPORTED, enough)
        };
        wait(&enough);
        sleep(SETTLE);
        // What came before the closing reset was reported before it.
        let fences = |events: &[Value]| events.iter().filter(|event| is_fence(event)).count();
        let closed = fences(&self.monitor.events().of(&bed.netns));
        fence(bed)?;
        wait(&|events| fences(events) > closed);
        let (events, wire) = (events(), wire());
        let mut verdict = verdict::judge(row.expect, &events, &truth);
        let against = contradictions(row.expect, &wire, ends);
        verdict.wrong.extend(against);
        if self.verbose || !verdict.wrong.is_empty() {
            verdict.wire = wire.iter().map(ToString::to_string).collect();
        }
        Ok((verdict, events))
    }

    fn truth(&self, bed: &Bed, running: &Running, scene: &Scene<'_>, before: Vec<u32>) -> Truth {
        let people = scene.people();
        let mut workers = people.holders.clone();
        if workers.is_empty() {
            workers = before;
            workers.extend(running.workers());
        }
        Truth {
            front: scene.route.front,
            back: scene.route.back,
            gateway: bed.gateway.name(),
            route: bed.gateway.route(scene.route),
            upstream: bed.gateway.upstream(scene.route),
            workers: (workers, running.process()),
            main: running.pid(),
            people: people.pids.clone(),
            sees_rejects: self.sees_rejects,
        }
    }

    fn tell(&self, bed: &Bed, row: &Row, start: Instant, verdict: Verdict, events: &[Value]) {
        let mut outcome = locked(self.outcome);
        let right = verdict.wrong.is_empty();
        let word = if right { "ok" } else { "WRONG" };
        let title = title(bed.gateway, row);
        println!("{title:<44} {word} ({} ms)", start.elapsed().as_millis());
        for line in verdict.wrong.iter().take(LINES) {
            println!("    {line}");
        }
        for segment in verdict.wire.iter().take(LINES) {
            println!("    - {segment}");
        }
        if self.verbose || !right {
            for event in events.iter().take(LINES) {
                println!("    | {event}");
            }
        }
        outcome.right += usize::from(right);
        outcome.wrong += usize::from(!right);
        outcome.wrong_processes += verdict.wrong_processes;
        outcome.wrong_routes += verdict.wrong_routes;
        for pair in verdict.pairs {
            outcome.matrix.add(pair);
        }
    }
}

fn locked(outcome: &Mutex<Outcome>) -> std::sync::MutexGuard<'_, Outcome> {
    outcome
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whether a program is in the path, or where it is said to be.
fn is_there(program: &Path) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.is_file() || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// One more reset, of which everything is known.
fn fence(bed: &Bed) -> Result<()> {
    match bed.netns.enter(|| TcpStream::connect(FENCE))? {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Ok(()),
        other => bail!("the closing connection was not refused: {other:?}"),
    }
}

fn is_fence(event: &Value) -> bool {
    let (ip, port) = FENCE;
    event["direction"] == "received" && event["remote"] == format!("{ip}:{port}")
}
