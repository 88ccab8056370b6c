//! Route and leg of a reset, from its connection and owner.

use crate::kernel::observation::{KnownBy, Observation, Role};
use crate::reset::{Owner, RouteMatch};
use crate::routes::table::{Connection, RouteTable};

/// Gateway, route, upstream and leg of what `observation` shows; `None` if no gateway is concerned.
#[must_use]
pub fn route_of(
    table: &RouteTable,
    observation: &Observation,
    owner: Option<&Owner>,
) -> Option<RouteMatch> {
    let role = observation
        .role
        .or_else(|| owner.and_then(|owner| role_of(owner.known_by)));
    table.lookup(&Connection {
        process: owner.map(|owner| &*owner.process),
        netns: observation.netns,
        role,
        local: observation.local,
        remote: observation.remote,
        opened: observation
            .since_opened
            .or(observation.age)
            .map(|ago| observation.time.saturating_sub(ago)),
    })
}

/// Who opened the connection, as far as the way to its owner shows it.
const fn role_of(known_by: KnownBy) -> Option<Role> {
    match known_by {
        KnownBy::Connect => Some(Role::Client),
        KnownBy::Listen | KnownBy::Inherited | KnownBy::Accept | KnownBy::FirstRead => {
            Some(Role::Server)
        }
        KnownBy::Existing
        | KnownBy::ExistingShared
        | KnownBy::Current
        | KnownBy::EarlierReset
        | KnownBy::Exited => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::kernel::observation::{Direction, Shape, SocketFlags};
    use crate::reset::Process;
    use crate::routes::table::{Gateway, ProcessPattern, Route, Upstream};

    fn table() -> RouteTable {
        RouteTable::new(vec![Gateway {
            name: "edge".into(),
            processes: vec![ProcessPattern::new("nginx")],
            netns: None,
            listeners: vec![":443".parse().unwrap()],
            routes: vec![Route {
                listeners: Vec::new(),
                name: "/".into(),
                upstreams: vec!["app".into()],
            }],
            upstreams: vec![Upstream {
                name: "app".into(),
                endpoints: vec!["10.0.0.0/8".parse().unwrap()],
            }],
            resolver: None,
            not_understood: Vec::new(),
        }])
    }

    fn observation(role: Option<Role>, local: &str, remote: &str) -> Observation {
        Observation {
            time: Duration::ZERO,
            direction: Direction::Received,
            netns: 1,
            cookie: None,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            shape: Shape::NoSocket,
            state: None,
            state_before: None,
            reason: None,
            role,
            owner: None,
            closer: None,
            age: None,
            since_opened: None,
            since_data_in: None,
            since_data_out: None,
            since_ack_in: None,
            tick: Duration::ZERO,
            fin_received: false,
            since_fin_received: None,
            fin_sent: false,
            since_fin_sent: None,
            vitals: None,
            trigger: None,
            packet: None,
            handshake_ttl: None,
            firewall: None,
            linger: None,
            linger2_abort: false,
            socket_error: 0,
            uid: None,
            accept_queue: None,
            flags: SocketFlags::default(),
            provisional: false,
            retracts: false,
        }
    }

    fn owner(name: &str, known_by: KnownBy) -> Owner {
        let process = Arc::new(Process {
            pid: 1,
            parent: None,
            name: name.into(),
            comm: name.into(),
            exe: None,
            cmdline: None,
            container: None,
            unit: None,
        });
        Owner { process, known_by }
    }

    #[test]
    fn owner_and_role_choose_the_leg() {
        let (client, server) = (Some(Role::Client), Some(Role::Server));
        let (down, up) = ("10.0.0.5:443", "10.0.0.9:7000");
        let high = "10.0.0.5:50000";
        for (role, owned, local, remote, expected) in [
            (
                server,
                Some(("nginx", KnownBy::Accept)),
                down,
                up,
                "edge downstream / ",
            ),
            (
                client,
                Some(("nginx", KnownBy::Connect)),
                high,
                up,
                "edge upstream / app",
            ),
            // What the record leaves open the way to the owner tells.
            (
                None,
                Some(("nginx", KnownBy::Connect)),
                down,
                up,
                "edge upstream / app",
            ),
            (
                None,
                Some(("nginx", KnownBy::FirstRead)),
                high,
                up,
                "edge downstream  ",
            ),
            (
                None,
                Some(("nginx", KnownBy::Existing)),
                high,
                up,
                "edge upstream / app",
            ),
            (
                None,
                Some(("nginx", KnownBy::Existing)),
                down,
                up,
                "edge downstream / ",
            ),
            // But the record goes first.
            (
                server,
                Some(("nginx", KnownBy::Connect)),
                high,
                up,
                "edge downstream  ",
            ),
            (client, Some(("curl", KnownBy::Connect)), high, up, "-"),
            (None, None, down, "192.0.2.1:7", "edge downstream / "),
            (None, None, high, up, "edge upstream / app"),
            (None, None, high, "192.0.2.1:7", "-"),
        ] {
            let owner = owned.map(|(name, known_by)| owner(name, known_by));
            let found = route_of(&table(), &observation(role, local, remote), owner.as_ref());
            let found = found.map_or("-".to_owned(), |found| {
                format!(
                    "{} {} {} {}",
                    found.gateway, found.leg, found.route, found.upstream
                )
            });
            assert_eq!(found, expected, "{role:?} {owned:?} {local} {remote}");
        }
    }
}
