//! Which form of a page a client prefers (`Accept`, RFC 9110 section 12.5.1).

/// A form in which a page can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// `text/plain`, lower case.
    pub(super) media: &'static str,
    /// The format's version, which a client may name; `None` where there are no versions.
    pub(super) version: Option<&'static str>,
}

/// Quality in thousandths, as the header has at most three decimals.
type Quality = u16;

/// One media range of the header.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    quality: Quality,
}

/// Index of the offer that `accept` prefers. The first of equals wins, and the first of all where
/// the client accepts none: a page in another form is more use than an error.
pub(super) fn choose(accept: &str, offers: &[Offer]) -> usize {
    let ranges: Vec<_> = accept.split(',').filter_map(range).collect();
    let mut best = (0, 0);
    for (index, offer) in offers.iter().enumerate() {
        let quality = quality(&ranges, offer);
        if quality > best.1 {
            best = (index, quality);
        }
    }
    best.0
}

/// What the most specific range that covers the offer grants it; 0 if none does.
fn quality(ranges: &[Range<'_>], offer: &Offer) -> Quality {
    ranges
        .iter()
        .filter_map(|range| Some((specificity(range, offer)?, range.quality)))
        .max()
        .map_or(0, |(_, quality)| quality)
}

/// How precisely a range names the offer; `None` if it does not cover it.
fn specificity(range: &Range<'_>, offer: &Offer) -> Option<u8> {
    let (kind, subtype) = offer.media.split_once('/')?;
    match (range.kind, range.subtype) {
        ("*", "*") => return Some(0),
        (named, "*") if named.eq_ignore_ascii_case(kind) => return Some(1),
        (named, sub) if named.eq_ignore_ascii_case(kind) && sub.eq_ignore_ascii_case(subtype) => {}
        _ => return None,
    }
    match (range.version, offer.version) {
        (None, _) => Some(2),
        (Some(named), Some(version)) if named == version => Some(3),
        (Some(_), _) => None,
    }
}

/// `None` for what is not a media range; the rest of the header still counts.
fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subtype) = parts.next()?.split_once('/')?;
    let mut range = Range {
        kind,
        subtype,
        version: None,
        quality: 1000,
    };
    for parameter in parts {
        let Some((name, value)) = parameter.split_once('=') else {
            continue;
        };
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        if name.eq_ignore_ascii_case("q") {
            range.quality = parse_quality(value)?;
        } else if name.eq_ignore_ascii_case("version") {
            range.version = Some(value);
        }
    }
    Some(range)
}

/// `0`, `0.5`, `1.000`: thousandths; `None` outside 0 to 1 or with more than three decimals.
fn parse_quality(text: &str) -> Option<Quality> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: Quality = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &[Offer] = &[
        Offer {
            media: "text/plain",
            version: Some("0.0.4"),
        },
        Offer {
            media: "application/openmetrics-text",
            version: Some("1.0.0"),
        },
    ];

    #[test]
    fn metrics_by_accept() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0;q=0.75,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.25,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
            application/openmetrics-text;version=0.0.1;q=0.4,\
            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,/;q=0.1";
        let protobuf_first = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
            encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3";
        let (text, open) = (0, 1);
        for (accept, expected) in [
            ("", text),
            ("*/*", text),
            ("text/plain", text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", text),
            (prometheus_2, open),
            (prometheus_3, open),
            (protobuf_first, text),
            ("application/openmetrics-text", open),
            ("APPLICATION/OpenMetrics-Text; Version=\"1.0.0\"", open),
            ("application/*", open),
            ("application/openmetrics-text; version=0.0.1", text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", text),
            (
                "application/openmetrics-text;q=0.501,text/plain;q=0.5",
                open,
            ),
            ("application/openmetrics-text;q=0.4,text/plain;q=0.5", text),
            // The more specific range wins over the better one.
            ("text/plain;q=0.1,*/*;q=0.9", open),
            ("text/plain;q=0,*/*", open),
            ("text/*;q=0.2,application/openmetrics-text;q=0.3", open),
            // Nothing acceptable: the default.
            ("text/plain;q=0,application/openmetrics-text;q=0", text),
            ("image/png", text),
            // What cannot be read is passed over.
            ("application/openmetrics-text;q=2,text/plain;q=0.1", text),
            ("application/openmetrics-text;q=high", text),
            (",;,/;=;q,application/openmetrics-text;;q=0.1;=", open),
        ] {
            assert_eq!(choose(accept, METRICS), expected, "{accept}");
        }
    }

    #[test]
    fn qualities() {
        for (text, expected) in [
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.5", Some(500)),
            ("0.05", Some(50)),
            ("0.123", Some(123)),
            ("1", Some(1000)),
            ("1.000", Some(1000)),
            ("1.001", None),
            ("0.1234", None),
            ("2", None),
            ("-0.5", None),
            ("0.+5", None),
            (".5", None),
            ("", None),
        ] {
            assert_eq!(parse_quality(text), expected, "{text}");
        }
    }
}
