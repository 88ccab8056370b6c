//! Reads what the guest wrote: one section a program, and marks between them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::guest::MARK;

/// How one check or scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it must.
    Ok,
    /// Not so; what was said of it.
    Failed(Vec<String>),
    /// It did not run; why.
    Skipped(String),
}

/// What a guest wrote.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Transcript {
    /// The checks of `resetmon doctor`: section and name.
    pub(crate) checks: Vec<(String, Outcome)>,
    /// The scenarios by their titles.
    pub(crate) scenarios: BTreeMap<String, Outcome>,
    /// What went wrong apart from those, in words.
    pub(crate) troubles: Vec<String>,
    /// Whether the scenarios were started at all.
    pub(crate) tests_began: bool,
    /// Seconds from the kernel's start to the end, if it came to it.
    pub(crate) seconds: Option<f64>,
}

/// How many of the last asides are shown when the tests broke off.
const ASIDES_SHOWN: usize = 5;

/// Reads the lines of a guest.
pub(crate) fn read(lines: &[String]) -> Transcript {
    let mut transcript = Transcript::default();
    let mut section = "";
    // The scenario whose details may follow.
    let mut last: Option<String> = None;
    let mut closed = false;
    // What programs say besides, such as the agent's own log.
    let mut asides: Vec<&str> = Vec::new();
    let mut answer = String::new();
    for line in lines {
        let Some(mark) = line.strip_prefix(MARK) else {
            match section {
                "doctor" => {
                    answer.push_str(line);
                    answer.push('\n');
                }
                "live" => {
                    closed |= is_closing(line);
                    if !transcript.live_line(line, &mut last) {
                        asides.push(line);
                    }
                }
                "complaints" => transcript.troubles.push(format!("the kernel: {line}")),
                _ => {}
            }
            continue;
        };
        let (verb, rest) = mark.split_once(' ').unwrap_or((mark, ""));
        match verb {
            "begin" => {
                section = rest;
                transcript.tests_began |= section == "live";
            }
            "end" => {
                if section == "doctor" {
                    transcript.doctor(&answer);
                }
                transcript.ended(rest);
                section = "";
            }
            "not-loaded" => transcript
                .troubles
                .push(format!("the module {rest} could not be loaded")),
            "done" => transcript.seconds = rest.parse().ok(),
            _ => {}
        }
    }
    if !closed {
        transcript
            .troubles
            .push("the tests did not come to their closing line; they said:".to_owned());
        let from = asides.len().saturating_sub(ASIDES_SHOWN);
        let shown = asides[from..].iter().map(|line| format!("    {line}"));
        transcript.troubles.extend(shown);
    }
    if transcript.checks.is_empty() {
        transcript
            .troubles
            .push("`resetmon doctor` gave no answer".to_owned());
    }
    if transcript.seconds.is_none() {
        transcript
            .troubles
            .push("the machine did not come to its end".to_owned());
    }
    transcript
}

