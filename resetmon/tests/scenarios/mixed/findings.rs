//! What a report says against what it must say: pure.

use std::collections::HashSet;

use serde_json::Value;

use super::site;

/// A finding that is due.
pub(super) struct Due {
    /// Cause.
    pub(super) cause: &'static str,
    /// Gateway.
    pub(super) gateway: &'static str,
    /// Its only route.
    pub(super) route: &'static str,
    /// Upstream.
    pub(super) upstream: &'static str,
    /// What stands out, among others.
    pub(super) kind: &'static str,
    /// Part of the title.
    pub(super) title: &'static str,
    /// Part of a line of advice.
    pub(super) advice: &'static str,
    /// The time that follows there, seconds; it may be less by what a silence is measured with.
    pub(super) limit: Option<f64>,
}

/// How much earlier than its timer a busy machine may see a silence begin and end, seconds.
const EARLY: f64 = 0.05;

/// What differs, a line each.
pub(super) fn differences(due: &[Due], report: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let all = report["findings"].as_array().into_iter().flatten();
    let mut left: Vec<&Value> = all.filter(|finding| is_of_site(finding)).collect();
    for one in due {
        let at = left.iter().position(|finding| one.is_at(finding));
        match at.map(|at| left.remove(at)) {
            Some(finding) => one.check(finding, &mut wrong),
            None => wrong.push(format!("not found: {} at {}", one.cause, one.upstream)),
        }
    }
    let more = left.into_iter();
    wrong.extend(more.map(|finding| format!("not there, but found: {finding:#}")));
    wrong
}

/// Whether a finding is of this site and not of other work on the machine.
fn is_of_site(finding: &Value) -> bool {
    let place = &finding["place"];
    let ports: HashSet<u16> = site::PORTS.into_iter().collect();
    let port = place["port"].as_u64();
    let port = port.and_then(|port| u16::try_from(port).ok());
    let gateway = place["gateway"].as_str();
    gateway.is_some_and(|name| name.starts_with("mixed-"))
        || port.is_some_and(|port| ports.contains(&port))
}

impl Due {
    fn is_at(&self, finding: &Value) -> bool {
        let place = &finding["place"];
        finding["cause"] == self.cause
            && place["upstream"] == self.upstream
            && place["gateway"] == self.gateway
    }

    /// Whether a line of advice says what it must.
    fn is_in(&self, line: &str) -> bool {
        let Some((_, rest)) = line.split_once(self.advice) else {
            return false;
        };
        self.limit.is_none_or(|limit| {
            let number = rest.split_once(" s").map(|(number, _)| number.parse());
            matches!(number, Some(Ok(number)) if (limit - EARLY..=limit).contains(&number))
        })
    }

    fn check(&self, finding: &Value, wrong: &mut Vec<String>) {
        let texts = |key: &str| {
            let texts = finding[key].as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).collect::<Vec<_>>()
        };
        let title = finding["title"].as_str().unwrap_or_default();
        let routes = &finding["place"]["routes"];
        let is_right = [
            ("route", *routes == serde_json::json!([self.route])),
            ("leg", finding["place"]["leg"] == "upstream"),
            ("kind", texts("kinds").contains(&self.kind)),
            ("title", title.contains(self.title)),
            (
                "advice",
                texts("advice").iter().any(|line| self.is_in(line)),
            ),
        ];
        for (what, _) in is_right.into_iter().filter(|(_, is_right)| !is_right) {
            wrong.push(format!(
                "{} at {}: {what}: {finding:#}",
                self.cause, self.upstream
            ));
        }
    }
}
