//! The ring buffer.
