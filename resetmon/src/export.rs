//! Finished resets to their readers.

pub mod http;
pub mod json;
pub mod lines;
pub mod metrics;
pub mod terminal;

#[cfg(test)]
mod sample;
