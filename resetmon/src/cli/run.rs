//! `resetmon run`.
