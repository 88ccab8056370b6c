//! Saved events, damaged, and the reports made of them.

use resetmon::diagnosis::pattern::observed::Observed;
use resetmon::diagnosis::report::report;
use resetmon::export::json::read::read;
use resetmon::export::json::to_json_line;
use resetmon::export::report::{html, markdown, terminal, to_json};
use resetmon::export::terminal::Style;
use unicode_width::UnicodeWidthStr;

use crate::mutate::{Bytes, Pool};
use crate::random::Random;
use crate::resets;
use crate::run::Target;

/// Words of a line.
const TOKENS: &[&[u8]] = &[
    b"\"v\":1,",
    b"\"v\":2,",
    b"\"v\":18446744073709551616,",
    b"\"id\":\"ffffffffffffffff\",",
    b"\"packets\":18446744073709551615,",
    b"\"age_s\":1e308,",
    b"\"idle_in_s\":-1,",
    b"\"tick_s\":0,",
    b"\"process\":null,",
    b"\"failure\":\"empty_response\",",
    b"\"repeat_of\":\"1\",",
    b"\"propagated_from\":{\"id\":\"1\"},",
    b"\"time\":\"-009999-01-01T00:00:00Z\",",
    b"\"time\":\"9999-12-30T00:00:00Z\",",
    b"\"local\":\"[::1]:0\",",
    b"\\ud800",
    b"\\u0000",
    b"{\"a\":{\"a\":{\"a\":",
    b"\n",
    b"\r\n",
    b"\xff",
];

/// Longest file.
const MOST: usize = 60_000;

/// A file of events, and what is made of it.
#[derive(Debug, Default)]
pub(crate) struct SavedEvents {
    pool: Option<Pool>,
}

impl Target for SavedEvents {
    const NAME: &'static str = "saved events";
    const QUICK: u64 = 600;
    const REFUSES: bool = true;
    type Input = Bytes;

    fn make(&mut self, random: &mut Random) -> Bytes {
        let pool = self.pool.get_or_insert_with(|| {
            let files: Vec<Vec<u8>> = (0..12).map(|_| file(random)).collect();
            Pool::new(files, TOKENS, MOST)
        });
        Bytes(pool.make(random))
    }

    fn check(&mut self, bytes: &Bytes) -> bool {
        let mut observed = Observed::default();
        let mut names = std::mem::take(&mut observed.names);
        let read =
            read(&*bytes.0, &mut names, |sample| observed.add(sample)).expect("memory can be read");
        observed.names = names;
        observed.finish();
        let lines = bytes.0.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.trim_ascii().is_empty()).count() as u64;
        let seen = read.events + read.malformed + read.other_version + u64::from(read.cut_off);
        assert_eq!(seen, lines, "every line is an event or counted");
        let report = report(&observed, "a file", read.losses());
        assert!(report.totals.events >= report.totals.benign);
        shown(&terminal::page(
            &report,
            Style {
                columns: None,
                colour: false,
            },
        ));
        let text = markdown::page(&report);
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
        let json: serde_json::Value =
            serde_json::from_str(&to_json(&report)).expect("the report is JSON");
        assert_eq!(json["totals"]["events"], report.totals.events);
        well_formed(&html::page(&report));
        let accepted = read.malformed == 0 && !read.cut_off;
        if accepted && let Some(pool) = &mut self.pool {
            pool.keep(&bytes.0);
        }
        accepted
    }
}

/// Events in rows, so that there is something to find.
fn file(random: &mut Random) -> Vec<u8> {
    let mut text = String::new();
    let mut id = 1;
    for _ in 0..=random.below(4) {
        let reset = resets::hostile(random, id);
        for _ in 0..=random.below(8) {
            id += 1;
            let mut reset = reset.clone();
            reset.id = resetmon::reset::ResetId(id);
            text.push_str(&to_json_line(&reset));
            text.push('\n');
        }
    }
    text.into_bytes()
}

fn shown(page: &str) {
    for line in page.lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(line.width() <= 100, "{} columns: {line:?}", line.width());
    }
}

/// Elements that a page has; those of the second list have no end.
const ELEMENTS: [&str; 31] = [
    "html",
    "head",
    "title",
    "style",
    "body",
    "h1",
    "h2",
    "h3",
    "h4",
    "p",
    "b",
    "section",
    "span",
    "ul",
    "ol",
    "li",
    "figure",
    "figcaption",
    "svg",
    "rect",
    "text",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "a",
    "em",
    "code",
];
const WITHOUT_END: [&str; 2] = ["!DOCTYPE", "meta"];

/// Every element that is begun is ended, in order, and there is none but ours.
fn well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').expect("a tag ends") + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag
            .trim_start_matches('/')
            .split([' ', '/'])
            .next()
            .unwrap_or_default();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "…{tag}");
        } else if !WITHOUT_END.contains(&name) {
            assert!(ELEMENTS.contains(&name), "{name:?} is none of ours");
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
}
