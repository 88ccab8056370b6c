//! Addresses, prefixes and filters as people write them.

use std::fmt::{Debug, Display};
use std::net::IpAddr;
use std::str::FromStr;

use resetmon::export::filter::{Causes, PeerFilter, direction, netns};
use resetmon::routes::address::{Endpoint, Listener, cidr};

use crate::mutate::{Pool, steers};
use crate::random::Random;
use crate::run::Target;

const SEEDS: &[&str] = &[
    "10.0.0.1:443",
    "0.0.0.0:80",
    "[::]:443",
    "[2001:db8::1]:8443",
    "[::ffff:10.0.0.1]:80",
    ":8080",
    "*:8080",
    "10.1.0.0/16",
    "10.1.0.0/16:9000",
    "[2001:db8::/48]:9000",
    "2001:db8::/48",
    "::ffff:10.0.0.0/104",
    "api.example.com:443",
    "localhost",
    "db_1.internal.",
    "10.0.0.1",
    "::1",
    "fe80::1%2",
    "net:[4026531840]",
    "4026531840",
    "sent",
    "received",
    "refused,idle_timeout",
    "keepalive_race, unknown",
];

const TOKENS: &[&[u8]] = &[
    b":",
    b"::",
    b".",
    b"/",
    b"[",
    b"]",
    b"%",
    b"*",
    b"-",
    b"_",
    b" ",
    b"0",
    b"00",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"/0",
    b"/32",
    b"/33",
    b"/96",
    b"/128",
    b"/129",
    b"+1",
    b"0x7f",
    b"::ffff:",
    b"1.2.3.4",
    b"\x1b[31m",
    b"\n",
    b"\xc3\xa9",
    b"\xe2\x80\xae",
    b"net:[",
    b",",
    b"a",
    b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

/// Damaged addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    pool: Pool,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            pool: Pool::new(SEEDS.iter().map(|seed| seed.as_bytes()), TOKENS, 300),
        }
    }
}

impl Target for Addresses {
    const NAME: &'static str = "addresses";
    const QUICK: u64 = 20_000;
    const REFUSES: bool = true;
    type Input = String;

    fn make(&mut self, random: &mut Random) -> String {
        String::from_utf8_lossy(&self.pool.make(random)).into_owned()
    }

    fn check(&mut self, text: &String) -> bool {
        let listener = round_trip::<Listener>(text);
        let endpoint = round_trip::<Endpoint>(text);
        if let Some(listener) = listener {
            assert!(listener.port != 0);
            assert_eq!(
                listener.address.map(|address| address.to_canonical()),
                listener.address
            );
        }
        match &endpoint {
            Some(Endpoint::Network { network, port }) => {
                assert_eq!(network.trunc(), *network);
                assert_ne!(*port, Some(0));
            }
            Some(Endpoint::Host { name, port }) => {
                assert_ne!(*port, Some(0));
                assert!(!name.is_empty() && name.len() <= 253 && name.parse::<IpAddr>().is_err());
            }
            None => {}
        }
        let network = cidr(text);
        if let Ok(network) = &network {
            assert_eq!(cidr(&network.to_string()).as_ref(), Ok(network));
            assert_eq!(network.trunc(), *network);
        }
        let mut accepted = listener.is_some() || endpoint.is_some() || network.is_ok();
        accepted |=
            told(&network) | told(&text.parse::<PeerFilter>()) | told(&text.parse::<Causes>());
        accepted |= told(&netns(text)) | told(&direction(text));
        if accepted {
            self.pool.keep(text.as_bytes());
        }
        accepted
    }
}

/// What is written as it is shown is read as it was.
fn round_trip<T: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) -> Option<T> {
    let value = match text.parse::<T>() {
        Ok(value) => value,
        Err(error) => {
            harmless(&error);
            return None;
        }
    };
    let shown = value.to_string();
    let again = shown.parse::<T>().ok();
    assert_eq!(again.as_ref(), Some(&value), "shown as {shown}");
    Some(value)
}

fn told<T, E: Display>(result: &Result<T, E>) -> bool {
    if let Err(error) = result {
        harmless(error);
    }
    result.is_ok()
}

fn harmless(error: &impl Display) {
    let text = error.to_string();
    assert!(!text.contains(steers), "{text:?}");
}
