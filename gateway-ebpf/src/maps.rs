//! The maps. The agent finds them by these names.

use core::ffi::c_void;
use core::ptr;

use aya_ebpf::bindings::bpf_map_type::BPF_MAP_TYPE_SK_STORAGE;
use aya_ebpf::btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::helpers::generated::bpf_sk_storage_get;
use aya_ebpf::macros::btf_map;
use gateway_ebpf_common::event::{ResetRecord, Task};
use gateway_ebpf_common::layout::DROP_REASONS;
use gateway_ebpf_common::tally::{AGGREGATES, Aggregate, AggregateKey, SPARES, TALLIES};

use crate::emit::{Rate, Scratch};
use crate::kernel::Object;
use crate::late::{Gone, Waiting};
use crate::nesting::Note;
use crate::owner::Facts;

/// Records to the agent; the agent sets the size.
#[btf_map]
pub static EVENTS: RingBuf<ResetRecord, { 2 << 20 }> = RingBuf::new();

/// What could not be delivered, by [`gateway_ebpf_common::tally::Tally`].
#[btf_map]
pub static TALLY: PerCpuArray<u64, TALLIES> = PerCpuArray::new();

/// Resets that are not reported one by one. Two maps: the programs add to one while the agent
/// empties the other.
#[btf_map]
pub static AGGREGATES_0: HashMap<AggregateKey, Aggregate, AGGREGATES> = HashMap::new();

/// See [`AGGREGATES_0`].
#[btf_map]
pub static AGGREGATES_1: HashMap<AggregateKey, Aggregate, AGGREGATES> = HashMap::new();

/// Stands in for [`AGGREGATES_0`] where that refuses an entry: its bucket is taken by the program
/// that this one interrupts, by another CPU for too long, or it is full.
#[btf_map]
pub static SPARE_0: HashMap<AggregateKey, Aggregate, SPARES> = HashMap::new();

/// See [`SPARE_0`]; for [`AGGREGATES_1`].
#[btf_map]
pub static SPARE_1: HashMap<AggregateKey, Aggregate, SPARES> = HashMap::new();

/// Bare totals (sent, received, rejected, failed) that an agent has counted; only the agent uses it.
#[btf_map]
pub static DELIVERED: Array<[u64; 4], 1> = Array::new();

/// Which of the two the programs add to: 0 or 1.
#[btf_map]
pub static GENERATION: Array<u32, 1> = Array::new();

/// Resets of each source in the second under way; a source has one slot, by its hash.
#[btf_map]
pub static RATES: PerCpuArray<Rate, RATE_SLOTS> = PerCpuArray::new();

/// How many slots that are; a power of two.
pub const RATE_SLOTS: usize = 1024;

/// 1 while the agent waits to be woken for the next record.
#[btf_map]
pub static SLEEPING: Array<u32, 1> = Array::new();

/// Where `tcp_send_reset` makes its record. A program never interrupts itself on one CPU, but the
/// others may interrupt it: hence one each.
#[btf_map]
pub static SENT: Scratch = Scratch::new();

/// Where its stand-in makes it.
#[btf_map]
pub static SENT_NESTED: Scratch = Scratch::new();

/// Where `tcp_receive_reset` makes its record.
#[btf_map]
pub static RECEIVED: Scratch = Scratch::new();

/// Where its stand-in makes it.
#[btf_map]
pub static RECEIVED_NESTED: Scratch = Scratch::new();

/// Which change of state the first program took last; those that make records note it beside them.
#[btf_map]
pub static TAKEN: PerCpuArray<Note, 1> = PerCpuArray::new();

/// Where the probes of untraced resets make theirs.
#[btf_map]
pub static UNTRACED: Scratch = Scratch::new();

/// Where the probe of packet filters makes its own.
#[btf_map]
pub static REJECTED: Scratch = Scratch::new();

/// Where `inet_sock_set_state` makes its record of a failure.
#[btf_map]
pub static FAILED: Scratch = Scratch::new();

/// Where its stand-in makes it.
#[btf_map]
pub static FAILED_NESTED: Scratch = Scratch::new();

/// Resets that the kernel refused, by its number of the reason.
#[btf_map]
pub static REFUSED: PerCpuArray<u64, DROP_REASONS> = PerCpuArray::new();

/// Processes that the kernel chose to kill for want of memory: process id to when, ns since boot.
#[btf_map]
pub static OOM_VICTIMS: LruHashMap<u32, u64, 1024> = LruHashMap::new();

