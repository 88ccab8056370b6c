//! Who made a received RST, by the packet itself.

use anyhow::Result;
use rustix::io::Errno;

use super::received::{Stage, exchange};
use crate::expected::{EARLIER, Expected, READ, received, sent};
use crate::scenario::{BOTH, Need, Scenario};
use crate::scene::Scene;
use crate::wire::flag;

pub(super) static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "reset_from_another_distance",
        families: BOTH,
        needs: &[Need::Tun, Need::PacketSeen],
        run: |scene| reset_with_ttl(scene, 41),
        expect: &[AFTER_REQUEST.cause("injected").with(&[
            ("/sender", "\"middlebox\""),
            ("/rst/ttl", "41"),
            ("/rst/seq_offset", "0"),
            ("/handshake_ttl", "64"),
        ])],
    },
    Scenario {
        name: "reset_from_the_same_distance",
        families: BOTH,
        needs: &[Need::Tun, Need::PacketSeen],
        run: |scene| reset_with_ttl(scene, 64),
        expect: &[AFTER_REQUEST.cause("aborted_before_response").with(&[
            ("/rst/ttl", "64"),
            ("/rst/seq_offset", "0"),
            ("/handshake_ttl", "64"),
        ])],
    },
    Scenario {
        name: "reset_from_about_the_same_distance",
        families: BOTH,
        needs: &[Need::Tun, Need::PacketSeen],
        run: |scene| reset_with_ttl(scene, 60),
        expect: &[AFTER_REQUEST
            .cause("aborted_before_response")
            .with(&[("/rst/ttl", "60"), ("/handshake_ttl", "64")])],
    },
    Scenario {
        name: "reset_of_a_server_from_another_distance",
        families: BOTH,
        needs: &[Need::Tun, Need::PacketSeen],
        run: reset_of_a_server_from_another_distance,
        expect: &[received("server", "remote")
            .before("established")
            .cause("injected")
            .server("server", READ)
            .with(&[
                ("/sender", "\"middlebox\""),
                ("/rst/ttl", "128"),
                ("/handshake_ttl", "64"),
            ])],
    },
    Scenario {
        name: "reset_behind_a_gap_that_the_peer_outlives",
        families: BOTH,
        needs: &[Need::Tun, Need::PacketSeen, Need::Socketless],
        run: reset_behind_a_gap_that_the_peer_outlives,
        expect: &[
            AFTER_REQUEST
                .cause("aborted_before_response")
                .with(&[("/rst/seq_offset", "105"), ("/rst/ttl", "64")]),
            OUTLIVED.with(&[("/flags", "[\"peer_went_on\"]")]),
        ],
    },
    Scenario {
        name: "reset_that_the_peer_outlives",
        families: BOTH,
        needs: &[Need::Tun, Need::Socketless],
        run: |scene| reset_with_late_data(scene, 0),
        expect: &[
            AFTER_REQUEST.cause("aborted_before_response"),
            OUTLIVED.with(&[("/flags", "[\"peer_went_on\"]")]),
        ],
    },
    Scenario {
        // What the peer had sent before may arrive late.
        name: "reset_and_late_data",
        families: BOTH,
        needs: &[Need::Tun, Need::Socketless],
        run: |scene| reset_with_late_data(scene, 4),
        expect: &[
            AFTER_REQUEST.cause("aborted_before_response"),
            OUTLIVED.with(&[("/flags", "null")]),
        ],
    },
];

/// The answer to what the peer sends after the RST in its name.
const OUTLIVED: Expected = sent("client", "remote")
    .reason("no_socket")
    .cause("stray_segment")
    .owner("client", EARLIER)
    .role("client");

const AFTER_REQUEST: Expected = received("client", "remote")
    .before("established")
    .client("client");

fn reset_with_ttl(scene: &Scene, ttl: u8) -> Result<()> {
    let network = scene.network()?;
    let call = exchange(scene, &network, Stage::Asked)?;
    let mut rst = call.remote.segment(flag::RST, b"");
    rst.ttl = ttl;
    call.remote.put(&rst)?;
    call.socket.read_fails(Errno::CONNRESET)
}

fn reset_of_a_server_from_another_distance(scene: &Scene) -> Result<()> {
    let network = scene.network()?;
    let mut call = scene.incoming(&network)?;
    call.remote.send(flag::ACK | flag::PSH, b"request")?;
    call.socket.read(64)?;
    let mut rst = call.remote.segment(flag::RST, b"");
    rst.ttl = 128;
    call.remote.put(&rst)?;
    call.socket.read_fails(Errno::CONNRESET)
}

/// RFC 5961 takes a RST at the right edge of what came behind a gap.
fn reset_behind_a_gap_that_the_peer_outlives(scene: &Scene) -> Result<()> {
    const SACK_PERMITTED: [u8; 4] = [4, 2, 1, 1];
    let network = scene.network()?;
    let actor = scene.actor("client")?;
    let to = scene.remote(&network, 443);
    let socket = actor.socket(to)?;
    scene.name("client", socket.start_connect(to)?);
    let mut remote = network.called()?;
    let mut answer = remote.segment(flag::SYN | flag::ACK, b"");
    answer.options = SACK_PERMITTED.to_vec();
    remote.put(&answer)?;
    remote.said = remote.said.wrapping_add(answer.length());
    remote.expect(flag::ACK)?;
    socket.write(b"request")?;
    remote.hear(flag::ACK, true)?;

    let ahead = |flags, by: u32, payload: &[u8]| {
        let mut segment = remote.segment(flags, payload);
        segment.seq = segment.seq.wrapping_add(by);
        segment
    };
    remote.put(&ahead(flag::ACK | flag::PSH, 100, b"later"))?;
    remote.put(&ahead(flag::RST, 105, b""))?;
    socket.read_fails(Errno::CONNRESET)?;
    socket.close()?;
    remote.put(&ahead(flag::ACK | flag::PSH, 105, b"more"))
}

/// Data from this many bytes before the RST.
fn reset_with_late_data(scene: &Scene, before: u32) -> Result<()> {
    let network = scene.network()?;
    let call = exchange(scene, &network, Stage::Asked)?;
    call.remote.put(&call.remote.segment(flag::RST, b""))?;
    call.socket.read_fails(Errno::CONNRESET)?;
    call.socket.close()?;
    let mut data = call.remote.segment(flag::ACK | flag::PSH, b"data");
    data.seq = data.seq.wrapping_sub(before);
    call.remote.put(&data)
}