impl Transcript {
    /// The whole answer of `resetmon doctor --json`.
    fn doctor(&mut self, answer: &str) {
        let Ok(report) = serde_json::from_str::<Value>(answer) else {
            self.troubles
                .push(format!("resetmon doctor: {}", answer.trim()));
            return;
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for check in report["checks"].as_array().into_iter().flatten() {
            let title = format!("{} {}", text(&check["section"]), text(&check["name"]));
            let outcome = match check["grade"].as_str() {
                Some("ok") => Outcome::Ok,
                Some("unused") => Outcome::Skipped("not needed".to_owned()),
                _ => Outcome::Failed(vec![text(&check["found"])]),
            };
            self.checks.push((title, outcome));
        }
    }

    /// Takes a scenario's end, or a detail of the `last` one; false for any other line.
    fn live_line(&mut self, line: &str, last: &mut Option<String>) -> bool {
        if let Some((title, outcome)) = parse_scenario(line) {
            // Events that come too late fail a scenario that had passed.
            self.scenarios
                .entry(title.clone())
                .and_modify(|known| known.worsen(&outcome))
                .or_insert(outcome);
            *last = Some(title);
            return true;
        }
        if let Some(detail) = line.strip_prefix("    ")
            && let Some(title) = last
            && let Some(Outcome::Failed(details)) = self.scenarios.get_mut(title)
        {
            details.push(detail.to_owned());
            return true;
        }
        is_closing(line)
    }

    /// `NAME STATUS`, as the shell has it.
    fn ended(&mut self, rest: &str) {
        // A scenario that failed is known as such; grep finding nothing is what is hoped for.
        if let Some((name @ "doctor", status)) = rest.split_once(' ')
            && status != "0"
        {
            self.troubles
                .push(format!("{name} ended with status {status}"));
        }
        if let Some(("live", status)) = rest.split_once(' ')
            && status != "0"
            && !self
                .scenarios
                .values()
                .any(|outcome| matches!(outcome, Outcome::Failed(_)))
        {
            self.troubles
                .push(format!("the tests ended with status {status}"));
        }
    }
}

impl Outcome {
    fn worsen(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Failed(details), Self::Failed(more)) => details.extend(more.iter().cloned()),
            (_, Self::Ok) => {}
            _ => *self = other.clone(),
        }
    }
}

/// Reads `TITLE   ok (12 ms)`, `… FAILED…` or `… skipped: why`; a title is a word or two.
fn parse_scenario(line: &str) -> Option<(String, Outcome)> {
    let (name, rest) = line.split_once(' ')?;
    if name.is_empty() {
        return None;
    }
    if let Some(outcome) = parse_outcome(rest.trim_start()) {
        return Some((name.to_owned(), outcome));
    }
    let (family, rest) = rest.trim_start().split_once(' ')?;
    let outcome = parse_outcome(rest.trim_start())?;
    Some((format!("{name} {family}"), outcome))
}

fn parse_outcome(text: &str) -> Option<Outcome> {
    let (word, rest) = text.split_once(' ')?;
    match word {
        "ok" if rest.starts_with('(') => Some(Outcome::Ok),
        "FAILED" if rest.starts_with('(') => Some(Outcome::Failed(Vec::new())),
        "FAILED:" => Some(Outcome::Failed(vec![rest.to_owned()])),
        "skipped:" => Some(Outcome::Skipped(rest.to_owned())),
        _ => None,
    }
}

