//! The kernel's answers on tracked connections (ctnetlink).

use resetmon::kernel::conntrack::Tuple;
use resetmon::kernel::conntrack::message::{Answer, answer, request};

use crate::mutate::Pool;
use crate::random::Random;
use crate::run::Target;

const SEQUENCE: u32 = 7;
/// Where `nlmsghdr` has its type and flags, and the type `IPCTNL_MSG_CT_NEW` of conntrack.
const TYPE: std::ops::Range<usize> = 4..6;
const ENTRY: u16 = 1 << 8;
/// `NLMSG_ERROR` with `ENOENT`, for the question whose header follows.
const ERROR: u16 = 2;

/// Pieces of attributes: lengths and kinds, nested or not.
const TOKENS: &[&[u8]] = &[
    &[0, 0],
    &[4, 0],
    &[5, 0],
    &[6, 0, 2, 0],
    &[8, 0, 1, 0],
    &[20, 0, 3, 0],
    &[0xff, 0xff],
    &[1, 0x80],
    &[2, 0x80],
    &[3, 0, 0, 0],
    &[4, 0x80],
    &[6, 0, 0, 0],
    &[17, 0, 0, 0],
];

/// Damaged answers.
#[derive(Debug)]
pub(crate) struct Answers {
    pool: Pool,
    tuple: Tuple,
}

impl Default for Answers {
    fn default() -> Self {
        let at = |text: &str| text.parse().unwrap();
        let v4 = Tuple::new(at("10.0.0.5:50000"), at("198.51.100.1:80"));
        let v6 = Tuple::new(at("[2001:db8::5]:50000"), at("[2001:db8::1]:443"));
        let whole = [entry(v4), entry(v6), error()];
        Self {
            pool: Pool::new(whole, TOKENS, 4096),
            tuple: v4,
        }
    }
}

/// An entry of a connection that is not translated: question and answer look alike.
fn entry(tuple: Tuple) -> Vec<u8> {
    let mut bytes = request(tuple, SEQUENCE);
    bytes[TYPE].copy_from_slice(&ENTRY.to_ne_bytes());
    let back = request(Tuple::new(tuple.destination, tuple.source), SEQUENCE);
    let (header, mut reply) = (20, back[20..].to_vec());
    assert_eq!(bytes.len() - header, reply.len());
    // CTA_TUPLE_REPLY
    reply[2] = 2;
    bytes.extend(reply);
    with_length(bytes)
}

fn error() -> Vec<u8> {
    let nowhere = Tuple::new(([0; 4], 0).into(), ([0; 4], 0).into());
    let mut bytes = request(nowhere, SEQUENCE)[..16].to_vec();
    bytes[TYPE].copy_from_slice(&ERROR.to_ne_bytes());
    bytes.extend((-libc::ENOENT).to_ne_bytes());
    bytes.extend(bytes[..16].to_vec());
    with_length(bytes)
}

fn with_length(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes
}

impl Target for Answers {
    const NAME: &'static str = "conntrack";
    const QUICK: u64 = 50_000;
    const REFUSES: bool = true;
    type Input = Vec<u8>;

    fn make(&mut self, random: &mut Random) -> Self::Input {
        self.pool.make(random)
    }

    fn check(&mut self, input: &Self::Input) -> bool {
        match answer(input, self.tuple, SEQUENCE) {
            Ok(Answer::Leaving(leaving)) => {
                // Families are never mixed, whatever the bytes say.
                assert_eq!(leaving.source.is_ipv4(), leaving.destination.is_ipv4());
                self.pool.keep(input);
                true
            }
            Ok(_) => true,
            Err(reason) => {
                assert!(!reason.is_empty());
                false
            }
        }
    }
}
