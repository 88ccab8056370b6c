//! Name of the other end.
