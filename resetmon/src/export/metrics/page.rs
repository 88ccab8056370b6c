//! The metrics as text.
//!
//! The client library writes `OpenMetrics`. The older text format differs in the name of a counter's
//! family (with `_total`), in having neither `info` nor units and no exemplars, and in its end; the
//! descriptors below are chosen so that the same encoder writes both.

use std::sync::{Arc, Mutex};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::CounterWithExemplar;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::bounded::Bounded;
use super::labels::Labels;
use super::{ExemplarLabels, State, lock};
use crate::export::process::Usage;
use crate::version;

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.0, with exemplars.
    OpenMetrics,
}

impl Format {
    /// The media type to answer with.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Appends the whole page.
pub(super) fn encode(
    state: &Arc<Mutex<State>>,
    format: Format,
    page: &mut String,
) -> std::fmt::Result {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(View {
        state: Arc::clone(state),
        format,
    }));
    encode_registry(page, &registry)?;
    match format {
        Format::Text => Ok(()),
        Format::OpenMetrics => encode_eof(page),
    }
}

#[derive(Debug)]
struct View {
    state: Arc<Mutex<State>>,
    format: Format,
}

impl Collector for View {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let state = lock(&self.state);
        Writer {
            encoder,
            format: self.format,
        }
        .state(&state)
    }
}

struct Writer<'a> {
    encoder: DescriptorEncoder<'a>,
    format: Format,
}

