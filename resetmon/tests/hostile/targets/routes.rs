//! Look-ups in tables of routes that overlap in every way.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use resetmon::kernel::observation::Role;
use resetmon::reset::{Leg, Process, RouteMatch};
use resetmon::routes::resolve::{Answer, HostKey};
use resetmon::routes::table::{Connection, Gateway, ProcessPattern, Route, RouteTable, Upstream};

use crate::random::Random;
use crate::run::Target;

const LISTENERS: &[&str] = &[
    ":443",
    "10.0.0.1:443",
    "0.0.0.0:443",
    "[::]:443",
    "[2001:db8::1]:443",
    ":80",
];
const ENDPOINTS: &[&str] = &[
    "10.1.0.1:9000",
    "10.1.0.0/16",
    "10.1.0.0/24:9000",
    "10.1.0.1",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "[2001:db8::9]:443",
    "a.example:9000",
    "b.example",
    "10.0.0.1:443",
];
const ENDS: &[&str] = &[
    "10.0.0.1:443",
    "10.0.0.2:443",
    "[2001:db8::1]:443",
    "[::ffff:10.0.0.1]:443",
    "10.1.0.1:9000",
    "10.1.0.1:9001",
    "10.1.2.3:9000",
    "10.9.9.9:1",
    "[2001:db8::9]:443",
    "[2001:db9::1]:50000",
    "192.0.2.1:9000",
    "10.0.0.1:50000",
];
const NAMES: &[&str] = &[
    "nginx",
    "haproxy",
    "/usr/sbin/nginx",
    "/usr/sbin/haproxy",
    "a-name-of-more-than-fifteen",
];

/// Gateways and the connections to look up.
#[derive(Debug, Default)]
pub(crate) struct Lookups;

/// Process, namespace, role, ends and moment of a connection.
type Asked = (
    Option<Process>,
    u32,
    Option<Role>,
    SocketAddr,
    SocketAddr,
    Option<Duration>,
);

/// A table and a question.
#[derive(Debug)]
pub(crate) struct Question {
    gateways: Vec<Gateway>,
    answers: Vec<Vec<Answer>>,
    connections: Vec<Asked>,
}

fn some<T: std::str::FromStr<Err: std::fmt::Debug> + PartialEq>(
    random: &mut Random,
    texts: &[&str],
) -> Vec<T> {
    let mut values = Vec::new();
    for _ in 0..random.below(4) {
        let value = random.pick(texts).parse().unwrap();
        if !values.contains(&value) {
            values.push(value);
        }
    }
    values
}

fn gateway(random: &mut Random, number: usize) -> Gateway {
    let upstreams: Vec<_> = (0..random.below(4))
        .map(|number| Upstream {
            name: format!("u{number}").into(),
            endpoints: some(random, ENDPOINTS),
        })
        .collect();
    let routes = (0..random.below(4))
        .map(|number| Route {
            listeners: some(random, LISTENERS),
            name: format!("/r{number}").into(),
            upstreams: upstreams
                .iter()
                .filter(|_| random.one_in(2))
                .map(|upstream| Arc::clone(&upstream.name))
                .collect(),
        })
        .collect();
    Gateway {
        name: format!("g{number}").into(),
        processes: (0..random.below(3))
            .map(|_| match random.below(4) {
                0 => ProcessPattern::Tree(random.choose(&[1, 3, 4])),
                _ => ProcessPattern::new(random.pick(NAMES)),
            })
            .collect(),
        netns: random.choose(&[None, None, Some(1), Some(2)]),
        listeners: some(random, LISTENERS),
        routes,
        upstreams,
        resolver: None,
        not_understood: Vec::new(),
    }
}

impl Target for Lookups {
    const NAME: &'static str = "routes";
    const QUICK: u64 = 3_000;
    const REFUSES: bool = true;
    type Input = Question;

