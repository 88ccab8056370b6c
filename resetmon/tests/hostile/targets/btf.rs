//! The kernel's type information.

use gateway_ebpf_common::layout::{ABSENT, Layout};
use resetmon::kernel::btf::Btf;
use resetmon::kernel::offsets::{resolve, switches};
use resetmon::kernel::reasons::Reasons;

use crate::mutate::{Bytes, Pool};
use crate::random::Random;
use crate::run::Target;

const FIXTURES: [&[u8]; 6] = [
    include_bytes!("../../fixtures/btf/linux-5.10.223.btf"),
    include_bytes!("../../fixtures/btf/linux-6.1.192.btf"),
    include_bytes!("../../fixtures/btf/linux-6.12.117.btf"),
    include_bytes!("../../fixtures/btf/linux-6.18.15.btf"),
    include_bytes!("../../fixtures/btf/linux-6.18.44.btf"),
    include_bytes!("../../fixtures/btf/linux-7.2.13.btf"),
];

/// Damaged type information.
#[derive(Debug)]
pub(crate) struct KernelTypes {
    pool: Pool,
}

impl Default for KernelTypes {
    fn default() -> Self {
        Self {
            pool: Pool::new(
                FIXTURES,
                &[
                    b"sock_common\0",
                    b"\0\0\0\x04",
                    b"\0\0\0\x84",
                    b"\0\0\0\x03",
                    b"\x01\0\0\0",
                ],
                8192,
            ),
        }
    }
}

impl Target for KernelTypes {
    const NAME: &'static str = "btf";
    const QUICK: u64 = 3_000;
    const REFUSES: bool = true;
    type Input = Bytes;

    fn make(&mut self, random: &mut Random) -> Bytes {
        if random.one_in(3) {
            return Bytes(self.pool.make(random));
        }
        // Damage that keeps the lengths of the sections: words of types and of members.
        let mut bytes = random.pick(&FIXTURES).to_vec();
        for _ in 0..=random.below(6) {
            let at = 24 + random.below((bytes.len() - 24) / 4) * 4;
            let word = match random.below(4) {
                0 => random.next() % 400,
                1 => ((random.next() % 20) << 24) | (random.next() % 8),
                _ => random.number(),
            };
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&word.to_ne_bytes()[..4]);
            }
        }
        Bytes(bytes)
    }

    fn check(&mut self, input: &Bytes) -> bool {
        let Ok(btf) = Btf::parse(input.0.clone()) else {
            return false;
        };
        self.pool.keep(&input.0);
        let resolved = resolve(&btf);
        for (field, path) in Layout::MEMBERS.iter().copied() {
            let offset = resolved.layout.get(field).unwrap();
            let missing = resolved
                .missing
                .iter()
                .find(|missing| missing.field == field);
            assert_eq!(offset == ABSENT, missing.is_some(), "{path}");
            match missing {
                Some(missing) => {
                    // It names the kernel's own words, which may be anything here.
                    assert!(missing.why.to_string().len() < 4096);
                }
                None => inside(&btf, path, offset),
            }
        }
        let switches = switches(&btf);
        assert!(switches.has_reason <= 1 && switches.unmarked_null <= switches.has_reason);
        let reasons = Reasons::from_btf(&btf);
        for number in (0..70).chain([u32::MAX]) {
            assert!(!reasons.name(number).name().is_empty());
        }
        for id in 0..btf.type_count().saturating_add(2) {
            let size = btf.size_of(id);
            assert!(size.is_none() || btf.record(id).is_some());
            if let Some((_, record)) = btf.strip(id) {
                assert!(!record.kind.is_modifier());
                let parts = record.fields().count()
                    + record.params().count()
                    + record.enumerators().count();
                assert!(parts * 8 <= input.0.len());
            }
        }
        for name in [
            "tcp_send_reset",
            "tcp_receive_reset",
            "inet_sock_set_state",
            "",
            "\0",
        ] {
            assert_eq!(btf.has_tracepoint(name), btf.tracepoint(name).is_some());
            assert_eq!(btf.has_function(name), btf.function(name).is_some());
        }
        true
    }
}

/// The member lies within the struct that its path begins with, by every name it may have there.
fn inside(btf: &Btf, path: &str, offset: u32) {
    let formerly = if path == "task_struct.start_boottime" {
        "task_struct.real_start_time"
    } else {
        path
    };
    let member = btf.member(path).or_else(|_| btf.member(formerly)).unwrap();
    assert_eq!(member.offset, offset);
    let end = u64::from(offset) + u64::from(member.size.unwrap());
    let name = path.split('.').next().unwrap();
    let longest = btf
        .ids(name)
        .filter_map(|id| btf.record(id))
        .filter(|record| record.kind.is_composite())
        .map(|record| record.size_or_type)
        .max()
        .unwrap();
    assert!(
        end <= u64::from(longest),
        "{path} ends at {end} of {longest}"
    );
}
