//! The table: a row a fault.

use crate::scenario::Scenario;

mod answered;
mod before_start;
mod closed;
mod destroyed;
mod evidence;
mod failed;
mod firewall;
mod handshake;
mod healthy;
mod killed;
mod overload;
mod ownership;
mod received;
mod timers;
mod undone;

/// Every row.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        closed::SCENARIOS,
        killed::SCENARIOS,
        destroyed::SCENARIOS,
        timers::SCENARIOS,
        failed::SCENARIOS,
        healthy::SCENARIOS,
        handshake::SCENARIOS,
        answered::SCENARIOS,
        received::SCENARIOS,
        evidence::SCENARIOS,
        firewall::SCENARIOS,
        undone::SCENARIOS,
        overload::SCENARIOS,
        ownership::SCENARIOS,
        before_start::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}
