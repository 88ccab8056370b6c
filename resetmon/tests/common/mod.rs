//! What the tests share that need a live kernel: namespaces, processes that do as they are told, the
//! program under test.
//!
//! A test target takes them in at its root, by `use common::{…}`, so that they find each other.

pub(crate) mod actor;
pub(crate) mod agent;
pub(crate) mod cgroup;
pub(crate) mod channel;
pub(crate) mod events;
pub(crate) mod forgery;
pub(crate) mod http;
pub(crate) mod netns;
pub(crate) mod owner;
pub(crate) mod panels;
pub(crate) mod service;
pub(crate) mod wire;