/// Whether a line is the tests' last: `N passed, N failed, N skipped`.
fn is_closing(line: &str) -> bool {
    crate::test::parse_closing_line(line).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    const WHOLE: &str = "\
@vm kernel 6.1.0
@vm begin doctor
{
 \"checks\":[{\"section\":\"kernel\",\"name\":\"BTF\",\"grade\":\"ok\",\"found\":\"x\"},{\"section\":\"probes\",\"name\":\"accept\",\"grade\":\"degraded\",\"found\":\"refused\"},{\"section\":\"probes\",\"name\":\"first_read\",\"grade\":\"unused\",\"found\":\"\"}]}
@vm end doctor 0
@vm begin live
linger_zero v4                               ok (130 ms)
closed_port v6                               skipped: not traced here
reset v4                                     FAILED (20 ms)
    cause is x, not y
    | {\"a\":1}
linger_zero v4                               FAILED: 1 events came too late
1 passed, 2 failed, 1 skipped
@vm end live 1
@vm begin complaints
@vm end complaints 1
@vm done 45.33
";

    #[test]
    fn reads_a_whole_run() {
        let transcript = read(&lines(WHOLE));
        assert_eq!(transcript.troubles, Vec::<String>::new());
        assert!(transcript.tests_began);
        assert_eq!(
            transcript.checks,
            [
                ("kernel BTF".to_owned(), Outcome::Ok),
                (
                    "probes accept".to_owned(),
                    Outcome::Failed(vec!["refused".to_owned()])
                ),
                (
                    "probes first_read".to_owned(),
                    Outcome::Skipped("not needed".to_owned())
                ),
            ]
        );
        let scenario = |title: &str| transcript.scenarios[title].clone();
        assert_eq!(transcript.scenarios.len(), 3);
        assert_eq!(
            scenario("linger_zero v4"),
            Outcome::Failed(vec!["1 events came too late".to_owned()])
        );
        assert_eq!(
            scenario("closed_port v6"),
            Outcome::Skipped("not traced here".to_owned())
        );
        assert_eq!(
            scenario("reset v4"),
            Outcome::Failed(vec![
                "cause is x, not y".to_owned(),
                "| {\"a\":1}".to_owned()
            ])
        );
        assert_eq!(transcript.seconds, Some(45.33));
    }

    #[test]
    fn troubles_are_named() {
        let rows = [
            // What is changed, and what must be said of it.
            (
                "@vm done 45.33\n",
                "",
                "the machine did not come to its end",
            ),
            (
                "@vm kernel 6.1.0\n",
                "@vm not-loaded tun\n",
                "the module tun could not be loaded",
            ),
            (
                "@vm end doctor 0\n",
                "@vm end doctor 2\n",
                "doctor ended with status 2",
            ),
            (
                "@vm begin complaints\n",
                "@vm begin complaints\n[1.0] BUG: x\n",
                "the kernel: [1.0] BUG: x",
            ),
        ];
        for (from, to, trouble) in rows {
            let changed = WHOLE.replacen(from, to, 1);
            assert_ne!(changed, WHOLE);
            assert_eq!(read(&lines(&changed)).troubles, [trouble]);
        }
    }

    #[test]
    fn asides_are_told_only_when_the_tests_broke_off() {
        let aside = "thread 'main' panicked";
        let chatty = WHOLE.replacen("1 passed", &format!("{aside}\n1 passed"), 1);
        assert_eq!(read(&lines(&chatty)).troubles, Vec::<String>::new());
        let broken = chatty.replacen("1 passed, 2 failed, 1 skipped\n", "", 1);
        assert_eq!(
            read(&lines(&broken)).troubles,
            [
                "the tests did not come to their closing line; they said:".to_owned(),
                format!("    {aside}"),
            ]
        );
    }

    #[test]
    fn a_status_that_no_scenario_explains_is_a_trouble() {
        let text = "@vm begin doctor\n{\"checks\":[{\"grade\":\"ok\"}]}\n@vm end doctor 0\n\
                    @vm begin live\na v4 ok (1 ms)\n1 passed, 0 failed, 0 skipped\n\
                    @vm end live 1\n@vm done 1.0\n";
        assert_eq!(
            read(&lines(text)).troubles,
            ["the tests ended with status 1"]
        );
    }

    #[test]
    fn nothing_at_all_is_three_troubles() {
        let transcript = read(&[]);
        assert_eq!(transcript.troubles.len(), 3);
        assert!(!transcript.tests_began);
    }

    #[test]
    fn reads_scenarios() {
        let rows = [
            ("a v4   ok (1 ms)", Some(("a v4", Outcome::Ok))),
            ("stok v4 ok (1 ms)", Some(("stok v4", Outcome::Ok))),
            ("alone           ok (1 ms)", Some(("alone", Outcome::Ok))),
            (
                "alone FAILED (1 ms)",
                Some(("alone", Outcome::Failed(Vec::new()))),
            ),
            ("", None),
            ("a v4", None),
            ("a v4 okay", None),
            ("a v4 ok", None),
            ("a b c ok (1 ms)", None),
            ("    a v4 ok (1 ms)", None),
        ];
        for (line, expected) in rows {
            let expected = expected.map(|(title, outcome)| (title.to_owned(), outcome));
            assert_eq!(parse_scenario(line), expected, "{line}");
        }
    }
}
