//! Records of the ring buffer.

use gateway_ebpf_common::event::{ARGUMENTS, EXE_NAME, ProcessRecord, ResetRecord, kind};
use resetmon::diagnosis::cause::diagnose;
use resetmon::diagnosis::failure::judge;
use resetmon::kernel::decode::{Record, decode};

use crate::mutate::{Bytes, Pool, steers};
use crate::random::Random;
use crate::records::{self, TICK, bytes_of, reason};
use crate::run::Target;

/// Damaged records, and undamaged ones with any values, which must come back as they went.
#[derive(Debug)]
pub(crate) struct Records {
    pool: Pool,
}

impl Default for Records {
    fn default() -> Self {
        let mut random = Random::of(1, "seeds", 0);
        let seeds: Vec<Vec<u8>> = (0..64)
            .map(|number| match number % 8 {
                0 => bytes_of(&records::process(&mut random)),
                _ => bytes_of(&records::reset(&mut random)),
            })
            .collect();
        Self {
            pool: Pool::new(seeds, &[b"\xff\xfe", b"\x1b[2J", b"\x01\0\0\0"], 1024),
        }
    }
}

impl Target for Records {
    const NAME: &'static str = "records";
    const QUICK: u64 = 60_000;
    const REFUSES: bool = true;
    type Input = Bytes;

    fn make(&mut self, random: &mut Random) -> Bytes {
        Bytes(match random.below(8) {
            0 => bytes_of(&records::process(random)),
            1..4 => bytes_of(&records::reset(random)),
            4 => bytes_of(&records::noise::<ResetRecord>(random)),
            _ => {
                let mut bytes = self.pool.make(random);
                // Most damage would only show in the length.
                if random.one_in(2) {
                    bytes.resize(size_of::<ResetRecord>(), 0);
                }
                bytes
            }
        })
    }

    fn check(&mut self, input: &Bytes) -> bool {
        let bytes = &input.0;
        let record = match decode(bytes, TICK, reason) {
            Ok(record) => record,
            Err(error) => {
                assert!(!error.to_string().contains(char::is_control));
                return false;
            }
        };
        self.pool.keep(bytes);
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(4) as usize, bytes.len());
        match record {
            Record::Process { sighting, .. } => {
                let task = &sighting.task;
                assert_eq!(
                    (word(0), bytes.len()),
                    (kind::PROCESS, size_of::<ProcessRecord>())
                );
                assert!(!task.comm.contains(steers));
                assert_eq!(task.known_by, None);
                assert!(sighting.exe_name.len() <= EXE_NAME && !sighting.exe_name.contains(&0));
                assert!(sighting.arguments.len() <= ARGUMENTS);
            }
            Record::Reset(observation) => {
                assert_eq!(
                    (word(0), bytes.len()),
                    (kind::RESET, size_of::<ResetRecord>())
                );
                let tasks = [&observation.owner, &observation.closer];
                for task in tasks.into_iter().flatten() {
                    assert!(task.pid != 0 && task.comm.len() <= 16 * 8);
                    assert!(!task.comm.contains(steers));
                }
                // Replaced bytes of a name are longer than the name was.
                if tasks
                    .into_iter()
                    .flatten()
                    .all(|task| task.comm.len() <= 16)
                {
                    let again = bytes_of(&records::encode(&observation));
                    let again = decode(&again, TICK, reason);
                    assert_eq!(again, Ok(Record::Reset(observation.clone())));
                }
                let diagnosis = diagnose(&observation);
                assert!(!diagnosis.evidence.is_empty(), "{:?}", diagnosis.cause);
                are_facts(&diagnosis.evidence);
            }
            Record::Failure(failed) => {
                assert_eq!(
                    (word(0), bytes.len()),
                    (kind::FAILURE, size_of::<ResetRecord>())
                );
                if let Some((kind, evidence)) = judge(&failed) {
                    assert!(!evidence.is_empty(), "{kind}");
                    are_facts(&evidence);
                }
            }
        }
        true
    }
}

fn are_facts(evidence: &[String]) {
    for fact in evidence {
        assert!(!fact.contains(steers) && fact.len() < 500, "{fact:?}");
    }
}
