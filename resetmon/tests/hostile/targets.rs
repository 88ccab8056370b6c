//! What is under attack: one file a parser.

use crate::run::Row;

mod accept;
mod addresses;
mod btf;
mod captures;
mod cgroup;
mod clock;
mod configuration;
mod conntrack;
mod counters;
mod envoy;
pub(crate) mod exporters;
mod gateways;
mod haproxy;
mod http;
mod merge;
pub(crate) mod pipeline;
mod printable;
mod process;
mod propagation;
mod record;
mod repeats;
mod routes;
mod saved_events;
mod twin;
mod web_config;
mod web_servers;

/// Every target; those that take long come first.
pub(crate) const ALL: &[Row] = &[
    Row::of::<configuration::Configuration>(),
    Row::of::<http::Requests>(),
    Row::of::<web_config::WebConfigurations>(),
    Row::of::<process::Entries>(),
    Row::of::<gateways::Configurations>(),
    Row::of::<btf::KernelTypes>(),
    Row::of::<pipeline::EndToEnd>(),
    Row::of::<exporters::Exporters>(),
    Row::of::<saved_events::SavedEvents>(),
    Row::of::<captures::Captures>(),
    Row::of::<routes::Lookups>(),
    Row::of::<web_servers::Nginx>(),
    Row::of::<web_servers::Apache>(),
    Row::of::<haproxy::Configurations>(),
    Row::of::<envoy::Answers>(),
    Row::of::<merge::Held>(),
    Row::of::<repeats::Packets>(),
    Row::of::<propagation::Legs>(),
    Row::of::<twin::Joined>(),
    Row::of::<cgroup::Paths>(),
    Row::of::<record::Records>(),
    Row::of::<printable::Texts>(),
    Row::of::<addresses::Addresses>(),
    Row::of::<accept::Headers>(),
    Row::of::<conntrack::Answers>(),
    Row::of::<counters::Counters>(),
    Row::of::<clock::Clocks>(),
];
