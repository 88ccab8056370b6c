//! One event as a log record.

use jiff::Timestamp;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, SeverityNumber};

use super::attributes;
use crate::event::Event;
use crate::export::facts::{Severity, severity};
use crate::export::json::flat;
use crate::export::terminal::sentence;

/// The record, observed `now`: the sentence of [`sentence`] with the JSON line's keys as
/// attributes.
pub(super) fn record(event: &Event, now: Timestamp) -> LogRecord {
    let (event_name, time) = match event {
        Event::Reset(reset) => ("resetmon.reset", reset.time),
        Event::Failure(failure) => ("resetmon.failure", failure.time),
    };
    let (severity, severity_text) = match severity(event) {
        Severity::Info => (SeverityNumber::Info, "INFO"),
        Severity::Warning => (SeverityNumber::Warn, "WARN"),
    };
    let mut attributes = Vec::with_capacity(64);
    flat::each(event, |path, value| {
        attributes::push(&mut attributes, path, value);
    });
    LogRecord {
        time_unix_nano: nanoseconds(time),
        observed_time_unix_nano: nanoseconds(now),
        severity_number: severity.into(),
        severity_text: severity_text.to_owned(),
        body: Some(AnyValue {
            value: Some(Any::StringValue(sentence(event))),
        }),
        attributes,
        event_name: event_name.to_owned(),
        ..LogRecord::default()
    }
}

/// Since 1970; 0, which means unknown, before it.
fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}
