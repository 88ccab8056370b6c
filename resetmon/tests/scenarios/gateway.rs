//! A gateway as the bench brings it up.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use rustix::process::Signal;

use crate::row::Setting;

pub(crate) mod envoy;
pub(crate) mod haproxy;
pub(crate) mod nginx;
pub(crate) mod python;

/// A kind of gateway. Each row has a listener of its own, with one route, to an upstream with one
/// backend, both named after the row: so rows are told apart by their ports, and resetmon has many
/// routes to tell apart.
pub(crate) trait Gateway: Sync {
    /// Its name in lines and filters.
    fn name(&self) -> &'static str;

    /// Name of its processes.
    fn process(&self) -> &'static str;

    /// Programs that it needs, by name in the path or by absolute path.
    fn programs(&self) -> Vec<PathBuf>;

    /// Writes its configuration into `plan.folder` and says how it is started: in the foreground, by
    /// a process that ends its children upon SIGTERM. The bench runs it in its namespace.
    fn command(&self, plan: &Plan<'_>) -> Result<Command>;

    /// What resetmon has to be told of it: an entry of the list `gateways` of its configuration. `None`
    /// where resetmon finds it by itself.
    fn described(&self, plan: &Plan<'_>) -> Option<String> {
        let _ = plan;
        None
    }

    /// Its processes that hold connections, of the started process `main`, once all are up.
    fn workers(&self, main: u32) -> Option<Vec<u32>>;

    /// The signal that makes its main process take its configuration anew, with new workers.
    fn reload_signal(&self) -> Option<Signal> {
        None
    }

    /// What resetmon is to call a row's route.
    fn route(&self, route: &Route) -> String;

    /// What resetmon is to call a row's upstream.
    fn upstream(&self, route: &Route) -> String;
}

/// What a gateway is to do.
pub(crate) struct Plan<'a> {
    /// A folder for its files; removed at the end.
    pub(crate) folder: &'a Path,
    /// A route for each row.
    pub(crate) routes: &'a [Route],
    /// Certificates, as files.
    pub(crate) certificates: &'a crate::certificates::Files,
}

/// A row's route.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Name of the row.
    pub(crate) name: &'static str,
    /// What it is like.
    pub(crate) setting: Setting,
    /// Where the gateway listens.
    pub(crate) front: SocketAddr,
    /// Where the backend is.
    pub(crate) back: SocketAddr,
}