impl Writer<'_> {
    fn state(&mut self, state: &State) -> std::fmt::Result {
        self.bounded(
            "resetmon_resets",
            "TCP RST packets sent and received by this node",
            &state.resets,
        )?;
        self.bounded(
            "resetmon_process_resets",
            "TCP RST packets by the process that owns the socket",
            &state.processes,
        )?;
        self.bounded(
            "resetmon_route_resets",
            "TCP RST packets on connections of a configured gateway",
            &state.routes,
        )?;
        self.bounded(
            "resetmon_peer_resets",
            "TCP RST packets by the other end of the connection",
            &state.peers,
        )?;
        self.bounded(
            "resetmon_connection_failures",
            "Connections that failed, by how their user saw it, for each end on this node",
            &state.failures,
        )?;
        self.bounded(
            "resetmon_route_connection_failures",
            "Connections of a configured gateway that failed, by how their user saw it",
            &state.route_failures,
        )?;
        self.histograms(
            "resetmon_reset_connection_age",
            "Time from the handshake to the reset",
            &state.age,
        )?;
        self.histograms(
            "resetmon_reset_connection_idle",
            "Time from the last payload, either way, to the reset",
            &state.idle,
        )?;
        let lost = state
            .lost
            .iter()
            .map(|(place, total)| ([("where", *place)], total.counter));
        self.counters(
            "resetmon_events_lost",
            "Events that the kernel side saw and could not hand over, by the place of the loss",
            lost,
        )?;
        let refused = state.refused.iter();
        self.counters(
            "resetmon_refused_resets",
            "TCP RST packets received that the kernel did not believe, by its reason to drop them",
            refused.map(|(reason, total)| ([("reason", reason.as_str())], total.counter)),
        )?;
        self.kernel(state)?;
        let format = self.format;
        self.counter(
            "resetmon_records_malformed",
            "Records from the kernel that could not be decoded",
            |encoder| state.malformed.write(encoder, format),
        )?;
        let families = state.families();
        self.counters(
            "resetmon_series_evicted",
            "Series removed because they were idle, by family",
            families.map(|(family, evicted, _)| ([("family", family)], evicted)),
        )?;
        self.counters(
            "resetmon_series_folded",
            "Updates counted in a series labelled other because the family was full, by family",
            families.map(|(family, _, folded)| ([("family", family)], folded)),
        )?;
        self.probes(state)?;
        if let Some(usage) = &state.process {
            self.process(usage)?;
        }
        self.build_info()
    }

    /// The names are those of Prometheus' client libraries.
    fn process(&mut self, usage: &Usage) -> std::fmt::Result {
        let format = self.format;
        self.counter(
            "process_cpu_seconds",
            "User and system time spent by the agent, in seconds",
            |mut encoder| match format {
                Format::Text => encoder.encode_gauge(&usage.cpu_seconds),
                Format::OpenMetrics => {
                    encoder.encode_counter::<NoLabelSet, _, u64>(&usage.cpu_seconds, None)
                }
            },
        )?;
        self.encoder
            .encode_descriptor(
                "process_start_time_seconds",
                "Start of the agent, in seconds since the Unix epoch",
                None,
                MetricType::Gauge,
            )?
            .encode_gauge(&usage.start_time_seconds)?;
        let gauges = [
            (
                "process_resident_memory_bytes",
                "Memory of the agent that is in RAM, in bytes",
                Some(usage.resident_bytes),
            ),
            (
                "process_virtual_memory_bytes",
                "Address space of the agent, in bytes",
                Some(usage.virtual_bytes),
            ),
            (
                "process_open_fds",
                "File descriptors that the agent has open",
                usage.open_fds,
            ),
            (
                "process_max_fds",
                "Most file descriptors that the agent may have open",
                usage.max_fds,
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                self.encoder
                    .encode_descriptor(name, help, None, MetricType::Gauge)?
                    .encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// The descriptor of a counter, named as the format wants it.
    fn counter(
        &mut self,
        name: &str,
        help: &str,
        write: impl FnOnce(MetricEncoder<'_>) -> std::fmt::Result,
    ) -> std::fmt::Result {
        let full = format!("{name}_total");
        let name = match self.format {
            Format::Text => &full,
            Format::OpenMetrics => name,
        };
        write(
            self.encoder
                .encode_descriptor(name, help, None, MetricType::Counter)?,
        )
    }

    fn bounded<L: Labels, V: Value>(
        &mut self,
        name: &str,
        help: &str,
        family: &Bounded<L, V>,
    ) -> std::fmt::Result {
        if family.is_empty() {
            return Ok(());
        }
        let format = self.format;
        self.counter(name, help, |mut encoder| {
            family
                .iter()
                .try_for_each(|(labels, value)| value.write(encoder.encode_family(labels)?, format))
        })
    }

    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> std::fmt::Result {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return Ok(());
        }
        let format = self.format;
        self.counter(name, help, |mut encoder| {
            values.try_for_each(|(labels, value)| {
                value.write(encoder.encode_family(&labels)?, format)
            })
        })
    }

    fn histograms<L: Labels>(
        &mut self,
        name: &str,
        help: &str,
        family: &Bounded<L, Histogram>,
    ) -> std::fmt::Result {
        if family.is_empty() {
            return Ok(());
        }
        let full = format!("{name}_seconds");
        let (name, unit) = match self.format {
            Format::Text => (full.as_str(), None),
            Format::OpenMetrics => (name, Some(&Unit::Seconds)),
        };
        let mut encoder =
            self.encoder
                .encode_descriptor(name, help, unit, MetricType::Histogram)?;
        family
            .iter()
            .try_for_each(|(labels, histogram)| histogram.encode(encoder.encode_family(labels)?))
    }

    fn probes(&mut self, state: &State) -> std::fmt::Result {
        if state.probes.is_empty() {
            return Ok(());
        }
        let mut encoder = self.encoder.encode_descriptor(
            "resetmon_probe_attached",
            "Whether a probe is attached (1) or what it would show is missing (0)",
            None,
            MetricType::Gauge,
        )?;
        state.probes.iter().try_for_each(|(probe, attached)| {
            let labels = [("probe", probe.as_str())];
            encoder
                .encode_family(&labels)?
                .encode_gauge(&u64::from(*attached))
        })
    }

    /// The kernel's own count, and how far ours is from it.
    fn kernel(&mut self, state: &State) -> std::fmt::Result {
        let totals = state.kernel.iter();
        self.counters(
            "resetmon_kernel_resets",
            "Growth of the kernel's own TCP counters, over all network namespaces",
            totals.map(|(counter, total)| ([("counter", *counter)], *total)),
        )?;
        if let Some(unaccounted) = state.unaccounted {
            self.encoder
                .encode_descriptor(
                    "resetmon_unaccounted_resets",
                    "RST packets sent by the kernel's count and neither counted here nor explained",
                    None,
                    MetricType::Gauge,
                )?
                .encode_gauge(&unaccounted)?;
        }
        let misses = state.recursion.iter();
        self.counters(
            "resetmon_program_recursion_misses",
            "Runs of a program that the kernel left out because it was running already on the CPU",
            misses.map(|(probe, total)| ([("probe", *probe)], total.counter)),
        )
    }

    fn build_info(&mut self) -> std::fmt::Result {
        let labels = [
            ("version", version::VERSION),
            ("commit", version::COMMIT),
            ("object", version::object_hash()),
            ("arch", std::env::consts::ARCH),
        ];
        let help = "Version and commit of the agent and hash of its eBPF object, always 1";
        match self.format {
            Format::Text => self
                .encoder
                .encode_descriptor("resetmon_build_info", help, None, MetricType::Gauge)?
                .encode_family(&labels)?
                .encode_gauge(&1u64),
            Format::OpenMetrics => self
                .encoder
                .encode_descriptor("resetmon_build", help, None, MetricType::Info)?
                .encode_info(&labels),
        }
    }
}

impl State {
    /// `(family, series evicted, updates folded)` of every bounded family.
    fn families(&self) -> [(&'static str, u64, u64); 8] {
        [
            (
                "resetmon_resets_total",
                self.resets.evicted(),
                self.resets.folded(),
            ),
            (
                "resetmon_process_resets_total",
                self.processes.evicted(),
                self.processes.folded(),
            ),
            (
                "resetmon_route_resets_total",
                self.routes.evicted(),
                self.routes.folded(),
            ),
            (
                "resetmon_peer_resets_total",
                self.peers.evicted(),
                self.peers.folded(),
            ),
            (
                "resetmon_connection_failures_total",
                self.failures.evicted(),
                self.failures.folded(),
            ),
            (
                "resetmon_route_connection_failures_total",
                self.route_failures.evicted(),
                self.route_failures.folded(),
            ),
            (
                "resetmon_reset_connection_age_seconds",
                self.age.evicted(),
                self.age.folded(),
            ),
            (
                "resetmon_reset_connection_idle_seconds",
                self.idle.evicted(),
                self.idle.folded(),
            ),
        ]
    }
}

/// The value of a counter.
trait Value {
    fn write(&self, encoder: MetricEncoder<'_>, format: Format) -> std::fmt::Result;
}

impl Value for u64 {
    fn write(&self, mut encoder: MetricEncoder<'_>, format: Format) -> std::fmt::Result {
        match format {
            // Written like a gauge because the name has its `_total` already.
            Format::Text => encoder.encode_gauge(self),
            Format::OpenMetrics => encoder.encode_counter::<NoLabelSet, _, u64>(self, None),
        }
    }
}

impl Value for CounterWithExemplar<ExemplarLabels> {
    fn write(&self, mut encoder: MetricEncoder<'_>, format: Format) -> std::fmt::Result {
        match format {
            Format::Text => self.get().0.write(encoder, format),
            Format::OpenMetrics => {
                let (value, exemplar) = self.get();
                encoder.encode_counter(&value, exemplar.as_ref())
            }
        }
    }
}
