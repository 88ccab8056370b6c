//! A reading as lines, to compare and to show.

use std::time::{Duration, Instant};

use resetmon::routes::source::{Reading, Source};

use crate::program::Program;
use crate::reading::instance;

/// Listeners, then `ROUTE [LISTENERS] -> UPSTREAMS`, then `UPSTREAM = ENDPOINTS`.
pub(crate) fn lines(reading: &Reading) -> Vec<String> {
    fn list<T: ToString>(items: &[T]) -> String {
        let items: Vec<String> = items.iter().map(ToString::to_string).collect();
        items.join(" ")
    }
    let mut lines = vec![list(&reading.listeners)];
    lines.extend(reading.routes.iter().map(|route| {
        let (listeners, upstreams) = (list(&route.listeners), list(&route.upstreams));
        format!("{} [{listeners}] -> {upstreams}", route.name)
    }));
    lines.extend(
        reading
            .upstreams
            .iter()
            .map(|upstream| format!("{} = {}", upstream.name, list(&upstream.endpoints))),
    );
    lines
}

/// Reads until the lines are `expected`: programs tell of a change before it is in force.
pub(crate) async fn read_until(
    source: &dyn Source,
    program: &Program,
    expected: &[String],
) -> Reading {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found = match source.read(&instance(program)).await {
            Ok(reading) if lines(&reading) == expected => return reading,
            Ok(reading) => format!("{:#?}\n{:#?}", lines(&reading), reading.not_understood),
            Err(error) => error.to_string(),
        };
        assert!(
            Instant::now() < deadline,
            "expected {expected:#?}, found {found}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
