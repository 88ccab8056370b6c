//! Which events a command shows or records.

use crate::export::filter::{self, Causes, Failures, Filter, PeerFilter, Selection};
use crate::kernel::observation::Direction;

/// The options by which events are chosen.
#[derive(Debug, clap::Args)]
pub struct SelectionArgs {
    /// Connections that failed without a reset too
    #[arg(long)]
    failures: bool,

    /// Only resets `sent` or `received` by this node
    #[arg(long, value_name = "DIRECTION", value_parser = filter::direction, help_heading = "Filters")]
    direction: Option<Direction>,

    /// Only of the process of this name
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    process: Option<String>,

    /// Only of the process with this id
    #[arg(long, value_name = "PID", help_heading = "Filters")]
    pid: Option<u32>,

    /// Only with this local or remote port
    #[arg(long, value_name = "PORT", help_heading = "Filters")]
    port: Option<u16>,

    /// Only with this peer: address, network or configured name
    #[arg(long, value_name = "PEER", help_heading = "Filters")]
    peer: Option<PeerFilter>,

    /// Only of these causes, separated by commas
    #[arg(long, value_name = "CAUSE,…", help_heading = "Filters")]
    cause: Option<Causes>,

    /// Only connections that failed in these ways, separated by commas, with or without a reset
    #[arg(long, value_name = "FAILURE,…", help_heading = "Filters")]
    failure: Option<Failures>,

    /// Only of this route
    #[arg(long, value_name = "ROUTE", help_heading = "Filters")]
    route: Option<String>,

    /// Only in this network namespace, by inode number
    #[arg(long, value_name = "INODE", value_parser = filter::netns, help_heading = "Filters")]
    netns: Option<u32>,
}

impl From<&SelectionArgs> for Selection {
    fn from(args: &SelectionArgs) -> Self {
        Self {
            failures: args.failures || args.failure.is_some(),
            filter: Filter {
                direction: args.direction,
                process: args.process.clone(),
                pid: args.pid,
                port: args.port,
                peer: args.peer.clone(),
                causes: args.cause.clone(),
                failures: args.failure.clone(),
                route: args.route.clone(),
                netns: args.netns,
            },
        }
    }
}
