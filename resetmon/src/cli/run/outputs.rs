//! Where events go besides the metrics.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::{Config, EventsPath};
use crate::event::Event;
use crate::export::background::{Background, Closed};
use crate::export::http::Feed;
use crate::export::journal::{self, Journal};
use crate::export::json::to_event_line;
use crate::export::lines::LineWriter;
use crate::export::otlp::{self, Exporter};

/// Events that wait for one output at most.
const QUEUE: usize = 4096;
/// What an output gets for its last events, when the agent ends.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

const THREAD: &str = "the thread that writes events cannot be started";

/// Options that say where events go.
#[derive(Debug, Default, clap::Args)]
pub(super) struct EventArgs {
    /// Write every reset as a JSON line to a file, or to standard output with `-`
    #[arg(long, value_name = "FILE|-")]
    events: Option<PathBuf>,

    /// Write every reset to systemd-journald, each key of the JSON line as a field RESETMON_…
    #[arg(long)]
    journal: bool,

    /// Serve every reset at /events, beside the metrics, to who keeps that page open
    ///
    /// The form is that of server-sent events. The page takes the filters of `resetmon watch`, as
    /// `/events?cause=keepalive_race&route=/api`, and the same TLS and basic auth as the metrics.
    #[arg(long)]
    http_events: bool,

    /// Write connections that failed without a reset to the events too
    #[arg(long)]
    failures: bool,
}

/// What is wanted: of the command line, else of the configuration.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Where JSON lines go.
    pub(super) path: Option<EventsPath>,
    /// Connections that failed without a reset too.
    pub(super) failures: bool,
    /// To journald.
    pub(super) journal: bool,
    /// At `/events`.
    pub(super) http: bool,
    /// To a receiver of OTLP.
    pub(super) otlp: Option<otlp::Settings>,
    /// This node in its cluster, where it is known.
    pub(super) node: Option<Arc<str>>,
}

impl Wanted {
    /// What the options and the configuration ask for together.
    pub(super) fn new(args: &EventArgs, config: &Config) -> Self {
        let node = config.kubernetes.node.clone();
        let config = &config.events;
        let path = match &args.events {
            Some(path) if path.as_os_str() == "-" => Some(EventsPath::Stdout),
            Some(path) => Some(EventsPath::File(path.clone())),
            None => config.path.clone(),
        };
        Self {
            path,
            failures: args.failures || config.failures,
            journal: args.journal || config.journal,
            http: args.http_events || config.http,
            otlp: config.otlp.clone(),
            node: node.or_else(|| Some(std::env::var("NODE_NAME").ok()?.into())),
        }
    }
}

/// Outputs that are open, while no thread writes to them yet.
#[derive(Debug)]
pub(super) struct Opened {
    lines: Option<Lines>,
    journal: Option<Journal>,
    feed: Option<Arc<Feed>>,
    otlp: Option<Exporter>,
    failures: bool,
}

/// Where JSON lines go.
#[derive(Debug)]
enum Lines {
    Stdout,
    File(PathBuf, File),
}

impl Opened {
    /// Opens what is wanted.
    ///
    /// Errors: a file or the journal cannot be opened.
    pub(super) fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        let lines = match &wanted.path {
            None => None,
            Some(EventsPath::Stdout) => Some(Lines::Stdout),
            Some(EventsPath::File(path)) => {
                let file = LineWriter::open(path).with_context(|| {
                    format!(
                        "the events file {} cannot be opened; name another with --events",
                        path.display()
                    )
                })?;
                Some(Lines::File(path.clone(), file))
            }
        };
        let journal = wanted
            .journal
            .then(|| Journal::open(Path::new(journal::SOCKET)));
        let journal = journal.transpose().with_context(|| {
            format!(
                "the journal cannot be reached at {}; start systemd-journald, in a container mount \
                 that path, or leave --journal and `events.journal` out",
                journal::SOCKET
            )
        })?;
        let otlp = wanted.otlp.clone().map(|settings| {
            let endpoint = settings.endpoint.to_string();
            Exporter::new(settings, resource(wanted.node.as_deref())).with_context(|| {
                format!("events cannot be sent to {endpoint}, as `events.otlp` asks for")
            })
        });
        Ok(Self {
            lines,
            journal,
            otlp: otlp.transpose()?,
            feed: wanted.http.then(Arc::default),
            failures: wanted.failures,
        })
    }

    /// Starts to write, by threads with the privileges of this one.
    pub(super) fn start(self) -> anyhow::Result<Outputs> {
        let lines = self.lines.map(|lines| match lines {
            Lines::Stdout => LineWriter::stdout(),
            Lines::File(path, file) => LineWriter::file(&path, file),
        });
        let journal = self
            .journal
            .map(|journal| Background::new("the journal".to_owned(), QUEUE, journal));
        let otlp = self
            .otlp
            .map(|exporter| Background::new("OTLP".to_owned(), QUEUE, exporter));
        Ok(Outputs {
            otlp: otlp.transpose().context(THREAD)?,
            lines: lines.transpose().context(THREAD)?,
            journal: journal.transpose().context(THREAD)?,
            feed: self.feed,
            failures: self.failures,
        })
    }
}

