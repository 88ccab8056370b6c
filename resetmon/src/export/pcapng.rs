//! Resets as a capture file that tshark and Wireshark open: one packet a reset, one interface a
//! network namespace (pcapng, draft-ietf-opsawg-pcapng).

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{Block, PcapNgBlock, PcapNgWriter};
use pcap_file::{DataLink, Endianness, PcapError};

use super::background::{Store, Taken};
use super::rotating::Rotating;
use crate::kernel::observation::Direction;
use crate::reset::Reset;

pub mod comment;
pub mod packet;
#[cfg(test)]
mod tests;

/// `if_tsresol`: units of 10^-9 s, which are also what the library writes.
const NANOSECONDS: u8 = 9;
/// `epb_flags`: the way that the packet went.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// A reset as it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Since 1970, UTC.
    pub time: Duration,
    /// Which way it went.
    pub direction: Direction,
    /// From the IP header on.
    pub bytes: Vec<u8>,
    /// What is known of it.
    pub comments: Vec<String>,
}

impl From<&Reset> for Packet {
    fn from(reset: &Reset) -> Self {
        let observation = &reset.observation;
        let (bytes, origin) = packet::packet(observation);
        let nanoseconds = reset.time.as_nanosecond().max(0);
        Self {
            netns: observation.netns,
            // The format ends in the year 2554.
            time: Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)),
            direction: observation.direction,
            bytes,
            comments: comment::comments(reset, origin.words()),
        }
    }
}

/// Makes the bytes of a file, packet by packet.
struct Encoder {
    writer: PcapNgWriter<Vec<u8>>,
    /// The namespace of each interface, by its number.
    interfaces: Vec<u32>,
    /// What later packets rely on and is not written yet: the file's header, interfaces.
    head: Vec<u8>,
}

impl Encoder {
    fn new() -> io::Result<Self> {
        let section = SectionHeaderBlock {
            endianness: Endianness::native(),
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed(
                concat!("resetmon ", env!("CARGO_PKG_VERSION")),
            ))],
            ..SectionHeaderBlock::default()
        };
        let mut writer = PcapNgWriter::with_section_header(Vec::new(), section).map_err(into_io)?;
        let head = std::mem::take(writer.get_mut());
        Ok(Self {
            writer,
            interfaces: Vec::new(),
            head,
        })
    }

    /// The bytes of a packet, with everything before it that is not written yet.
    fn add(&mut self, packet: &Packet) -> io::Result<Vec<u8>> {
        let mut known = self.interfaces.iter();
        let number = match known.position(|netns| *netns == packet.netns) {
            Some(number) => number,
            None => self.interface(packet.netns)?,
        };
        let flags = match packet.direction {
            Direction::Sent => OUTBOUND,
            Direction::Received => INBOUND,
        };
        let comments = packet.comments.iter();
        let comments = comments.map(|text| EnhancedPacketOption::Comment(Cow::Borrowed(text)));
        let block = EnhancedPacketBlock {
            interface_id: u32::try_from(number).map_err(io::Error::other)?,
            timestamp: packet.time,
            original_len: u32::try_from(packet.bytes.len()).map_err(io::Error::other)?,
            data: Cow::Borrowed(&packet.bytes),
            options: comments
                .chain([EnhancedPacketOption::Flags(flags)])
                .collect(),
        };
        let packet = self.encoded(&block.into_block())?;
        Ok([&*self.head, &packet].concat())
    }

    fn interface(&mut self, netns: u32) -> io::Result<usize> {
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::RAW,
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(Cow::Owned(format!("netns:{netns}"))),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        };
        let block = self.encoded(&block.into_block())?;
        self.head.extend(block);
        self.interfaces.push(netns);
        Ok(self.interfaces.len() - 1)
    }

    fn encoded(&mut self, block: &Block<'_>) -> io::Result<Vec<u8>> {
        self.writer.write_block(block).map_err(into_io)?;
        Ok(std::mem::take(self.writer.get_mut()))
    }

    /// What [`Encoder::add`] gave is in the file.
    fn written(&mut self) {
        self.head.clear();
    }
}

/// A capture file, or one after the other.
pub struct PcapngFile {
    file: Rotating,
    encoder: Encoder,
}

impl PcapngFile {
    /// Begins a capture in `file`, from which everything else is removed.
    ///
    /// Errors: of the file.
    pub fn begin(mut file: Rotating) -> io::Result<Self> {
        file.clear()?;
        let mut encoder = Encoder::new()?;
        file.write(&encoder.head)?;
        encoder.written();
        Ok(Self { file, encoder })
    }

    fn put(&mut self, packet: &Packet) -> io::Result<()> {
        let mut bytes = self.encoder.add(packet)?;
        if self.file.make_room(bytes.len()) {
            self.encoder = Encoder::new()?;
            bytes = self.encoder.add(packet)?;
        }
        self.file.write(&bytes)?;
        self.encoder.written();
        Ok(())
    }
}

impl Store for PcapngFile {
    type Item = Packet;

    fn take(&mut self, packets: &mut dyn Iterator<Item = Packet>) -> Taken {
        let mut taken = Taken::default();
        for packet in packets {
            taken.count(self.put(&packet));
        }
        taken
    }
}

fn into_io(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