    fn make(&mut self, random: &mut Random) -> Question {
        let gateways = (0..=random.below(3))
            .map(|number| gateway(random, number))
            .collect();
        let answers = (0..random.below(3))
            .map(|_| {
                let mut answer = |name: &str| {
                    let ips: Vec<IpAddr> = some(
                        random,
                        &["10.1.0.1", "10.1.2.3", "::ffff:192.0.2.1", "2001:db8::9"],
                    );
                    Answer::found(HostKey::own(name), ips)
                };
                vec![answer("a.example"), answer("b.example")]
            })
            .collect();
        let connections = (0..4)
            .map(|_| {
                let name: &str = random.pick(&[
                    "nginx",
                    "haproxy",
                    "curl",
                    "a-name-of-more-",
                    "a-name-of-more-than-fifteen",
                ]);
                let process = Process {
                    pid: 1 + u32::from(random.one_in(2)),
                    parent: random.one_in(2).then_some(3),
                    name: name.into(),
                    comm: name.into(),
                    exe: random.one_in(2).then(|| format!("/usr/sbin/{name}").into()),
                    cmdline: None,
                    container: None,
                    unit: None,
                };
                let end = |random: &mut Random| random.pick(ENDS).parse().unwrap();
                (
                    (!random.one_in(3)).then_some(process),
                    1 + u32::from(random.one_in(4)),
                    random.choose(&[None, Some(Role::Client), Some(Role::Server)]),
                    end(random),
                    end(random),
                    random.choose(&[
                        None,
                        Some(Duration::from_secs(5)),
                        Some(Duration::from_secs(15)),
                    ]),
                )
            })
            .collect();
        Question {
            gateways,
            answers,
            connections,
        }
    }

    fn check(&mut self, question: &Question) -> bool {
        let table = built(question.gateways.clone(), &question.answers);
        let again = built(question.gateways.clone(), &question.answers);
        assert_eq!(again.warnings(), table.warnings());
        let mut turned = question.gateways.clone();
        turned.reverse();
        for gateway in &mut turned {
            gateway.upstreams.reverse();
            gateway.routes.reverse();
            gateway.listeners.reverse();
            gateway.processes.reverse();
        }
        let turned = built(turned, &question.answers);
        let reloaded = RouteTable::new(question.gateways.clone()).with_addresses_of(&table);
        let mut found = false;
        for (process, netns, role, local, remote, opened) in &question.connections {
            let ask = |table: &RouteTable| {
                table.lookup(&Connection {
                    process: process.as_ref(),
                    netns: *netns,
                    role: *role,
                    local: *local,
                    remote: *remote,
                    opened: *opened,
                })
            };
            let answer = ask(&table);
            assert_eq!(ask(&again), answer);
            assert_eq!(ask(&reloaded), answer, "after a reload");
            // The order in the file says nothing.
            assert_eq!(ask(&turned), answer, "in another order");
            if let Some(answer) = &answer {
                found = true;
                consistent(&question.gateways, answer);
            }
        }
        found
    }
}

fn built(gateways: Vec<Gateway>, answers: &[Vec<Answer>]) -> RouteTable {
    let table = RouteTable::new(gateways);
    let answers = answers.iter().zip((10..).step_by(10));
    answers.fold(table, |table, (answers, seconds)| {
        table.with_addresses(answers, Duration::from_secs(seconds))
    })
}

/// Every name of the answer is of a gateway that the answer names.
fn consistent(gateways: &[Gateway], answer: &RouteMatch) {
    let named: Vec<_> = answer
        .gateway
        .split('|')
        .map(|name| {
            gateways
                .iter()
                .find(|gateway| *gateway.name == *name)
                .expect("a known gateway")
        })
        .collect();
    let parts = |text: &str| -> Vec<String> {
        text.split('|')
            .filter(|part| !part.is_empty() && !part.starts_with('+'))
            .map(str::to_owned)
            .collect()
    };
    for upstream in parts(&answer.upstream) {
        assert!(named.iter().any(|gateway| {
            gateway
                .upstreams
                .iter()
                .any(|known| *known.name == *upstream)
        }));
    }
    for route in parts(&answer.route) {
        assert!(
            named
                .iter()
                .any(|gateway| gateway.routes.iter().any(|known| *known.name == *route))
        );
    }
    if answer.leg != Leg::Upstream {
        assert_eq!(&*answer.upstream, "");
    }
}
