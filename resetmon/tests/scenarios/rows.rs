//! The table.

use crate::gateway::Gateway;
use crate::row::Row;

mod envoy;
mod haproxy;
mod nginx;
mod python;

/// Every gateway with its rows.
pub(crate) const TABLE: &[(&dyn Gateway, &[Row])] = &[
    (&crate::gateway::nginx::Nginx, nginx::ROWS),
    (&crate::gateway::haproxy::Haproxy, haproxy::ROWS),
    (&crate::gateway::envoy::Envoy, envoy::ROWS),
    (&crate::gateway::python::Python, python::ROWS),
];
