//! The header `Accept`, by the answer to it.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode};
use resetmon::export::http::answer;
use resetmon::export::metrics::Format;

use super::http::StaticPages;
use crate::mutate::{self, Pool};
use crate::random::Random;
use crate::run::Target;

const SEEDS: &[&str] = &[
    "*/*",
    "text/plain",
    "application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.25,*/*;q=0.1",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,/;q=0.1",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "application/json;q=1.000, text/*;q=0",
];

const TOKENS: &[&[u8]] = &[
    b",",
    b";",
    b"=",
    b"q=",
    b";q=0",
    b";q=1",
    b";q=0.999",
    b"0.0001",
    b"1.",
    b".5",
    b"-1",
    b"+1",
    b"\"",
    b"/",
    b"*",
    b"*/*",
    b"text/plain",
    b"application/openmetrics-text",
    b";version=",
    b"1.0.0",
    b"\t",
    b" ",
    b"\xff",
    b"\xc3\xa9",
];

/// Damaged headers, one or two of them.
#[derive(Debug)]
pub(crate) struct Headers {
    pool: Pool,
}

impl Default for Headers {
    fn default() -> Self {
        Self {
            pool: Pool::new(SEEDS.iter().map(|seed| seed.as_bytes()), TOKENS, 2048),
        }
    }
}

impl Target for Headers {
    const NAME: &'static str = "accept";
    const QUICK: u64 = 40_000;
    const REFUSES: bool = true;
    type Input = Vec<mutate::Bytes>;

    fn make(&mut self, random: &mut Random) -> Self::Input {
        let headers = if random.one_in(8) { 2 } else { 1 };
        (0..headers)
            .map(|_| mutate::Bytes(self.pool.make(random)))
            .collect()
    }

    fn check(&mut self, headers: &Self::Input) -> bool {
        let values: Option<Vec<HeaderValue>> = headers
            .iter()
            .map(|value| HeaderValue::from_bytes(&value.0).ok())
            .collect();
        // What hyper takes for no header never reaches the pages.
        let Some(values) = values else { return false };
        self.pool.keep(&headers[0].0);
        for path in ["/metrics", "/status"] {
            let mut request = Request::new(Empty::<Bytes>::new());
            *request.uri_mut() = path.parse().unwrap();
            for value in &values {
                request.headers_mut().append(ACCEPT, value.clone());
            }
            let response = answer(&StaticPages, &request);
            assert_eq!(response.status(), StatusCode::OK);
            let kind = response.headers()[CONTENT_TYPE].to_str().unwrap();
            let open = Format::OpenMetrics.content_type();
            let known = match path {
                "/metrics" => [open, Format::Text.content_type()],
                _ => ["application/json", "text/plain; charset=utf-8"],
            };
            assert!(known.contains(&kind), "{kind}");
            // Nobody gets what the header does not name.
            let named = values.iter().any(|value| {
                let value = value.as_bytes().to_ascii_lowercase();
                let has = |part: &[u8]| value.windows(part.len()).any(|window| window == part);
                has(b"openmetrics") || has(b"application/") || has(b"*/*")
            });
            assert!(named || kind != open);
        }
        true
    }
}
