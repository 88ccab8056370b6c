//! Resets that the programs did not report one by one.
//!
//! There are two maps, each with a spare one for what it refuses. The programs add to one; to empty
//! it without losing a count the agent makes them use the other, waits until no program can still be
//! at work on the first (an RCU grace period), reads it and clears it.

use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, MapError};
use gateway_ebpf_common::tally::{Aggregate, AggregateKey};

/// Empties the aggregates.
pub struct Aggregates {
    maps: [Pair; 2],
    generation: Array<MapData, u32>,
    /// Which of the two the programs use.
    current: u32,
    /// Whether the other may hold what an agent that was killed did not take out.
    left_over: bool,
}

/// A map of aggregates and its spare.
pub type Pair = [HashMap<MapData, AggregateKey, Aggregate>; 2];

/// Where `membarrier` is refused: programs run with preemption off, so this is for ever.
const LONGER_THAN_ANY_PROGRAM: Duration = Duration::from_millis(50);

impl Aggregates {
    /// Over the maps `AGGREGATES_0` with `SPARE_0`, `AGGREGATES_1` with `SPARE_1`, and `GENERATION`
    /// of the object.
    pub fn new(maps: [Pair; 2], generation: Array<MapData, u32>) -> Result<Self, MapError> {
        let current = generation.get(&0, 0)? & 1;
        Ok(Self {
            maps,
            generation,
            current,
            left_over: true,
        })
    }

    /// Hands what has come together since the last time to `take`; every reset exactly once.
    ///
    /// Each is removed once it was taken. So if the agent is killed in between, the next one takes
    /// at most one of them again, and loses none.
    pub fn drain(&mut self, mut take: impl FnMut(&Aggregate)) -> Result<(), MapError> {
        if self.left_over {
            wait_for_programs();
            empty(&mut self.maps[1 - self.current as usize], &mut take)?;
            self.left_over = false;
        }
        let full = self.current;
        let mut maps = self.maps[full as usize].iter();
        if maps.all(|map| map.keys().next().is_none()) {
            // What comes in now stays for the next time.
            return Ok(());
        }
        self.generation.set(0, 1 - full, 0)?;
        self.current = 1 - full;
        wait_for_programs();
        empty(&mut self.maps[full as usize], take)
    }
}

fn empty(pair: &mut Pair, mut take: impl FnMut(&Aggregate)) -> Result<(), MapError> {
    for map in pair {
        let keys: Vec<AggregateKey> = map.keys().collect::<Result<_, _>>()?;
        for key in keys {
            take(&map.get(&key, 0)?);
            map.remove(&key)?;
        }
    }
    Ok(())
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
