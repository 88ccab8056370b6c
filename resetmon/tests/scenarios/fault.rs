//! Faults, a file a kind, for any gateway. Each makes its fault and checks by what client and backend
//! see that it was made.

pub(crate) mod aborted;
pub(crate) mod client;
pub(crate) mod filter;
pub(crate) mod forged;
pub(crate) mod gateway;
pub(crate) mod healthy;
pub(crate) mod idle;
pub(crate) mod killed;
pub(crate) mod large;
pub(crate) mod oom;
pub(crate) mod overflow;
pub(crate) mod provider;
pub(crate) mod refused;
pub(crate) mod slow;
pub(crate) mod tls;
