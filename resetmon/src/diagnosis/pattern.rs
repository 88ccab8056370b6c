//! Patterns over many events: from samples to findings, one file a pattern.
//!
//! [`observed::Observed`] sums events up into problems: events of one cause at one place. Each
//! pattern looks at a problem, and [`finding::all`] says in words what they see. No pattern speaks
//! from too few events; each names the fewest it needs and, where chance can look like it, how
//! likely that is, over everything that was tried.

mod bundles;
pub mod burst;
pub mod endpoint;
pub mod evidence;
pub mod finding;
pub mod fixed_time;
#[cfg(test)]
pub(crate) mod fixture;
mod fold;
pub mod growth;
pub mod health_check;
pub mod known;
pub mod lives;
pub mod numerics;
pub mod observed;
pub mod pairs;
pub mod problem;
pub mod remedy;
pub mod reservoir;
pub mod series;
pub mod spread;
#[cfg(test)]
mod tests;
pub mod throttling;
pub mod top;
pub mod traits;
pub mod wording;
