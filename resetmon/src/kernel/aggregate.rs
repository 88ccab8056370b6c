//! Resets that the programs did not report one by one.
//!
//! There are two maps. The programs add to one; to empty it without losing a count the agent makes
//! them use the other, waits until no program can still be at work on the first (an RCU grace
//! period), reads it and clears it.

use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, MapError};
use gateway_ebpf_common::tally::{Aggregate, AggregateKey};

/// Empties the aggregates.
pub struct Aggregates {
    maps: [HashMap<MapData, AggregateKey, Aggregate>; 2],
    generation: Array<MapData, u32>,
    /// Which of the two the programs use.
    current: u32,
}

/// Where `membarrier` is refused: programs run with preemption off, so this is for ever.
const LONGER_THAN_ANY_PROGRAM: Duration = Duration::from_millis(50);

impl Aggregates {
    /// Over the maps `AGGREGATES_0`, `AGGREGATES_1` and `GENERATION` of the object.
    pub fn new(
        maps: [HashMap<MapData, AggregateKey, Aggregate>; 2],
        generation: Array<MapData, u32>,
    ) -> Result<Self, MapError> {
        let current = generation.get(&0, 0)? & 1;
        Ok(Self {
            maps,
            generation,
            current,
        })
    }

    /// Takes out what has come together since the last time; every reset exactly once.
    pub fn drain(&mut self) -> Result<Vec<Aggregate>, MapError> {
        let full = self.current;
        if self.maps[full as usize].keys().next().is_none() {
            // What comes in now stays for the next time.
            return Ok(Vec::new());
        }
        self.generation.set(0, 1 - full, 0)?;
        self.current = 1 - full;
        wait_for_programs();
        let map = &mut self.maps[full as usize];
        let keys: Vec<AggregateKey> = map.keys().collect::<Result<_, _>>()?;
        let mut taken = Vec::with_capacity(keys.len());
        for key in keys {
            taken.push(map.get(&key, 0)?);
            map.remove(&key)?;
        }
        Ok(taken)
    }
}

/// Returns when every program that was running has ended: `MEMBARRIER_CMD_GLOBAL` waits for an RCU
/// grace period (`kernel/sched/membarrier.c`), under which programs run.
fn wait_for_programs() {
    const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;
    // SAFETY: takes three integers and touches no memory of ours.
    let refused = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if refused != 0 {
        // Kernels with nohz_full processors refuse it.
        std::thread::sleep(LONGER_THAN_ANY_PROGRAM);
    }
}
