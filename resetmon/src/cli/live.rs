//! Resets and failures as they happen, for the commands that show or look at them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::CaptureArgs;
use super::gateways::Gateways;
use super::session::{self, COUNTERS, TIMER};
use super::signals::{Request, Signals};
use super::tty::{Input, Inputs};
use crate::config::Config;
use crate::event::Event;
use crate::kernel::attach::Attached;
use crate::kernel::capture::Capture;
use crate::kernel::offsets::Missing;
use crate::kernel::ring::Ring;
use crate::overflow::{Kind, Overflow};
use crate::pipeline::{Pipeline, pump};
use crate::text::counted;
use crate::ticks::Ticks;

/// Who takes the events.
pub(super) trait Viewer {
    /// A finished event.
    fn show(&mut self, event: &Event);
    /// So many events were too many to be handed over.
    fn lose(&mut self, _count: u64) {}
    /// Something was done at the terminal.
    fn input(&mut self, _input: Input) {}
    /// Nothing more has come for now; called at least once a second.
    fn pause(&mut self) {}
    /// When it wants the next pause, if that is to be soon.
    fn due(&self) -> Option<Instant> {
        None
    }
    /// False once nobody is interested any more.
    fn wants_more(&self) -> bool {
        true
    }
}

/// Probes at work and what makes events of their records.
pub(super) struct Live {
    config_path: Option<PathBuf>,
    config: Config,
    signals: Signals,
    gateways: Gateways,
    attached: Attached,
    missing: Vec<Missing>,
    ring: Ring,
    overflow: Overflow,
    look: Ticks,
    pipeline: Pipeline,
    bare: [(Kind, u64); 4],
}

impl Live {
    /// Attaches the probes; needs a running event loop.
    pub(super) fn start(args: &CaptureArgs) -> anyhow::Result<Self> {
        let signals = Signals::new().context("signals cannot be received")?;
        let config = session::load_config(args.config.as_deref())?;
        let gateways = Gateways::start(&config);
        let capture = session::open(args, &config, None)?;
        let pipeline = session::pipeline(&capture, &config);
        let Capture {
            attached,
            ring,
            tallies,
            aggregates,
            delivered,
            missing,
            ..
        } = capture;
        let (overflow, look) = session::overflow(aggregates, Arc::new(tallies), delivered)?;
        Ok(Self {
            config_path: args.config.clone(),
            config,
            signals,
            gateways,
            attached,
            missing,
            ring,
            overflow,
            look,
            pipeline,
            bare: [Kind::Sent, Kind::Received, Kind::Rejected, Kind::Failed].map(|kind| (kind, 0)),
        })
    }

    /// Hands events over until SIGTERM, SIGINT, until `viewer` wants no more, or `limit` has passed;
    /// the last ones, too.
    pub(super) async fn run(
        &mut self,
        viewer: &mut impl Viewer,
        limit: Option<Duration>,
    ) -> anyhow::Result<()> {
        self.run_with(viewer, limit, Inputs::none()).await
    }

    /// The same with what is done at the terminal meanwhile; ends too when that hangs up.
    pub(super) async fn run_with(
        &mut self,
        viewer: &mut impl Viewer,
        limit: Option<Duration>,
        mut inputs: Inputs,
    ) -> anyhow::Result<()> {
        let end = limit.and_then(|limit| Instant::now().checked_add(limit));
        self.gateways
            .first_look(&self.config, &mut self.pipeline)
            .await;
        while viewer.wants_more() {
            let due = viewer.due();
            tokio::select! {
                request = self.signals.next() => match request {
                    Request::Stop => break,
                    Request::Reload if inputs.hung_up() => break,
                    Request::Reload => {
                        let path = self.config_path.as_deref();
                        session::reload(path, &mut self.config, &mut self.pipeline);
                        self.gateways.reload(&self.pipeline);
                    }
                },
                () = until(end) => break,
                () = until(due) => viewer.pause(),
                input = inputs.next() => {
                    viewer.input(input);
                    while let Some(input) = inputs.at_hand() {
                        viewer.input(input);
                    }
                    viewer.pause();
                }
                tick = self.look.tick() => {
                    tick.context(TIMER)?;
                    self.collect(viewer)?;
                }
                change = self.gateways.next() => self.gateways.apply(change, &mut self.pipeline),
                result = pump(&mut self.ring, &mut self.pipeline, |event| viewer.show(&event)) => {
                    result.context("the ring buffer cannot be read")?;
                    self.gateways.nudge(&mut self.pipeline);
                    viewer.pause();
                }
            }
        }
        let pipeline = &mut self.pipeline;
        self.ring
            .drain(|record| pipeline.feed(record, |event| viewer.show(&event)));
        pipeline.end(|event| viewer.show(&event));
        self.collect(viewer)
    }

    fn collect(&mut self, viewer: &mut impl Viewer) -> anyhow::Result<()> {
        let bare = &mut self.bare;
        let mut lost = 0;
        let count = |kind, packets| {
            lost = u64::saturating_add(lost, packets);
            for (of, sum) in bare.iter_mut() {
                if *of == kind {
                    *sum = u64::saturating_add(*sum, packets);
                }
            }
        };
        self.overflow
            .collect(&mut self.pipeline, |event| viewer.show(&event), count)
            .context(COUNTERS)?;
        if lost > 0 {
            viewer.lose(lost);
        }
        viewer.pause();
        Ok(())
    }

    /// Events that were too many to be handed over, by kind.
    pub(super) fn lost(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.bare.into_iter().filter(|(_, packets)| *packets > 0)
    }

    /// The probes.
    pub(super) fn attached(&self) -> &Attached {
        &self.attached
    }

    /// Members that this kernel lacks.
    pub(super) fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// What makes events of records.
    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }
}

/// Waits until then; for ever without a time.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// `3 sent resets`, `1 failed connection`.
pub(super) fn counted_of(kind: Kind, number: u64) -> String {
    counted(
        number,
        match kind {
            Kind::Failed => "failed connection",
            Kind::Sent => "sent reset",
            Kind::Received => "received reset",
            Kind::Rejected => "rejected reset",
        },
    )
}
