//! Kernel time to ours.
