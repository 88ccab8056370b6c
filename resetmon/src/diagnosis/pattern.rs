//! Patterns over many events: from samples to findings, one file a pattern.
