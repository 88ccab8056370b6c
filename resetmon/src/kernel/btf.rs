//! A small reader of BTF.
