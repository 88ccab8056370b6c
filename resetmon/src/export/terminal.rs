//! Lines for a terminal.
