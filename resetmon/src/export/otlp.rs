//! Events as OpenTelemetry logs: OTLP over HTTP, in protocol buffers
//! (<https://opentelemetry.io/docs/specs/otlp/>).
//!
//! The types are the project's own; the sending is not, since its exporter drops what it cannot
//! send without telling how much, and here every loss is counted.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use tokio::runtime::Runtime;

use super::background::{Store, Taken};
use crate::event::Event;
use crate::routes::admin::access::{Access, AccessError};

mod attributes;
mod endpoint;
mod post;
mod record;
#[cfg(test)]
mod tests;

pub use attributes::text;
pub use endpoint::Endpoint;
pub use opentelemetry_proto::tonic::common::v1::KeyValue;
use post::PostError;

/// The version of the semantic conventions that attributes are named by.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExporterError {
    /// A file that is named cannot be read, or is not what it should be.
    #[error(transparent)]
    File(#[from] AccessError),
    /// Nobody is trusted.
    #[error("this system has no CA certificates; name those of the receiver by `ca_file`")]
    NoCertificates,
}

/// How events are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// To where.
    pub endpoint: Endpoint,
    /// Headers to send, one a line, as `Authorization: …`; read anew each time.
    pub headers_file: Option<PathBuf>,
    /// Certificates (PEM) that are trusted; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
}

impl Settings {
    /// The headers of `headers_file`.
    fn access(&self) -> Access {
        Access {
            headers_file: self.headers_file.clone(),
            ..Access::default()
        }
    }
}

/// When to send.
#[derive(Clone, Debug)]
struct Pace {
    /// How long to gather events, so that few are not sent one by one.
    gather: Duration,
    /// Events of one request at most.
    batch: usize,
    /// What one request may take.
    answer: Duration,
    /// Pauses before it is tried again; after the last one its events are lost.
    pauses: Vec<Duration>,
    /// Longest pause that a receiver may ask for.
    longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            gather: Duration::from_secs(1),
            batch: 512,
            answer: Duration::from_secs(10),
            pauses: [1, 2, 4, 8, 16].map(Duration::from_secs).to_vec(),
            longest: Duration::from_secs(30),
        }
    }
}

/// Sends events to a receiver of OTLP.
#[derive(Debug)]
pub struct Exporter {
    settings: Settings,
    resource: Resource,
    pace: Pace,
    /// Of the thread that sends.
    runtime: Option<Runtime>,
}

impl Exporter {
    /// Sends as `settings` say; `resource` is who reports, beside `service.name`.
    ///
    /// Errors: a file that is named cannot be read or used.
    pub fn new(settings: Settings, resource: Vec<KeyValue>) -> Result<Self, ExporterError> {
        settings.access().headers()?;
        if settings.endpoint.tls {
            post::connector(settings.ca_file.as_deref())?;
        }
        let mut attributes = vec![
            text("service.name", "resetmon"),
            text("service.version", crate::version::VERSION),
        ];
        attributes.extend(resource);
        Ok(Self {
            settings,
            resource: Resource {
                attributes,
                ..Resource::default()
            },
            pace: Pace::default(),
            runtime: None,
        })
    }

    fn request(&self, records: Vec<LogRecord>) -> Vec<u8> {
        ExportLogsServiceRequest {
            resource_logs: vec![ResourceLogs {
                resource: Some(self.resource.clone()),
                scope_logs: vec![ScopeLogs {
                    scope: Some(InstrumentationScope {
                        name: "resetmon".to_owned(),
                        version: crate::version::VERSION.to_owned(),
                        ..InstrumentationScope::default()
                    }),
                    log_records: records,
                    schema_url: SCHEMA_URL.to_owned(),
                }],
                schema_url: SCHEMA_URL.to_owned(),
            }],
        }
        .encode_to_vec()
    }

    /// Sends one request until it is taken, refused, or tried often enough; returns how many of
    /// its records the receiver did not want, and why.
    fn deliver(&mut self, body: Vec<u8>) -> Result<post::Accepted, PostError> {
        let body = hyper::body::Bytes::from(body);
        let runtime = if let Some(runtime) = &self.runtime {
            runtime
        } else {
            let new = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            self.runtime.insert(new.map_err(|error| {
                PostError::Refused(format!("the event loop cannot start: {error}"))
            })?)
        };
        let mut pauses = self.pace.pauses.iter();
        loop {
            let post = post::post(&self.settings, body.clone());
            let limited = async { tokio::time::timeout(self.pace.answer, post).await };
            let outcome = runtime.block_on(limited).unwrap_or_else(|_| {
                Err(PostError::Again {
                    what: format!("no answer within {:?}", self.pace.answer),
                    after: None,
                })
            });
            let (what, after) = match outcome {
                Err(PostError::Again { what, after }) => (what, after),
                decided => return decided,
            };
            let Some(pause) = pauses.next() else {
                return Err(PostError::Refused(what));
            };
            tracing::debug!("OTLP: {what}; tried again");
            let pause = after.map_or(*pause, |after| after.min(self.pace.longest));
            std::thread::sleep(pause);
        }
    }
}

impl Store for Exporter {
    type Item = Arc<Event>;

    fn take(&mut self, events: &mut dyn Iterator<Item = Self::Item>) -> Taken {
        let mut taken = Taken::default();
        let mut first = events.next();
        // What comes meanwhile goes along.
        std::thread::sleep(self.pace.gather);
        loop {
            let batch = first.take().into_iter().chain(&mut *events);
            let batch = batch.take(self.pace.batch);
            let now = Timestamp::now();
            let records: Vec<LogRecord> = batch.map(|event| record::record(&event, now)).collect();
            if records.is_empty() {
                return taken;
            }
            let count = records.len() as u64;
            let (lost, why) = match self.deliver(self.request(records)) {
                Ok(accepted) => (accepted.rejected.min(count), accepted.message),
                Err(error) => (count, error.to_string()),
            };
            taken.written += count - lost;
            taken.lost += lost;
            if lost > 0 {
                let endpoint = &self.settings.endpoint;
                taken.error = Some(io::Error::other(format!("{endpoint}: {why}")));
            }
        }
    }
}
