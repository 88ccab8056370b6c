//! Finished resets to their readers.

pub mod background;
pub mod filter;
pub mod http;
pub mod journal;
pub mod json;
pub mod lines;
pub mod metrics;
pub mod otlp;
pub mod pcapng;
pub mod process;
pub mod report;
pub mod rotating;
pub mod terminal;
pub mod view;

mod facts;
#[cfg(test)]
pub(crate) mod sample;
