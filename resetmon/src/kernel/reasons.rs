//! Names of reset reasons.
