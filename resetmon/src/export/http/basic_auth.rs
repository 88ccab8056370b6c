//! Basic auth (RFC 7617) against bcrypt hashes.
//!
//! A hash takes tens of milliseconds of a core by design. So it is computed off the event loop, one
//! at a time, and what it has proved is remembered until the web configuration is read again: not as
//! the password, but as its keyed digest. An unknown name costs what a known one costs, so that
//! names cannot be found by time.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use ring::{hmac, rand::SystemRandom};
use tokio::sync::Semaphore;

/// Who may have the pages. No `Debug`: it holds the hashes.
pub(super) struct Users {
    /// Every hash, and what it has proved.
    hashes: Vec<Hash>,
    /// Index in `hashes`, by name.
    names: HashMap<Vec<u8>, usize>,
    /// Chooses whose hash an unknown name is checked against: always the same for the same name, as
    /// if it had one, of a cost that users have.
    decoy: RandomState,
    /// Of this process alone.
    key: hmac::Key,
    /// One hash at a time: many wrong passwords take one core at most.
    turn: Arc<Semaphore>,
}

struct Hash {
    bcrypt: String,
    /// Digest of the credentials that the hash has proved.
    proved: OnceLock<hmac::Tag>,
}

/// `name:password` as the client sent it.
struct Credentials {
    bytes: Vec<u8>,
    colon: usize,
}

impl Users {
    /// Of names and bcrypt hashes, at least one; `None` without random numbers.
    pub(super) fn new(entries: Vec<(String, String)>) -> Option<Self> {
        let mut hashes = Vec::new();
        let mut names = HashMap::new();
        for (name, bcrypt) in entries {
            names.insert(name.into_bytes(), hashes.len());
            hashes.push(Hash {
                bcrypt,
                proved: OnceLock::new(),
            });
        }
        Some(Self {
            hashes,
            names,
            decoy: RandomState::new(),
            key: hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).ok()?,
            turn: Arc::new(Semaphore::new(1)),
        })
    }

    /// Whether the request's credentials are a user's.
    pub(super) async fn admit(self: &Arc<Self>, headers: &HeaderMap) -> bool {
        let Some(credentials) = Credentials::read(headers) else {
            return false;
        };
        if self.is_proved(&credentials) {
            return true;
        }
        let Ok(turn) = Arc::clone(&self.turn).acquire_owned().await else {
            // Only a closed semaphore refuses, and this one is never closed.
            return false;
        };
        // Another request may have proved the same meanwhile.
        if self.is_proved(&credentials) {
            return true;
        }
        let users = Arc::clone(self);
        let check = tokio::task::spawn_blocking(move || {
            let admitted = users.prove(&credentials);
            // Here, since the client may be gone before the hash is done.
            drop(turn);
            admitted
        });
        check.await.unwrap_or(false)
    }

    /// Whether the credentials have passed before.
    fn is_proved(&self, credentials: &Credentials) -> bool {
        let hash = &self.hashes[self.index(credentials.name()).0];
        // An unknown name never matches, since the digest includes the name.
        hash.proved
            .get()
            .is_some_and(|tag| hmac::verify(&self.key, &credentials.bytes, tag.as_ref()).is_ok())
    }

    /// Computes the hash and remembers a success.
    fn prove(&self, credentials: &Credentials) -> bool {
        let (index, is_known) = self.index(credentials.name());
        let hash = &self.hashes[index];
        // The file's hashes were checked when it was read.
        let matches = bcrypt::verify(credentials.password(), &hash.bcrypt).unwrap_or(false);
        let admitted = matches & is_known;
        if admitted {
            // Set already only if a longer password begins with the same 72 bytes, as bcrypt has it.
            let _ = hash.proved.set(hmac::sign(&self.key, &credentials.bytes));
        }
        admitted
    }

    /// Whose hash a name is checked against, and whether it is its own.
    fn index(&self, name: &[u8]) -> (usize, bool) {
        let count = self.hashes.len() as u64;
        let decoy = usize::try_from(self.decoy.hash_one(name) % count).unwrap_or(0);
        self.names
            .get(name)
            .map_or((decoy, false), |own| (*own, true))
    }
}

impl Credentials {
    /// From `Authorization: Basic …`.
    fn read(headers: &HeaderMap) -> Option<Self> {
        let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, rest) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let bytes = STANDARD.decode(rest.trim()).ok()?;
        let colon = bytes.iter().position(|byte| *byte == b':')?;
        Some(Self { bytes, colon })
    }

    fn name(&self) -> &[u8] {
        &self.bytes[..self.colon]
    }

    fn password(&self) -> &[u8] {
        &self.bytes[self.colon + 1..]
    }
}

#[cfg(test)]
mod tests;
