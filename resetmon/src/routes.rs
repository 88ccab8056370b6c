//! What a gateway route is, and where routes come from.
//!
//! Each source of routes is one file that yields [`table::Gateway`]s; the table
//! does not care where they come from.

pub mod address;
pub mod admin;
pub mod apache;
pub mod apinto;
pub mod backends;
pub mod caddy;
pub mod directive;
pub mod discovery;
pub mod draft;
pub mod envoy;
pub mod files;
pub mod finder;
pub mod haproxy;
pub mod include;
pub mod instance;
pub mod kong;
pub mod kubernetes;
pub mod naming;
pub mod nginx;
pub mod notes;
pub mod precedence;
pub mod resolve;
pub mod source;
pub mod static_file;
pub mod table;
pub mod traefik;
