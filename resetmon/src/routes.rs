//! What a gateway route is, and where routes come from.

pub mod static_file;
pub mod table;
