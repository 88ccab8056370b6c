//! `events`: where events go besides the metrics.

use std::path::PathBuf;

use serde::Deserialize;

use super::file::set;
use super::value;
use crate::export::otlp::{self, Endpoint};
use crate::yaml::{Problems, Text};

/// Where events go; nowhere by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// `path`: where every event is written as a JSON line.
    pub path: Option<EventsPath>,
    /// `failures`: connections that failed without a reset are events too.
    pub failures: bool,
    /// `journal`: every event to systemd-journald.
    pub journal: bool,
    /// `http`: `/events`, beside the metrics.
    pub http: bool,
    /// `otlp`: to a receiver of OpenTelemetry logs.
    pub otlp: Option<otlp::Settings>,
}

/// Where JSON lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventsPath {
    /// `-`.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsSection {
    path: Option<Text>,
    failures: Option<Text>,
    journal: Option<Text>,
    http: Option<Text>,
    otlp: Option<OtlpSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OtlpSection {
    endpoint: Text,
    headers_file: Option<Text>,
    ca_file: Option<Text>,
}

/// Takes over what the section says.
pub(super) fn settings(events: &mut Events, section: EventsSection, problems: &mut Problems) {
    if let Some(path) = section.path {
        events.path = problems.keep(path.referenced, value::events_path(&path.value));
    }
    for (target, text) in [
        (&mut events.failures, section.failures),
        (&mut events.journal, section.journal),
        (&mut events.http, section.http),
    ] {
        set(target, text, value::flag, problems);
    }
    events.otlp = section.otlp.and_then(|section| receiver(section, problems));
}

fn receiver(section: OtlpSection, problems: &mut Problems) -> Option<otlp::Settings> {
    let place = section.endpoint.referenced;
    let endpoint = problems.keep(place, Endpoint::parse(&section.endpoint.value));
    let mut file = |text: Option<Text>| {
        text.and_then(|text| problems.keep(text.referenced, value::path(&text.value)))
    };
    let (headers_file, ca_file) = (file(section.headers_file), file(section.ca_file));
    let endpoint = endpoint?;
    if ca_file.is_some() && !endpoint.tls {
        problems.at(
            place,
            "`ca_file` is for https; write https://… or leave it out".to_owned(),
        );
    }
    Some(otlp::Settings {
        endpoint,
        headers_file,
        ca_file,
    })
}
