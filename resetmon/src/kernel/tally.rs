//! In-kernel counters.
