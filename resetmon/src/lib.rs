//! resetmon: every TCP reset on a node, explained.
//!
//! Data flows one way: [`kernel`] → [`attribution`] → [`diagnosis`] → [`export`], each step
//! handing one type to the next; [`reset::Reset`] is the finished value, [`failure::Failure`] that
//! of a connection that failed without a reset.

pub mod attribution;
pub mod cli;
pub mod config;
pub mod diagnosis;
pub mod event;
pub mod export;
pub mod failure;
pub mod kernel;
pub mod overflow;
pub mod pipeline;
pub mod reconcile;
pub mod reset;
pub mod routes;
pub mod surroundings;
pub mod text;
pub mod ticks;
pub mod version;
pub mod yaml;
