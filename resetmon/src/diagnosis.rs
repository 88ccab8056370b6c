//! Why it was reset.

pub mod advice;
pub mod cause;
pub mod failure;
#[cfg(test)]
mod fixture;
pub mod merge;
pub mod outlived;
pub mod overload;
pub mod pattern;
pub mod propagation;
pub mod reject;
pub mod repeat;
pub mod report;
pub mod sample;
pub mod twin;
