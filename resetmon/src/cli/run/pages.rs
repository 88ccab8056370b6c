//! What the agent serves over HTTP.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::outputs::Outputs;
use crate::attribution::nat;
use crate::cli::gateways::Gateways;
use crate::export::http::{Feed, GatewayStatus, Pages, ProbeStatus, StatusPage};
use crate::export::metrics::{Format, Metrics};
use crate::export::process::Usage;
use crate::kernel::attach::Attached;
use crate::kernel::probes::{Outcome, Verdict};
use crate::kernel::refusals::Refusals;
use crate::kernel::tally::Tallies;
use crate::reconcile::{Reconciler, Summary};
use crate::routes::discovery::Found;
use crate::routes::table::RouteTable;

/// Longest time for a turn of the event loop, which timers wake each second or so.
const TURN: Duration = Duration::from_secs(30);

/// What the HTTP side shows.
pub(super) struct AgentPages {
    started: Instant,
    /// When the event loop began its last turn, since the start, milliseconds.
    turned: AtomicU64,
    metrics: Metrics,
    tallies: Arc<Tallies>,
    /// `None` where they are not counted.
    refusals: Option<Refusals>,
    /// What outputs of events lost, by place.
    losses: Vec<(&'static str, Arc<AtomicU64>)>,
    /// `None` where events are not served.
    feed: Option<Arc<Feed>>,
    /// Resets so far.
    pub(super) resets: AtomicU64,
    /// Failures without a reset so far.
    pub(super) failures: AtomicU64,
    verdict: &'static str,
    lost: Vec<String>,
    probes: Vec<ProbeStatus>,
    gateways: Mutex<Vec<GatewayStatus>>,
    notes: Mutex<Vec<String>>,
    /// `None` where translated connections are not followed.
    nat: Option<Arc<nat::Status>>,
    sent: Mutex<Option<Summary>>,
}

impl AgentPages {
    /// The pages of an agent with these probes attached.
    pub(super) fn new(
        attached: &Attached,
        tallies: Arc<Tallies>,
        refusals: Refusals,
        metrics: Metrics,
        outputs: &Outputs,
        nat: Option<Arc<nat::Status>>,
    ) -> Self {
        let (verdict, lost) = match attached.verdict() {
            Verdict::Ok => ("ok", Vec::new()),
            Verdict::Degraded(lost) => ("degraded", lost),
            Verdict::Unusable(why) => ("unusable", why),
        };
        let mut probes = Vec::new();
        for (probe, outcome) in attached.outcomes() {
            let is_attached = *outcome == Outcome::Attached;
            // 0 is for what is missed.
            if *outcome != Outcome::NotNeeded {
                metrics.set_probe(probe.name, is_attached);
            }
            probes.push(ProbeStatus {
                name: probe.name.to_owned(),
                attached: is_attached,
                detail: match outcome {
                    Outcome::Attached => probe.purpose.to_owned(),
                    Outcome::NotNeeded => probe.not_needed().to_owned(),
                    Outcome::Missing => "this kernel does not have it".to_owned(),
                    Outcome::Refused(why) => format!("refused: {why}"),
                },
            });
        }
        Self {
            started: Instant::now(),
            turned: AtomicU64::new(0),
            metrics,
            tallies,
            refusals: attached.has("refused").then_some(refusals),
            losses: outputs.losses(),
            feed: outputs.feed(),
            resets: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            verdict,
            lost,
            probes,
            gateways: Mutex::default(),
            notes: Mutex::default(),
            nat,
            sent: Mutex::new(None),
        }
    }

    /// The event loop, which takes the resets, begins another turn.
    pub(super) fn turn(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.turned.store(now, Ordering::Relaxed);
    }

    /// Takes over which gateways were found, what the cluster does not say, and what is wrong with
    /// the host names of the routes.
    pub(super) fn show_gateways(&self, gateways: &Gateways, routes: &RouteTable) {
        let status = |found: &Found| GatewayStatus {
            gateway: found.gateway.name.to_string(),
            pid: found.pid,
            routes: found.gateway.routes.len(),
            upstreams: found.gateway.upstreams.len(),
            origin: found.origin.clone(),
            error: found.error.clone(),
        };
        let found = gateways.found().iter().map(status).collect();
        *self.gateways.lock().unwrap_or_else(PoisonError::into_inner) = found;
        let mut notes = gateways.notes();
        notes.extend(routes.about_hosts());
        *self.notes.lock().unwrap_or_else(PoisonError::into_inner) = notes;
    }

