//! An event as one line of prose, for logs that are read by people.

use super::{detail, process};
use crate::event::{Context, Event};
use crate::kernel::observation::Direction;

/// Columns that a process and its pid may take.
const PROCESS: usize = 64;

/// `reset received, keepalive_race: nginx[4242] 10.0.0.1:45678 ← 10.0.0.9:80 · upstream …`, in one
/// line without control characters, whatever the names in it.
#[must_use]
pub fn sentence(event: &Event) -> String {
    let (what, arrow, count, facts) = match event {
        Event::Reset(reset) => {
            let direction = reset.observation.direction;
            let arrow = match direction {
                Direction::Sent => '→',
                Direction::Received => '←',
            };
            let what = format!("reset {}, {}", direction.name(), reset.diagnosis.cause);
            (what, arrow, reset.packets, detail::lines(reset, None))
        }
        Event::Failure(failure) => (
            format!("connection failed, {}", failure.kind.name()),
            '×',
            failure.count,
            detail::failure_lines(failure, None),
        ),
    };
    let context = Context::from(event);
    let many = match count {
        0 | 1 => String::new(),
        count => format!(" (×{count})"),
    };
    let mut text = format!(
        "{what}{many}: {} {} {arrow} {}",
        process(context, PROCESS),
        context.observation.local,
        context.observation.remote,
    );
    for line in facts.iter().filter(|line| !line.is_empty()) {
        text.push_str(" · ");
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::export::sample;

    #[test]
    fn the_conclusion_comes_first() {
        let text = sentence(&Event::Reset(sample::received()));
        let begin = "reset received, aborted_mid_response: nginx[4242] 10.0.0.1:45678 ← \
                     10.0.0.9:8080 · upstream /api/pay → payments · 12345 bytes of the \
                     answer had come · peer payments-1 · ";
        assert!(text.starts_with(begin), "{text}");
        let mut reset = sample::sent_without_socket();
        reset.packets = 3;
        let text = sentence(&Event::Reset(reset));
        let whole = "reset sent, no_listener (×3): - 10.0.0.1:81 → 10.0.0.7:50000 · \
                     a SYN met no listening socket";
        assert_eq!(text, whole);
        let text = sentence(&Event::Failure(sample::failure()));
        let begin = "connection failed, timed_out: nginx[4242] 10.0.0.1:45678 × 10.0.0.9:8080";
        assert!(text.starts_with(begin), "{text}");
    }

    #[test]
    fn hostile_names_stay_in_the_line() {
        let mut reset = sample::received();
        let hostile = "a\nb\u{1b}[31m\u{202e}";
        reset.peer = Arc::from(hostile);
        reset.diagnosis.evidence.say(hostile);
        let text = sentence(&Event::Reset(reset));
        assert!(!text.contains(char::is_control), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
}
