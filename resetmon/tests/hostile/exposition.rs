//! A strict reader of metrics pages, by the rules of the formats.

use std::collections::{BTreeMap, BTreeSet};

use resetmon::export::metrics::Format;

/// One line of a page.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// The samples of a page; panics where the page breaks its format.
pub(crate) fn read(page: &str, format: Format) -> Vec<Sample> {
    let body = match format {
        Format::Text => page,
        Format::OpenMetrics => page.strip_suffix("# EOF\n").expect("it ends in # EOF"),
    };
    assert!(body.ends_with('\n'), "the last line is not ended");
    let mut samples = Vec::new();
    let mut seen = BTreeSet::new();
    let mut families = BTreeSet::new();
    let mut family = String::new();
    for line in body.split_terminator('\n') {
        assert!(!line.contains(char::is_control), "{line:?}");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (word, name) = (words.next().unwrap(), words.next().unwrap());
            let text = words.next().expect("a comment has three parts");
            assert!(["HELP", "TYPE", "UNIT"].contains(&word), "{line:?}");
            if word == "HELP" {
                assert!(families.insert(name.to_owned()), "{name} comes twice");
                name.clone_into(&mut family);
            } else {
                assert_eq!(name, family, "{line:?}");
            }
            let kinds = ["counter", "gauge", "histogram", "info"];
            assert!(word != "TYPE" || kinds.contains(&text), "{line:?}");
            continue;
        }
        let sample = sample(line, format);
        let suffix = sample
            .name
            .strip_prefix(&family)
            .expect("it belongs to its family");
        let suffixes = ["", "_total", "_bucket", "_sum", "_count", "_info"];
        assert!(suffixes.contains(&suffix), "{line:?}");
        let series = (sample.name.clone(), sample.labels.clone());
        assert!(seen.insert(series), "a series comes twice: {line:?}");
        samples.push(sample);
    }
    samples
}

fn sample(line: &str, format: Format) -> Sample {
    let end = line.find(['{', ' ']).expect("a name ends");
    let (name, mut rest) = line.split_at(end);
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    assert!(
        name.starts_with("resetmon_") && name.chars().all(legal),
        "{line:?}"
    );
    let mut labels = BTreeMap::new();
    if rest.starts_with('{') {
        (labels, rest) = label_set(&rest[1..]);
    }
    let rest = rest
        .strip_prefix(' ')
        .expect("a blank stands before the value");
    let (value, exemplar) = match rest.split_once(" # ") {
        Some((value, exemplar)) => (value, Some(exemplar)),
        None => (rest, None),
    };
    if let Some(exemplar) = exemplar {
        assert_eq!(format, Format::OpenMetrics);
        let (labels, rest) = label_set(exemplar.strip_prefix('{').expect("an exemplar has labels"));
        let length: usize = labels
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        assert!(length <= 128, "{line:?}");
        let mut numbers = rest.strip_prefix(' ').expect("a value").split(' ');
        assert!(numbers.next().unwrap().parse::<f64>().is_ok(), "{line:?}");
        let time = numbers
            .next()
            .map(|time| time.parse::<f64>().expect("a time"));
        assert!(
            time.is_none_or(f64::is_finite) && numbers.next().is_none(),
            "{line:?}"
        );
    }
    let value: f64 = value
        .parse()
        .unwrap_or_else(|_| panic!("no value: {line:?}"));
    assert!(value.is_finite() && value >= 0.0, "{line:?}");
    let name = name.to_owned();
    Sample {
        name,
        labels,
        value,
    }
}

/// The labels up to the closing brace, and what follows it.
fn label_set(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.starts_with('}') {
        let (key, after) = rest.split_once("=\"").expect("a label has a value");
        assert!(
            key.chars()
                .all(|letter| letter.is_ascii_lowercase() || letter == '_'),
            "{text:?}"
        );
        let mut value = String::new();
        let mut letters = after.char_indices();
        let end = loop {
            let (at, letter) = letters.next().expect("the value is closed");
            match letter {
                '"' => break at + 1,
                '\\' => value.push(match letters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, letter @ ('\\' | '"'))) => letter,
                    other => panic!("escape {other:?} in {text:?}"),
                }),
                other => value.push(other),
            }
        };
        assert!(
            labels.insert(key.to_owned(), value).is_none(),
            "{key} comes twice"
        );
        rest = &after[end..];
        rest = match rest.strip_prefix(',') {
            Some(next) => {
                assert!(!next.starts_with('}'), "{text:?}");
                next
            }
            None => rest,
        };
    }
    (labels, &rest[1..])
}

/// The sum of the samples of one name.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts of a test are small whole numbers"
)]
pub(crate) fn total(samples: &[Sample], name: &str) -> u64 {
    let of_name = samples.iter().filter(|sample| sample.name == name);
    of_name.map(|sample| sample.value).sum::<f64>() as u64
}

/// How many series there are of one name, and how many of them are not folded into `other`.
pub(crate) fn series(samples: &[Sample], name: &str, open_label: &str) -> (usize, usize) {
    let of_name: Vec<_> = samples
        .iter()
        .filter(|sample| sample.name == name)
        .collect();
    let open = of_name
        .iter()
        .filter(|sample| sample.labels[open_label] != "other");
    (of_name.len(), open.count())
}
