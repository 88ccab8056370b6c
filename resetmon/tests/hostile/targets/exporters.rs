//! JSON lines, terminal lines and metrics, given hostile values.

use std::time::Duration;

use resetmon::event::Event;
use resetmon::export::journal;
use resetmon::export::json::{to_failure_line, to_json_line};
use resetmon::export::metrics::{Format, Limits, Metrics};
use resetmon::export::terminal::{Style, failure_lines, header, lines, sentence};
use resetmon::failure::Failure;
use resetmon::reset::Reset;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

use crate::exposition::{self, Sample};
use crate::random::Random;
use crate::resets;
use crate::run::Target;

/// Series that a family may have here.
const CAP: usize = 40;
/// Resets between two readings of the metrics page.
const PAGE_EVERY: u64 = 400;
/// Longest label value, characters.
pub(crate) const LABEL: usize = 100;

/// Every exporter, given the same resets.
pub(crate) struct Exporters {
    metrics: Metrics,
    fed: u64,
    routed: u64,
    ids: u64,
}

impl Default for Exporters {
    fn default() -> Self {
        Self {
            metrics: metrics(),
            fed: 0,
            routed: 0,
            ids: 0,
        }
    }
}

fn metrics() -> Metrics {
    Metrics::new(Limits {
        max_series: CAP,
        max_idle: Duration::from_secs(3600),
        max_label: LABEL,
    })
}

impl Target for Exporters {
    const NAME: &'static str = "exporters";
    const QUICK: u64 = 4_000;
    const REFUSES: bool = false;
    type Input = (Reset, Style);

    fn make(&mut self, random: &mut Random) -> Self::Input {
        self.ids += 1;
        let style = Style {
            columns: (!random.one_in(4)).then(|| random.below(300)),
            colour: random.one_in(2),
        };
        (resets::hostile(random, self.ids), style)
    }

    fn check(&mut self, (reset, style): &Self::Input) -> bool {
        json(reset);
        entry(&Event::Reset(reset.clone()));
        terminal(reset, *style);
        self.metrics.record(reset);
        self.fed += reset.packets;
        self.routed += reset.route.as_ref().map_or(0, |_| reset.packets);
        if self.ids.is_multiple_of(PAGE_EVERY) {
            page(&self.metrics, self.fed, self.routed);
            (self.metrics, self.fed, self.routed) = (metrics(), 0, 0);
        }
        true
    }
}

/// One line that parses, says what the reset says, and holds nothing that a terminal obeys.
pub(crate) fn json(reset: &Reset) {
    let line = to_json_line(reset);
    assert!(!line.contains(char::is_control), "{line:?}");
    let value: Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    assert_eq!(value["peer"], *reset.peer);
    assert_eq!(value["cause"], reset.diagnosis.cause.name());
    assert_eq!(value["id"], reset.id.to_string());
    let evidence: Vec<_> = reset
        .diagnosis
        .evidence
        .iter()
        .map(|fact| Value::from(fact.as_str()))
        .collect();
    assert_eq!(value["evidence"], Value::from(evidence));
    assert_eq!(value["packets"].as_u64().unwrap_or(1), reset.packets);
    match &reset.owner {
        Some(owner) => assert_eq!(value["process"]["name"], *owner.process.name),
        None => assert!(value["process"].is_null()),
    }
}

/// The entry of the journal has the fields that the agent means, and no others.
fn entry(event: &Event) {
    let text = sentence(event);
    assert!(!text.contains(char::is_control), "{text:?}");
    let entry = journal::entry(event);
    let (mut rest, mut once) = (&*entry, Vec::new());
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').expect("a line");
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        let name = if let Some(sign) = line.iter().position(|byte| *byte == b'=') {
            rest = after;
            &line[..sign]
        } else {
            let (length, after) = after.split_first_chunk::<8>().expect("a length");
            let length = usize::try_from(u64::from_le_bytes(*length)).expect("a size");
            assert_eq!(after[length], b'\n');
            rest = &after[length + 1..];
            line
        };
        let name = std::str::from_utf8(name).expect("a name");
        if !name.starts_with("RESETMON_") {
            once.push(name);
        }
        let is_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        assert!(name.len() <= 64 && name.bytes().all(is_name), "{name:?}");
    }
    let known = ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE_ID"];
    assert_eq!(once[..4], known);
    assert!(
        matches!(once[4..], [] | ["OBJECT_SYSTEMD_UNIT"]),
        "{once:?}"
    );
}

/// The same for a failure, on a line and in the terminal.
pub(crate) fn failure(failure: &Failure, style: Style) {
    let line = to_failure_line(failure);
    assert!(!line.contains(char::is_control), "{line:?}");
    let value: Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    assert_eq!(value["event"], "failure");
    assert_eq!(value["failure"], failure.kind.name());
    assert_eq!(value["id"], failure.id.to_string());
    assert_eq!(value["connections"].as_u64().unwrap_or(1), failure.count);
    shown(&failure_lines(failure, style), style);
}

/// Lines as wide as the terminal, with no other control than their ends and colours.
pub(crate) fn terminal(reset: &Reset, style: Style) {
    shown(&lines(reset, style), style);
}

fn shown(shown: &str, style: Style) {
    assert!(shown.ends_with('\n'));
    assert!((1..=3).contains(&shown.lines().count()), "{shown:?}");
    for line in shown.lines().chain([&*header(style)]) {
        let plain = if style.colour {
            without_colours(line)
        } else {
            line.to_owned()
        };
        assert!(!plain.contains(char::is_control), "{plain:?}");
        let odd = |letter: char| matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        assert!(!plain.contains(odd), "{plain:?}");
        if let Some(columns) = style.columns {
            assert!(
                plain.width() <= columns.max(80),
                "{} columns: {plain:?}",
                plain.width()
            );
        }
    }
}

/// The text without the sequences `ESC [ digits m` that colours are.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, text) = part.split_once('m').expect("a colour ends");
        assert!(code.bytes().all(|byte| byte.is_ascii_digit()), "{line:?}");
        plain.push_str(text);
    }
    plain
}

/// Both forms of the page parse, and no count is missing from any family.
pub(crate) fn page(metrics: &Metrics, fed: u64, routed: u64) -> Vec<Sample> {
    let read = |format| {
        let mut page = String::new();
        metrics.encode(format, &mut page).unwrap();
        exposition::read(&page, format)
    };
    let (text, open) = (read(Format::Text), read(Format::OpenMetrics));
    for samples in [&text, &open] {
        for (name, expected) in [
            ("resetmon_resets_total", fed),
            ("resetmon_process_resets_total", fed),
            ("resetmon_peer_resets_total", fed),
            ("resetmon_route_resets_total", routed),
        ] {
            assert_eq!(exposition::total(samples, name), expected, "{name}");
        }
        for sample in samples {
            for (name, value) in &sample.labels {
                assert!(value.chars().count() <= LABEL, "{name} {value:?}");
                let hostile = |letter: char| letter.is_control() && letter != '\n';
                assert!(!value.contains(hostile), "{name} {value:?}");
            }
        }
    }
    text
}
