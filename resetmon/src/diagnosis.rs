//! Why it was reset.

pub mod advice;
pub mod cause;
pub mod repeat;
