use unicode_width::UnicodeWidthStr;

use super::{html, markdown, terminal, to_json};
use crate::diagnosis::pattern::fixture::{Scene, times};
use crate::diagnosis::report::Report;
use crate::export::terminal::Style;
use crate::reset::Cause;

const PLAIN: Style = Style {
    columns: None,
    colour: false,
};

/// A report with everything in it; the upstream has this name.
pub(super) fn full(upstream: &str) -> Report {
    let mut scene = Scene::default();
    for n in 0..12 {
        let seconds = f64::from(n) * 9.0;
        let mut sample = scene.upstream(upstream, seconds, Cause::KeepaliveRace);
        sample.times = times(20.0 + f64::from(n), 5.0, 0.0);
        scene.add(sample);
        let sample = scene.upstream(upstream, seconds, Cause::ResetAfterClose);
        scene.add(sample);
    }
    let sample = scene.upstream("other", 100.0, Cause::Refused);
    scene.add(sample);
    let mut report = scene.report(120.0);
    report
        .unseen
        .push("resets of <other> nodes & clouds".to_owned());
    report
}

#[test]
fn the_page_says_what_where_why_and_what_to_do() {
    let page = terminal::page(&full("payments"), PLAIN);
    for part in [
        "resetmon report of a test, 2025-03-04 05:06:40 to 2025-03-04 05:08:40 UTC (120 s)",
        "25 connections failed or were reset, 12 of them harmlessly",
        " 1. upstream payments closes idle connections that nginx still uses after 5 s of silence",
        "likely: 12 times, on route /api, by 10.0.0.9:8080",
        "> nginx: in upstream payments, set keepalive_timeout below 5 s",
        "events 0000000000000001, ",
        "1 failure of kinds that are too few to conclude from",
        "upstreams  edge payments 12, edge other 1",
        "2 s a step; @ is 1",
        "5 s to 10 s",
        "resets of <other> nodes & clouds",
    ] {
        let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
        let part = part.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&part), "{part:?} is not in\n{page}");
    }
}

#[test]
fn the_page_fits_and_colours_only_where_asked() {
    let name = "ä\u{4f60}".repeat(200);
    for columns in [None, Some(20), Some(80), Some(100), Some(300)] {
        for colour in [false, true] {
            let page = terminal::page(&full(&name), Style { columns, colour });
            assert_eq!(page.contains('\u{1b}'), colour);
            let widest = columns.unwrap_or(100).clamp(80, 100);
            if !colour {
                for line in page.lines() {
                    assert!(line.width() <= widest, "{columns:?}: {line}");
                }
            }
        }
    }
}

#[test]
fn names_are_text_in_every_format() {
    let report = full("<script>alert('1')</script>|\"&`[x](http://x)\u{1b}[31m");
    let page = html::page(&report);
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;|&quot;&amp;`"));
    let text = markdown::page(&report);
    assert!(
        !text.contains("<script") && !text.contains("[x](http"),
        "{text}"
    );
    assert!(
        text.contains("&lt;script&gt;") && text.contains(r"\|"),
        "{text}"
    );
    for shown in [terminal::page(&report, PLAIN), page, text] {
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'));
    }
    let json: serde_json::Value = serde_json::from_str(&to_json(&report)).unwrap();
    let name = json["findings"][0]["place"]["upstream"].as_str().unwrap();
    assert!(
        name.starts_with("<script>alert('1')</script>|\"&`[x]"),
        "{name}"
    );
}

#[test]
fn no_address_becomes_a_link() {
    let text = markdown::page(&full("http://a.test/ WWW.b.test ftp://c"));
    for link in ["://", "WWW."] {
        assert!(!text.contains(link), "{link}: {text}");
    }
    assert!(text.contains("http&#58;//a.test/ WWW&#46;b.test"), "{text}");
}

#[test]
fn the_web_page_needs_nothing_from_elsewhere() {
    let page = html::page(&full("payments"));
    for outside in [
        "http:", "https:", "url(", "src=", "href=", "@import", "<link", "<script",
    ] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("<svg") && page.contains("class=\"bad\""));
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
}

#[test]
fn one_is_one() {
    let report_of = |benign, passed_on, repeats| {
        let mut report = Report::default();
        report.totals.events = 1;
        report.totals.benign = benign;
        report.totals.passed_on = passed_on;
        report.totals.repeats = repeats;
        report
    };
    for (report, expected) in [
        (report_of(0, 0, 0), "1 connection failed or was reset"),
        (
            report_of(1, 0, 0),
            "1 connection failed or was reset, harmlessly",
        ),
        (
            report_of(0, 1, 1),
            "1 connection failed or was reset; 1 more ended because gateways passed that on; 1 \
             further packet of the same",
        ),
    ] {
        assert_eq!(super::summary(&report.totals), expected);
        for page in [markdown::page(&report), html::page(&report)] {
            assert!(page.contains(&format!("{expected}.")), "{page}");
        }
    }
}

#[test]
fn a_report_of_nothing() {
    let report = Scene::default().report(60.0);
    assert!(terminal::page(&report, PLAIN).contains("none: nothing failed"));
    assert!(markdown::page(&report).contains("None."));
    assert!(html::page(&report).contains("<p>None.</p>"));
    // Not even a watch: a file without a line.
    let report = Report::default();
    for page in [
        terminal::page(&report, PLAIN),
        markdown::page(&report),
        html::page(&report),
    ] {
        assert!(page.contains('0'), "{page}");
    }
}

#[test]
fn the_keys_of_the_json() {
    let json: serde_json::Value = serde_json::from_str(&to_json(&full("payments"))).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["span"]["seconds"], 120.0);
    assert_eq!(json["totals"]["benign"], 12);
    let finding = &json["findings"][0];
    assert_eq!(finding["cause"], "keepalive_race");
    assert_eq!(finding["failure"], "reset");
    assert_eq!(finding["kinds"][0], "fixed_time");
    assert_eq!(finding["certainty"], "likely");
    assert_eq!(finding["place"]["leg"], "upstream");
    assert_eq!(finding["examples"][0], "0000000000000001");
    assert!(finding["chance"].as_f64().unwrap() < 1e-6);
    assert_eq!(json["idle"]["events"], 25);
}
