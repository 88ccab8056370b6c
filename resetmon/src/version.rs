//! What tells one build from another.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::kernel::object::OBJECT;

/// Version of the agent.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Short name of the commit that was built, else `unknown`.
pub const COMMIT: &str = env!("RESETMON_COMMIT");

/// Bytes of a hash that are shown.
const SHOWN: usize = 6;

/// The first 12 hexadecimal digits of the SHA-256 of the eBPF object within.
#[must_use]
pub fn object_hash() -> &'static str {
    static HASH: LazyLock<String> = LazyLock::new(|| short_hash(OBJECT));
    &HASH
}

/// What `--version` prints behind the name.
#[must_use]
pub fn long() -> &'static str {
    static LONG: LazyLock<String> =
        LazyLock::new(|| format!("{VERSION} (commit {COMMIT}, eBPF object {})", object_hash()));
    &LONG
}

fn short_hash(bytes: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    hash.as_ref()
        .iter()
        .take(SHOWN)
        .fold(String::new(), |mut text, byte| {
            // A String takes everything.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_start_of_sha_256() {
        // The one-block example of FIPS 180-2.
        assert_eq!(short_hash(b"abc"), "ba7816bf8f01");
        assert_ne!(short_hash(OBJECT), short_hash(&OBJECT[1..]));
    }

    #[test]
    fn names_version_commit_and_object() {
        let line = long();
        assert!(line.starts_with(VERSION), "{line}");
        for part in [COMMIT, object_hash()] {
            assert!(line.contains(part) && part.len() >= 7, "{part} in {line}");
        }
    }
}
