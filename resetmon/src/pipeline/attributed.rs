//! Whose connection an event is of, and where it stands.

use std::sync::Arc;

use super::{Pipeline, since_boot};
use crate::attribution::leg::route_of;
use crate::attribution::process::Processes;
use crate::diagnosis::overload::facts;
use crate::kernel::observation::{Observation, Task};
use crate::reset::{Cause, Owner, RouteMatch};

/// Whose connection an event is of, and where it stands.
pub(super) struct Attributed {
    pub(super) owner: Option<Owner>,
    pub(super) closer: Option<Owner>,
    pub(super) route: Option<RouteMatch>,
    pub(super) peer: Arc<str>,
    /// What tells the route, if that is a translation.
    pub(super) translated: Option<String>,
}

impl Pipeline {
    /// Whose connection it is, and where it stands.
    pub(super) fn attribute(&mut self, observation: &Observation) -> Attributed {
        let owner = observation
            .owner
            .as_ref()
            .and_then(|task| owner_of(&mut self.processes, task));
        let closer = observation
            .closer
            .as_ref()
            .filter(|closer| is_worth_naming(closer, observation.owner.as_ref()))
            .and_then(|task| owner_of(&mut self.processes, task));
        let (route, translated) = self.route(observation, owner.as_ref());
        let host = route.as_ref().and_then(|route| route.host.as_ref());
        Attributed {
            peer: self.peers.name(observation.remote.ip(), host),
            route,
            translated,
            owner,
            closer,
        }
    }

    /// What else held at that moment that may explain it.
    pub(super) fn overload(&mut self, o: &Observation, cause: Cause) -> Vec<String> {
        let task = o.owner.as_ref().or(o.closer.as_ref());
        let folder = task.and_then(|task| self.processes.memory_folder(task));
        let now = since_boot();
        facts(&self.surroundings.overload(o, cause, folder.as_deref(), now))
    }

    /// Where the connection stands, and what tells it if that is a translation.
    fn route(
        &mut self,
        observation: &Observation,
        owner: Option<&Owner>,
    ) -> (Option<RouteMatch>, Option<String>) {
        let nat = &mut self.nat;
        let standing = route_of(&self.routes, observation, owner, |question| {
            nat.as_mut().map_or_else(Arc::default, |nat| {
                nat.destinations(question, observation.time)
            })
        });
        let Some(standing) = standing else {
            return (None, None);
        };
        let translated = standing.translated.map(|to| {
            format!(
                "the connection was translated (NAT) from {} to {to}, which tells the upstream",
                observation.remote
            )
        });
        (Some(standing.route), translated)
    }
}

fn owner_of(processes: &mut Processes, task: &Task) -> Option<Owner> {
    let known_by = task.known_by?;
    Some(Owner {
        process: processes.get(task),
        known_by,
    })
}

/// A closer is named where it is not the owner, or was dying.
fn is_worth_naming(closer: &Task, owner: Option<&Task>) -> bool {
    closer.exit.is_some()
        || owner.is_none_or(|owner| owner.pid != closer.pid || owner.start != closer.start)
}
