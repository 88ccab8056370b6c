//! Damaged BTF: whatever the bytes, an answer or an error.

use super::*;
use crate::kernel::reasons::Reasons;

/// Asks everything that can be asked.
fn ask_all(btf: &Btf) -> usize {
    let resolved = resolve(btf);
    let names = Reasons::from_btf(btf);
    let sizes = (0..btf.type_count().saturating_add(2)).filter(|id| btf.size_of(*id).is_some());
    let reasons = (0..64).filter(|number| !names.name(*number).name().is_empty());
    let params = ["tcp_send_reset", "inet_sock_set_state"].map(|name| btf.tracepoint(name));
    let switches = switches(btf);
    resolved.missing.len()
        + sizes.count()
        + reasons.count()
        + params.iter().flatten().count()
        + (switches.has_reason + switches.unmarked_null + switches.accept_two_args) as usize
}

/// Marsaglia's xorshift: the same damage at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[test]
fn cut_at_every_length() {
    for (kernel, data) in fixtures::ALL {
        for length in 0..data.len() {
            let cut = Btf::parse(data[..length].to_vec());
            assert!(cut.is_err(), "Linux {kernel} cut at {length}");
        }
    }
}

#[test]
fn cut_with_a_header_that_fits() {
    let (_, data) = fixtures::ALL[5];
    let types = u32::from_ne_bytes(data[12..16].try_into().unwrap());
    let complete = fixture(5).type_count();
    let mut counts = Vec::new();
    for length in 0..types {
        let mut cut = data.to_vec();
        cut[12..16].copy_from_slice(&length.to_ne_bytes());
        if let Ok(btf) = Btf::parse(cut) {
            counts.push(btf.type_count());
            ask_all(&btf);
        }
    }
    // Only a cut between two types is one that the format cannot show.
    assert_eq!(counts, (1..complete).collect::<Vec<_>>());
}

#[test]
fn flipped_bytes() {
    let mut random = Random(0x5eed_1e55_0b7f_0001);
    let mut accepted = 0;
    for (_, data) in fixtures::ALL {
        for _ in 0..1500 {
            let mut damaged = data.to_vec();
            for _ in 0..=random.below(8) {
                let at = random.below(damaged.len());
                damaged[at] ^= u8::try_from(1 + random.below(255)).unwrap();
            }
            if let Ok(btf) = Btf::parse(damaged) {
                accepted += usize::from(ask_all(&btf) > 0);
            }
        }
    }
    // Damage that the format cannot show must have been asked as well.
    assert!(accepted > 1000, "only {accepted} were readable");
}

#[test]
fn noise_behind_a_good_header() {
    let mut random = Random(0x5eed_1e55_0b7f_0002);
    for _ in 0..3000 {
        let (_, data) = fixtures::ALL[random.below(fixtures::ALL.len())];
        let mut damaged = data.to_vec();
        // Small numbers are more often valid ids, kinds and counts than random bytes.
        for at in (24..damaged.len()).filter(|at| at % 4 == 0) {
            if random.below(3) == 0 {
                damaged[at] = u8::try_from(random.below(128)).unwrap();
            }
        }
        if let Ok(btf) = Btf::parse(damaged) {
            ask_all(&btf);
        }
    }
}
