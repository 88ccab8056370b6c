//! Capture files, given hostile values: always well-formed, whatever the resets hold.

use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketOption;
use pcap_file::pcapng::{Block, PcapNgReader};
use resetmon::export::background::Store as _;
use resetmon::export::pcapng::{Packet, PcapngFile};
use resetmon::export::rotating::Rotating;
use resetmon::reset::Reset;
use tempfile::NamedTempFile;

use crate::random::Random;
use crate::resets;
use crate::run::Target;

/// Longest comment, characters.
const COMMENT: usize = 230;

/// A file of some packets.
#[derive(Default)]
pub(crate) struct Captures {
    ids: u64,
}

impl Target for Captures {
    const NAME: &'static str = "captures";
    const QUICK: u64 = 2_000;
    const REFUSES: bool = false;
    type Input = Vec<Reset>;

    fn make(&mut self, random: &mut Random) -> Self::Input {
        let count = 1 + random.below(4);
        (0..count)
            .map(|_| {
                self.ids += 1;
                resets::hostile(random, self.ids)
            })
            .collect()
    }

    fn check(&mut self, resets: &Self::Input) -> bool {
        let packets: Vec<Packet> = resets.iter().map(Packet::from).collect();
        let place = NamedTempFile::new().unwrap();
        let file = Rotating::open(place.path(), None).unwrap();
        let mut file = PcapngFile::begin(file).unwrap();
        let taken = file.take(&mut packets.iter().cloned());
        assert_eq!((taken.written, taken.lost), (packets.len() as u64, 0));

        let bytes = std::fs::read(place.path()).unwrap();
        let mut reader = PcapNgReader::new(&*bytes).unwrap();
        let mut expected = packets.iter();
        let mut length = 0;
        while let Some(block) = reader.next_block() {
            let block = block.unwrap_or_else(|error| panic!("{error}: {resets:?}"));
            let Block::EnhancedPacket(block) = block else {
                continue;
            };
            let packet = expected.next().expect("no more packets than were given");
            assert_eq!(*block.data, packet.bytes);
            assert_eq!(block.timestamp, packet.time);
            let comments: Vec<&str> = block
                .options
                .iter()
                .filter_map(|option| match option {
                    EnhancedPacketOption::Comment(text) => Some(&**text),
                    _ => None,
                })
                .collect();
            assert_eq!(comments, packet.comments);
            assert!(comments.len() <= 30, "{comments:?}");
            for comment in comments {
                assert!(comment.chars().count() <= COMMENT, "{comment:?}");
                assert!(!comment.contains(char::is_control), "{comment:?}");
            }
            packet_is_a_reset(&block.data);
            length += 1;
        }
        assert_eq!(length, packets.len());
        true
    }
}

/// An IP header of either version, a TCP header without options, and RST among its flags.
fn packet_is_a_reset(packet: &[u8]) {
    let ip = match packet.first().map(|byte| byte >> 4) {
        Some(4) => 20,
        Some(6) => 40,
        other => panic!("IP version {other:?}"),
    };
    assert_eq!(packet.len(), ip + 20);
    assert_eq!(packet[ip + 12] >> 4, 5);
    assert_ne!(packet[ip + 13] & 4, 0);
}
