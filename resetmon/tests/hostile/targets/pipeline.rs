//! Records through the whole agent: nothing is lost on the way, nothing counted twice.

use std::num::NonZeroU32;
use std::time::Duration;

use gateway_ebpf_common::event::{ResetRecord, flag};
use gateway_ebpf_common::tally::Aggregate;
use resetmon::attribution::process::Processes;
use resetmon::config::Config;
use resetmon::event::Event;
use resetmon::export::metrics::{Limits, Metrics};
use resetmon::export::terminal::Style;
use resetmon::kernel::btf::Btf;
use resetmon::kernel::clock::{Anchor, Clock};
use resetmon::kernel::decode::{Record, decode, ending};
use resetmon::kernel::reasons::Reasons;
use resetmon::pipeline::Pipeline;

use super::exporters::{self, failure, json, page, terminal};
use crate::mutate::{Bytes, Pool};
use crate::procfs::FakeProc;
use crate::random::Random;
use crate::records::{self, TICK, bytes_of, reason};
use crate::run::Target;

/// Records between two readings of the metrics page.
const PAGE_EVERY: u64 = 2000;

const KERNEL: &[u8] = include_bytes!("../../fixtures/btf/linux-6.12.117.btf");

/// Good and damaged records, fed to one pipeline.
pub(crate) struct EndToEnd {
    pool: Pool,
    /// Empty: every process is gone.
    _proc: FakeProc,
    pipeline: Pipeline,
    metrics: Metrics,
    count: Count,
}

#[derive(Debug, Default)]
struct Count {
    /// Records, and what aggregates stand for.
    records: u64,
    inputs: u64,
    processes: u64,
    resets: u64,
    /// What may have been a failure.
    failures: u64,
    routed: u64,
    /// Provisional resets that a retraction may have removed.
    retractions: u64,
}

/// A pipeline with the reference configuration.
pub(crate) fn pipeline(proc: &FakeProc, capacity: usize) -> Pipeline {
    let config = Config::parse(Config::REFERENCE, "reference.yaml").unwrap();
    let clock = Clock::new(NonZeroU32::new(250).unwrap(), Anchor::now());
    let reasons = Reasons::from_btf(&Btf::parse(KERNEL.to_vec()).unwrap());
    Pipeline::new(
        clock,
        reasons,
        Processes::new(proc.root(), capacity),
        &config,
    )
}

impl Default for EndToEnd {
    fn default() -> Self {
        let proc = FakeProc::new();
        let mut random = Random::of(2, "seeds", 0);
        let seeds: Vec<_> = (0..32)
            .map(|_| bytes_of(&records::reset(&mut random)))
            .collect();
        Self {
            pool: Pool::new(seeds, &[], size_of::<ResetRecord>() + 8),
            pipeline: pipeline(&proc, 64),
            _proc: proc,
            metrics: Metrics::new(Limits {
                max_series: 200,
                max_idle: Duration::from_secs(3600),
                max_label: exporters::LABEL,
            }),
            count: Count::default(),
        }
    }
}

/// A record, and resets that the programs reported together.
#[derive(Debug)]
pub(crate) struct Fed {
    bytes: Bytes,
    aggregate: Option<Aggregate>,
}

impl EndToEnd {
    fn bytes(&mut self, random: &mut Random) -> Bytes {
        if random.one_in(10) {
            return Bytes(bytes_of(&records::process(random)));
        }
        if random.one_in(10) {
            return Bytes(bytes_of(&records::failure(random)));
        }
        if random.one_in(4) {
            return Bytes(self.pool.make(random));
        }
        let mut record = records::reset(random);
        // Times near each other in most, so that what is held meets what retracts it.
        if !random.one_in(16) {
            record.time_ns = 1_000_000_000_000 + random.next() % 40_000_000;
            record.cookie = random.next() % 8;
        }
        if random.one_in(3) {
            record.flags |= random.choose(&[flag::PROVISIONAL, flag::RETRACTS]);
        }
        Bytes(bytes_of(&record))
    }
}

impl Target for EndToEnd {
    const NAME: &'static str = "pipeline";
    const QUICK: u64 = 8_000;
    const REFUSES: bool = true;
    type Input = Fed;

    fn make(&mut self, random: &mut Random) -> Fed {
        let aggregate = random.one_in(8).then(|| Aggregate {
            count: 1 + random.next() % 1000,
            first: match random.below(5) {
                0 => records::noise(random),
                1 => records::failure(random),
                _ => records::reset(random),
            },
        });
        let bytes = self.bytes(random);
        Fed { bytes, aggregate }
    }

    fn check(&mut self, input: &Fed) -> bool {
        let Self {
            pool,
            pipeline,
            metrics,
            count,
            ..
        } = self;
        let decoded = decode(&input.bytes.0, TICK, reason);
        count.inputs += 1;
        count.records += 1 + input.aggregate.map_or(0, |aggregate| aggregate.count);
        match &decoded {
            Ok(Record::Process { .. }) => count.processes += 1,
            Ok(Record::Failure(_)) => count.failures += 1,
            Ok(Record::Reset(observation)) => {
                pool.keep(&input.bytes.0);
                count.retractions += u64::from(observation.retracts);
            }
            Err(_) => {}
        }
        let plain = Style {
            columns: Some(100),
            colour: false,
        };
        if let Some(aggregate) = &input.aggregate
            && let Ok(Record::Failure(_)) = ending(&aggregate.first, TICK, reason)
        {
            count.failures += aggregate.count;
        }
        let mut out = |event: Event| {
            metrics.record_event(&event);
            match event {
                Event::Reset(reset) => {
                    json(&reset);
                    terminal(&reset, plain);
                    count.resets += reset.packets;
                    count.routed += reset.route.as_ref().map_or(0, |_| reset.packets);
                }
                Event::Failure(one) => failure(&one, plain),
            }
        };
        pipeline.feed(&input.bytes.0, &mut out);
        if let Some(first) = input.aggregate {
            pipeline.feed_aggregate(&first, &mut out);
        }
        let at_end = count.inputs.is_multiple_of(PAGE_EVERY);
        if at_end {
            pipeline.end(&mut out);
            let told = count.resets + count.failures + count.processes + pipeline.malformed();
            assert!(told <= count.records, "{told} of {} records", count.records);
            let retracted = count.records - told;
            assert!(
                retracted <= count.retractions,
                "{retracted} of {}",
                count.retractions
            );
            metrics.set_malformed(pipeline.malformed());
            page(metrics, count.resets, count.routed);
        }
        decoded.is_ok()
    }
}
