//! The full-screen view of `resetmon watch`.
//!
//! Its [state](state::State) takes events and keys and does no input or output; [`draw::draw`]
//! shows it on any terminal, one in memory included. What it keeps is bounded: the last
//! [`shown::KEPT`] events, [`groups::MOST`] rows a tab, the last [`notes::KEPT`] lines of the log.

pub mod draw;
pub mod groups;
pub mod keys;
pub mod notes;
pub mod pace;
pub mod shown;
pub mod state;
pub mod tab;
pub mod typed;

mod counts;
mod detail;
mod frame;
mod table;

#[cfg(test)]
mod tests;
