//! The wire between resetmon's eBPF programs and its agent.
//!
//! Everything here is `repr(C)`, made of integers only, has no padding that is
//! not named, and asserts its size, so that both sides agree byte for byte
//! whatever compiler built them.
#![no_std]

pub mod event;
pub mod layout;
pub mod tally;
