//! Which description of a gateway is used when several sources describe the same one.
//!
//! First what the operator describes by hand. Then what the cluster says: a gateway whose pod
//! serves objects of the Gateway API or Ingresses goes by their names on both legs, so that what
//! was found in its process (`ingress-nginx` generates a configuration of its own, for example) is
//! left out. Then what was found. So no connection fits two descriptions of one gateway, and no
//! reset has the names of both.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::discovery::Found;
use super::table::{Gateway, ProcessPattern};

/// The gateways of the table. `pod_of` names the pod of a process by its uid.
///
/// The cluster's description counts only where it has routes: one that may not be read, say, does
/// not put the gateway's own out of force.
#[must_use]
pub fn merged(
    by_hand: &[Gateway],
    by_cluster: &[Gateway],
    found: &[Found],
    pod_of: impl Fn(u32) -> Option<Arc<str>>,
) -> Vec<Gateway> {
    let hand: Vec<&ProcessPattern> = by_hand.iter().flat_map(|one| &one.processes).collect();
    let routed = by_cluster.iter().filter(|one| !one.routes.is_empty());
    let pods: BTreeSet<&str> = routed
        .flat_map(|one| &one.processes)
        .filter_map(|pattern| match pattern {
            ProcessPattern::Pod(uid) => Some(&**uid),
            _ => None,
        })
        .collect();
    let mut gateways = by_hand.to_vec();
    for gateway in &mut gateways {
        // Where its processes are known, they say how it resolves names, if with one voice.
        let is_own = |one: &&Found| {
            let mut patterns = gateway.processes.iter();
            patterns.any(|pattern| pattern.is_executable(&one.exe))
        };
        let mut resolvers = found.iter().filter(is_own).map(|one| &one.gateway.resolver);
        if let Some(resolver) = resolvers.next()
            && resolvers.all(|other| other == resolver)
        {
            gateway.resolver.clone_from(resolver);
        }
    }
    for found in found {
        let by_hand = hand.iter().any(|pattern| pattern.is_executable(&found.exe));
        let in_pod = || pod_of(found.pid).is_some_and(|uid| pods.contains(&*uid));
        if !by_hand && (pods.is_empty() || !in_pod()) {
            gateways.push(found.gateway.clone());
        }
    }
    gateways.extend(by_cluster.iter().cloned());
    gateways
}

#[cfg(test)]
mod tests;
