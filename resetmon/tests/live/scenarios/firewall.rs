//! Reject rules of the packet filter (`nf_send_reset`, `nf_send_reset6`): neither traced nor counted
//! in `OutRsts`.

use anyhow::Result;
use rustix::io::Errno;

use super::received::{Stage, exchange};
use crate::actor::command::Command;
use crate::expected::{Expected, READ, failed, received, sent};
use crate::scenario::{ALL, BOTH, Need, Scenario};
use crate::scene::Scene;
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "rejected_on_its_way_out",
        families: ALL,
        needs: &[Need::Nft, Need::Tun, Need::RejectSeen],
        run: rejected_on_its_way_out,
        expect: &[
            sent("client", "remote")
                .before("established")
                .cause("firewall_reject")
                .client("client")
                .with(&[
                    FIREWALL,
                    ("/firewall_hook", "\"output\""),
                    ("/trigger/len", "7"),
                ]),
            received("client", "remote")
                .before("established")
                .cause("firewall_reject")
                .client("client")
                .with(&[FIREWALL, ("/firewall_hook", "\"output\"")]),
        ],
    },
    Scenario {
        name: "rejected_on_its_way_out_unseen",
        families: BOTH,
        needs: &[Need::Nft, Need::Tun, Need::RejectUnseen],
        run: rejected_on_its_way_out,
        expect: &[received("client", "remote")
            .before("established")
            .cause("aborted_before_response")
            .client("client")],
    },
    Scenario {
        name: "connect_rejected",
        families: ALL,
        needs: &[Need::Nft, Need::RejectSeen],
        run: connect_rejected,
        expect: &[
            REJECTED_SYN.with(&[
                FIREWALL,
                ("/firewall_hook", "\"input\""),
                ("/trigger/len", "0"),
            ]),
            REFUSED
                .cause("firewall_reject")
                .with(&[FIREWALL, ("/firewall_hook", "\"input\"")]),
        ],
    },
    Scenario {
        name: "connect_rejected_unseen",
        families: BOTH,
        needs: &[Need::Nft, Need::RejectUnseen],
        run: connect_rejected,
        expect: &[REFUSED.cause("refused")],
    },
    Scenario {
        // Both ends are here, and the socket of the one that would have sent it lives.
        name: "rejected_on_the_loopback_unseen",
        families: ALL,
        needs: &[Need::Nft, Need::RejectUnseen],
        run: rejected_on_the_loopback,
        expect: &[received("client", "server")
            .before("established")
            .cause("injected")
            .client("client")
            .with(&[
                ("/twin", "null"),
                ("/sender", "\"middlebox\""),
                (
                    "/evidence/5",
                    "\"nobody on this node sent it: the other end's socket is here and still in \
                     established, so a packet filter or an injector made the RST\"",
                ),
            ])],
    },
    Scenario {
        name: "request_rejected",
        families: BOTH,
        needs: &[Need::Nft, Need::Tun, Need::RejectSeen],
        run: request_rejected,
        expect: &[sent("server", "remote")
            .before("established")
            .cause("firewall_reject")
            .server("server", READ)
            .with(&[
                FIREWALL,
                ("/firewall_hook", "\"input\""),
                ("/trigger/len", "5"),
            ])],
    },
    Scenario {
        name: "forwarding_rejected",
        families: BOTH,
        needs: &[Need::Nft, Need::Tun, Need::RejectSeen],
        run: forwarding_rejected,
        expect: &[sent("other", "remote")
            .cause("firewall_reject")
            .with(&[FIREWALL, ("/firewall_hook", "\"forward\"")])],
    },
    Scenario {
        // Also by nf_ct_attach, but an ICMP error.
        name: "connect_rejected_by_icmp",
        families: BOTH,
        needs: &[Need::Nft],
        run: connect_rejected_by_icmp,
        expect: &[failed("refused", "client", "server")
            .before("syn_sent")
            .client("client")
            .with(&[("/socket_error", "\"ECONNREFUSED\"")])],
    },
];

const FIREWALL: (&str, &str) = ("/sender", "\"firewall\"");

/// Nobody has the connection yet.
const REJECTED_SYN: Expected = sent("server", "client").cause("firewall_reject");

const REFUSED: Expected = received("client", "server")
    .before("syn_sent")
    .client("client");

/// Rejects what goes to `port`, in the chain of `hook`.
fn reject(scene: &Scene, hook: &str, port: u16, how: &str) -> Result<()> {
    scene.netns.nft(&format!(
        "table inet test {{\nchain test {{\ntype filter hook {hook} priority 0;\n\
         tcp dport {port} reject {how}\n}}\n}}"
    ))
}

const TCP_RESET: &str = "with tcp reset";

fn rejected_on_its_way_out(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let call = exchange(scene, &network, Stage::Fresh)?;
    reject(scene, "output", call.remote.at.port(), TCP_RESET)?;
    call.socket.write(b"request")?;
    call.socket.read_fails(Errno::CONNRESET)
}

fn connect_rejected(scene: &Scene) -> Result<()> {
    connect_fails(scene, TCP_RESET)
}

fn connect_rejected_by_icmp(scene: &Scene) -> Result<()> {
    connect_fails(scene, "with icmpx port-unreachable")
}

fn connect_fails(scene: &Scene, how: &str) -> Result<()> {
    let (server, client) = (scene.actor("server")?, scene.actor("client")?);
    let (listener, to) = scene.listen(&server, "server", scene.loopback(0), 8)?;
    reject(scene, "input", listener.local()?.port(), how)?;
    let socket = client.socket(to)?;
    scene.name("client", socket.bind(scene.loopback(0))?);
    client.fails(
        &Command::Connect {
            name: socket.name(),
            to,
        },
        Errno::CONNREFUSED,
    )
}

/// The server's end must say nothing more at its end, or the scenario has no end of its own.
fn rejected_on_the_loopback(scene: &Scene) -> Result<()> {
    let pair = scene.pair_after_exchange()?;
    let port = pair.accepted.local()?.port();
    reject(scene, "input", port, TCP_RESET)?;
    scene.netns.nft(&format!(
        "table inet silence {{\nchain silence {{\ntype filter hook output priority 0;\n\
         tcp sport {port} tcp flags & rst == 0 drop\n}}\n}}"
    ))?;
    pair.connected.write(b"request")?;
    pair.connected.read_fails(Errno::CONNRESET)?;
    scene.reported(1)
}

/// In the middle of a request.
fn request_rejected(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.incoming(&network)?;
    call.remote.send(flag::ACK | flag::PSH, b"request")?;
    call.socket.read(64)?;
    reject(scene, "input", call.remote.peer.port(), TCP_RESET)?;
    call.remote.send(flag::ACK | flag::PSH, b"body!")?;
    call.remote.expect(flag::RST).map(drop)
}

fn forwarding_rejected(scene: &Scene) -> Result<()> {
    const PORT: u16 = 8080;
    let network = scene.network()?;
    for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        scene.netns.sysctl(switch, "1")?;
    }
    reject(scene, "forward", PORT, TCP_RESET)?;
    scene.remote(&network, 40_002);
    let other = (network.neighbour(), PORT).into();
    scene.name("other", other);
    let mut remote = network.endpoint(40_002, other);
    remote.send(flag::SYN, b"")?;
    remote.expect(flag::RST | flag::ACK).map(drop)
}
