//! The table.

use crate::gateway::Gateway;
use crate::row::Row;

mod envoy;
mod every;
mod haproxy;
mod nginx;
mod orderly;
mod python;

/// Every gateway with its rows, in parts.
pub(crate) const TABLE: &[(&dyn Gateway, &[&[Row]])] = &[
    (
        &crate::gateway::nginx::Nginx,
        &[every::ROWS, orderly::ROWS, nginx::ROWS],
    ),
    (
        &crate::gateway::haproxy::Haproxy,
        &[every::ROWS, haproxy::ROWS],
    ),
    (
        &crate::gateway::envoy::Envoy,
        &[every::ROWS, orderly::ROWS, envoy::ROWS],
    ),
    (&crate::gateway::python::Python, &[python::ROWS]),
];
