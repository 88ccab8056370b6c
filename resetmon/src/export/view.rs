//! The full-screen view of `resetmon watch`.
//!
//! Its [state](state::State) takes events and keys and does no input or output; [`draw::draw`]
//! shows it on any terminal, one in memory included.

pub mod draw;
pub mod groups;
pub mod keys;
pub mod state;

mod detail;
mod table;

#[cfg(test)]
mod tests;