/// Owners of sockets that are dead: start and pid to (wait status, [`Task::flags`]).
#[btf_map]
pub static EXITED: LruHashMap<[u64; 2], [u32; 2], 4096> = LruHashMap::new();

/// Facts of each TCP socket; they die with it.
#[btf_map]
pub static SOCKETS: SkStorage<Facts> = SkStorage::new();

/// Facts of sockets that entered `TIME_WAIT`, each in the slot of its cookie.
///
/// Here and in [`GONE`] an array, in which the newest entry takes its slot: to put one in costs a
/// fraction of what it costs in an LRU hash, and every connection that this end closes does.
#[btf_map]
pub static TIME_WAIT: Array<Waiting, WAITING_SLOTS> = Array::new();

/// How many slots that are; a power of two. Cookies are numbers in a row.
pub const WAITING_SLOTS: usize = 32768;

/// Owners of sockets that were reset and are gone, for the late packets that still come; each in
/// the slot of its endpoints' hash.
#[btf_map]
pub static GONE: Array<Gone, GONE_SLOTS> = Array::new();

/// How many slots that are; a power of two.
pub const GONE_SLOTS: usize = 8192;

/// Processes that the agent was told of: start and pid to the first half of the name.
#[btf_map]
pub static PROCESSES: LruHashMap<[u64; 2], u64, 16384> = LruHashMap::new();

/// The latest of [`PROCESSES`] on this CPU, as key and value in a row.
#[btf_map]
pub static ANNOUNCED: PerCpuArray<[u64; 3], 1> = PerCpuArray::new();

/// Threads that are closing a listening socket: thread id to (local port, time in ns).
#[btf_map]
pub static CLOSING_LISTENER: LruHashMap<u32, [u64; 2], 1024> = LruHashMap::new();

/// Listening sockets found at the start: (network namespace, port).
#[btf_map]
pub static EXISTING_LISTENERS: HashMap<[u32; 2], u32, 16384> = HashMap::new();

/// One sample of (`CLOCK_MONOTONIC` in ns, jiffies) for the agent.
#[btf_map]
pub static CLOCK: Array<[u64; 2], 1> = Array::new();

/// No process.
pub const NO_TASK: Task = Task {
    start_ns: 0,
    cgroup: 0,
    pid: 0,
    tid: 0,
    comm: [0; 16],
    exit_code: 0,
    known_by: 0,
    flags: 0,
    pad: [0; 2],
};

/// Socket storage that accepted sockets inherit from their listener (`BPF_F_CLONE`).
///
/// aya-ebpf's own type takes neither a `sock` from a tracepoint nor the clone flag.
#[repr(C)]
pub struct SkStorage<T> {
    r#type: *const [i32; BPF_MAP_TYPE_SK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    /// `BPF_F_NO_PREALLOC` | `BPF_F_CLONE`
    map_flags: *const [i32; 0x201],
}

// SAFETY: the pointers are placeholders for the loader and never dereferenced.
unsafe impl<T> Sync for SkStorage<T> {}

impl<T> SkStorage<T> {
    /// The definition that the loader reads.
    pub const fn new() -> Self {
        Self {
            r#type: ptr::null(),
            key: ptr::null(),
            value: ptr::null(),
            max_entries: ptr::null(),
            map_flags: ptr::null(),
        }
    }

    #[inline(always)]
    fn lookup(&self, sk: Object, flags: u64) -> Option<&'static mut T> {
        // SAFETY: `sk` is a typed socket by the verifier's own check; the value lives as long as
        // the program runs (RCU) and is written under the socket's lock.
        unsafe {
            bpf_sk_storage_get(
                ptr::from_ref(self).cast_mut().cast::<c_void>(),
                sk.cast_mut().cast::<c_void>(),
                ptr::null_mut(),
                flags,
            )
            .cast::<T>()
            .as_mut()
        }
    }

    /// What is stored; `None` also for sockets in `TIME_WAIT`.
    #[inline(always)]
    pub fn get(&self, sk: Object) -> Option<&'static mut T> {
        self.lookup(sk, 0)
    }

    /// What is stored, zeroed if it is new; `None` if the kernel has no memory for it.
    #[inline(always)]
    pub fn get_or_create(&self, sk: Object) -> Option<&'static mut T> {
        self.lookup(sk, 1)
    }
}
