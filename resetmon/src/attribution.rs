//! Whose connection it was: process, container, peer, route and leg.

pub mod container;
pub mod leg;
pub mod peer;
pub mod process;
