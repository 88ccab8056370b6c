//! Ring-buffer records to observations.
