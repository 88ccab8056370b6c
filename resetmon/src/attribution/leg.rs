//! Route and leg of a reset, from its connection and owner.

use std::net::SocketAddr;
use std::sync::Arc;

use super::nat::Question;
use crate::kernel::conntrack::Tuple;
use crate::kernel::observation::{KnownBy, Observation, Role};
use crate::reset::{Leg, Owner, RouteMatch};
use crate::routes::table::{Connection, RouteTable};

/// Where a connection stands in a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Gateway, route, upstream and leg.
    pub route: RouteMatch,
    /// Where the connection really led, if that alone told the upstream.
    pub translated: Option<SocketAddr>,
}

/// Where the connection of `observation` stands; `None` if no gateway is concerned.
///
/// The connection's own address goes first. Where it is no upstream's, `translations` is asked
/// where the connection was led on its way, from the first translation to the last.
#[must_use]
pub fn route_of(
    table: &RouteTable,
    observation: &Observation,
    owner: Option<&Owner>,
    translations: impl FnOnce(Question) -> Arc<[SocketAddr]>,
) -> Option<Standing> {
    let role = observation
        .role
        .or_else(|| owner.and_then(|owner| role_of(owner.known_by)));
    let connection = Connection {
        process: owner.map(|owner| &*owner.process),
        netns: observation.netns,
        role,
        local: observation.local,
        remote: observation.remote,
        opened: observation
            .since_opened
            .or(observation.age)
            .map(|ago| observation.time.saturating_sub(ago)),
    };
    let by_own = table.lookup(&connection)?;
    if let Some(owner) = owner.filter(|_| by_own.leg == Leg::Upstream && by_own.upstream.is_empty())
    {
        let translations = translations(Question {
            netns: observation.netns,
            pid: owner.process.pid,
            tuple: Tuple::new(observation.local, observation.remote),
        });
        for remote in translations.iter().copied() {
            let led = Connection {
                remote,
                ..connection
            };
            if let Some(route) = table.lookup(&led).filter(|led| !led.upstream.is_empty()) {
                return Some(Standing {
                    route,
                    translated: Some(remote),
                });
            }
        }
    }
    Some(Standing {
        route: by_own,
        translated: None,
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
            let observation = observation(role, local, remote);
            let found = route_of(&table(), &observation, owner.as_ref(), |_| Arc::default());
            assert_eq!(
                shown(found),
                expected,
                "{role:?} {owned:?} {local} {remote}"
            );
        }
    }

    fn shown(found: Option<Standing>) -> String {
        found.map_or("-".to_owned(), |Standing { route, translated }| {
            let translated = translated.map(|to| format!(" > {to}")).unwrap_or_default();
            format!(
                "{} {} {} {}{translated}",
                route.gateway, route.leg, route.route, route.upstream
            )
        })
    }

    #[test]
    fn a_translation_is_asked_for_where_the_own_address_tells_no_upstream() {
        let client = Some(Role::Client);
        let (connect, accept) = (KnownBy::Connect, KnownBy::Accept);
        let (virtual_ip, backend, high) = ("198.51.100.1:80", "10.0.0.9:7000", "10.0.0.5:50000");
        let elsewhere = "192.0.2.9:7000";
        for (role, owned, local, remote, translations, expected) in [
            // Its own address goes first, whatever it is translated to.
            (
                client,
                ("nginx", connect),
                high,
                backend,
                None,
                "edge upstream / app",
            ),
            (
                client,
                ("nginx", connect),
                high,
                virtual_ip,
                Some(vec![backend]),
                "edge upstream / app > 10.0.0.9:7000",
            ),
            // Translated twice: the first that is an upstream's.
            (
                client,
                ("nginx", connect),
                high,
                virtual_ip,
                Some(vec![elsewhere, backend]),
                "edge upstream / app > 10.0.0.9:7000",
            ),
            (
                None,
                ("nginx", connect),
                high,
                virtual_ip,
                Some(vec![backend, elsewhere]),
                "edge upstream / app > 10.0.0.9:7000",
            ),
            // No guess.
            (
                client,
                ("nginx", connect),
                high,
                virtual_ip,
                Some(vec![]),
                "edge upstream  ",
            ),
            (
                client,
                ("nginx", connect),
                high,
                virtual_ip,
                Some(vec![elsewhere]),
                "edge upstream  ",
            ),
            // Nothing to ask: a client's leg, a role that is not known, another program.
            (
                Some(Role::Server),
                ("nginx", accept),
                high,
                virtual_ip,
                None,
                "edge downstream  ",
            ),
            (
                None,
                ("nginx", KnownBy::Existing),
                high,
                virtual_ip,
                None,
                "edge none  ",
            ),
            (client, ("curl", connect), high, virtual_ip, None, "-"),
        ] {
            let owner = owner(owned.0, owned.1);
            let observation = observation(role, local, remote);
            let mut asked = None;
            let found = route_of(&table(), &observation, Some(&owner), |question| {
                asked = Some(question);
                let list = translations.clone().unwrap_or_default();
                list.into_iter().map(|text| text.parse().unwrap()).collect()
            });
            let what = format!("{role:?} {owned:?} {local} {remote} {translations:?}");
            assert_eq!(shown(found), expected, "{what}");
            let expected = translations.map(|_| Question {
                netns: 1,
                pid: 1,
                tuple: Tuple::new(local.parse().unwrap(), remote.parse().unwrap()),
            });
            assert_eq!(asked, expected, "{what}");
        }
    }

    #[test]
    fn without_a_process_nobody_is_asked() {
        let observation = observation(Some(Role::Client), "10.0.0.5:50000", "198.51.100.1:80");
        let found = route_of(&table(), &observation, None, |question| {
            panic!("{question:?}")
        });
        assert_eq!(found, None);
    }
}
