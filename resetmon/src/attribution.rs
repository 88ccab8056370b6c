//! Whose connection it was: process, container, peer, route and leg.

pub mod container;
pub mod cri;
pub mod leg;
pub mod names;
pub mod nat;
pub mod peer;
pub mod process;
