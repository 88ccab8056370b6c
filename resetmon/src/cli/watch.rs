//! `resetmon watch`.