/// Who reports, in the words of the semantic conventions.
fn resource(node: Option<&str>) -> Vec<otlp::KeyValue> {
    let host = rustix::system::uname();
    let mut resource = vec![otlp::text("host.name", &host.nodename().to_string_lossy())];
    resource.extend(node.map(|node| otlp::text("k8s.node.name", node)));
    resource
}

/// Outputs that take events.
#[derive(Debug)]
pub(super) struct Outputs {
    lines: Option<LineWriter>,
    journal: Option<Background<Arc<Event>>>,
    feed: Option<Arc<Feed>>,
    otlp: Option<Background<Arc<Event>>>,
    failures: bool,
}

impl Outputs {
    /// Hands an event to each of them; none of them is waited for.
    pub(super) fn put(&self, event: Event) {
        if matches!(event, Event::Failure(_)) && !self.failures {
            return;
        }
        if let Some(lines) = &self.lines {
            lines.write(to_event_line(&event));
        }
        if self.journal.is_none() && self.otlp.is_none() && self.feed.is_none() {
            return;
        }
        let event = Arc::new(event);
        for writer in [&self.journal, &self.otlp].into_iter().flatten() {
            writer.put(Arc::clone(&event));
        }
        if let Some(feed) = &self.feed {
            feed.put(event);
        }
    }

    /// What `/events` serves.
    pub(super) fn feed(&self) -> Option<Arc<Feed>> {
        self.feed.clone()
    }

    /// Counts of what each of them lost, by place.
    pub(super) fn losses(&self) -> Vec<(&'static str, Arc<AtomicU64>)> {
        let lines = self.lines.as_ref();
        let journal = self.journal.as_ref();
        let feed = self.feed.as_ref();
        let otlp = self.otlp.as_ref();
        [
            lines.map(|lines| ("events", lines.lost_handle())),
            journal.map(|journal| ("journal", journal.lost_handle())),
            feed.map(|feed| ("http", feed.lost_handle())),
            otlp.map(|otlp| ("otlp", otlp.lost_handle())),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Writes what waits, for a limited time, and says what could not be written.
    pub(super) fn close(self) {
        let lines = self.lines.map(|lines| lines.close(LEAVE_WITHIN));
        let journal = self.journal.map(|journal| journal.close(LEAVE_WITHIN));
        let otlp = self.otlp.map(|otlp| otlp.close(LEAVE_WITHIN));
        for (name, closed) in [
            ("the events file", lines),
            ("the journal", journal),
            ("OTLP", otlp),
        ] {
            let Some(Closed {
                lost: lost @ 1..,
                error,
                ..
            }) = closed
            else {
                continue;
            };
            let why = error.unwrap_or_else(|| "it was too slow".to_owned());
            tracing::warn!("{lost} events could not be written to {name}: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_before_the_configuration() {
        let configured = Config::parse("events: {path: /var/log/a, journal: true}", "x").unwrap();
        let none = Config::default();
        for (path, config, expected) in [
            (None, &none, None),
            (None, &configured, configured.events.path.clone()),
            (Some("-"), &configured, Some(EventsPath::Stdout)),
            (Some("b"), &none, Some(EventsPath::File("b".into()))),
        ] {
            let args = EventArgs {
                events: path.map(PathBuf::from),
                ..EventArgs::default()
            };
            let wanted = Wanted::new(&args, config);
            assert_eq!(wanted.path, expected);
            assert_eq!(wanted.journal, config.events.journal);
            assert!(!wanted.failures && !wanted.http);
        }
        let args = EventArgs {
            events: None,
            journal: true,
            http_events: true,
            failures: true,
        };
        let wanted = Wanted::new(&args, &none);
        assert!(wanted.journal && wanted.failures && wanted.http);
    }

    #[test]
    fn what_cannot_be_opened_is_named_with_a_remedy() {
        for (text, expected) in [
            (
                "events: {path: /nowhere/x}",
                "the events file /nowhere/x cannot be opened; name another with --events: No such file",
            ),
            (
                "events: {otlp: {endpoint: \"http://x\", headers_file: /nowhere/h}}",
                "events cannot be sent to http://x:80/v1/logs, as `events.otlp` asks for: \
                 /nowhere/h: No such file",
            ),
        ] {
            let config = Config::parse(text, "x").unwrap();
            let wanted = Wanted::new(&EventArgs::default(), &config);
            let error = format!("{:#}", Opened::open(&wanted).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