    /// Takes over what the comparison with the kernel came to.
    pub(super) fn show(&self, reconciler: &Reconciler, attached: &Attached) {
        for (counter, total) in reconciler.kernel_totals() {
            self.metrics.set_kernel_resets(counter.name(), total);
        }
        for (probe, total) in attached.recursion_misses() {
            self.metrics.set_recursion_misses(probe, total);
        }
        let summary = reconciler.summary();
        if summary.settled {
            self.metrics.set_unaccounted(summary.unaccounted);
        }
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }

    /// Totals that are kept elsewhere, by place.
    fn lost_totals(&self) -> Vec<(&'static str, u64)> {
        let mut totals: Vec<(&'static str, u64)> = match self.tallies.read() {
            Ok(tallies) => tallies
                .into_iter()
                .filter(|(tally, _)| tally.is_loss())
                .map(|(tally, total)| (tally.name(), total))
                .collect(),
            Err(error) => {
                tracing::warn!("the programs' counters cannot be read: {error}");
                Vec::new()
            }
        };
        for (place, lost) in &self.losses {
            totals.push((place, lost.load(Ordering::Relaxed)));
        }
        totals
    }
}

impl Pages for AgentPages {
    fn metrics(&self, format: Format) -> String {
        for (place, total) in self.lost_totals() {
            self.metrics.set_events_lost(place, total);
        }
        match self.refusals.as_ref().map(Refusals::read) {
            Some(Ok(refused)) => {
                for (reason, total) in refused {
                    self.metrics.set_refused(reason, total);
                }
            }
            Some(Err(error)) => tracing::warn!("refused resets cannot be read: {error}"),
            None => {}
        }
        match Usage::read() {
            Ok(usage) => self.metrics.set_process(usage),
            Err(error) => tracing::debug!("{error}"),
        }
        let mut page = String::new();
        if let Err(error) = self.metrics.encode(format, &mut page) {
            // Only a String out of memory could fail to be written to.
            tracing::error!("the metrics page could not be written: {error}");
        }
        page
    }

    fn status(&self) -> StatusPage {
        let mut counts = BTreeMap::from([
            ("resets".to_owned(), self.resets.load(Ordering::Relaxed)),
            ("failures".to_owned(), self.failures.load(Ordering::Relaxed)),
        ]);
        for (place, total) in self.lost_totals() {
            counts.insert(format!("lost_{place}"), total);
        }
        let notes = self.notes.lock();
        let mut notes = notes.unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(nat) = &self.nat {
            counts.insert("nat_unanswered".to_owned(), nat.unanswered());
            notes.extend(nat.trouble());
        }
        StatusPage {
            version: crate::version::VERSION.to_owned(),
            uptime_s: self.started.elapsed().as_secs_f64(),
            ready: self.ready().is_ok(),
            verdict: self.verdict.to_owned(),
            lost: self.lost.clone(),
            probes: self.probes.clone(),
            gateways: self
                .gateways
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
            notes,
            counts,
            sent: self
                .sent
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    fn alive(&self) -> Result<(), String> {
        let turned = Duration::from_millis(self.turned.load(Ordering::Relaxed));
        turning(self.started.elapsed().saturating_sub(turned))
    }

    fn ready(&self) -> Result<(), String> {
        // The server starts once every required probe is attached; what is left is to take the records.
        self.alive()
    }

    fn events(&self) -> Option<&Arc<Feed>> {
        self.feed.as_ref()
    }
}

/// Whether an event loop that began its last turn so long ago still goes round.
///
/// The server has tasks of its own on the same thread: it answers although the loop may wait in
/// vain for something.
fn turning(ago: Duration) -> Result<(), String> {
    if ago <= TURN {
        return Ok(());
    }
    Err(format!(
        "the loop that takes resets has stood still for {} s; restart resetmon, and report it",
        ago.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_stands_still_is_told() {
        for (ago, says) in [
            (0, None),
            (30, None),
            (31, Some("31 s")),
            (900, Some("900 s")),
        ] {
            match (turning(Duration::from_secs(ago)), says) {
                (Ok(()), None) => {}
                (Err(why), Some(says)) => assert!(why.contains(says), "{why}"),
                (found, _) => panic!("{ago} s: {found:?}"),
            }
        }
    }
}
