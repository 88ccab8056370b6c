//! Hands records over: to the ring buffer, else to an aggregate, else to a tally.

use core::ffi::c_void;

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::helpers::generated::{bpf_map_update_elem, bpf_ringbuf_output};
use gateway_ebpf_common::event::{
    MANY_SEGMENTS, NEVER, ProcessRecord, ResetRecord, Task, failure, flag, kind, role, shape,
};
use gateway_ebpf_common::tally::{Aggregate, AggregateKey, Tally, aspect};

use crate::kernel::{self, Object};
use crate::maps::{
    AGGREGATES_0, AGGREGATES_1, EVENTS, GENERATION, RATE_SLOTS, RATES, SLEEPING, SPARE_0, SPARE_1,
    TALLY,
};
use crate::nesting::Note;
use crate::program;

/// `BPF_NOEXIST`: insert only.
const NO_EXIST: u64 = 1;
/// `BPF_RB_NO_WAKEUP`: the reader is left alone.
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`: the reader is woken, even if it has not read all before.
const FORCE_WAKEUP: u64 = 2;
const SECOND_NS: u64 = 1_000_000_000;
/// Ticks without data that count as silence in an aggregate.
const SILENT_TICKS: u32 = 250;

/// Details of one source, for their limit.
#[repr(C)]
pub struct Rate {
    /// Owner's pid, and network namespace.
    source: [u32; 2],
    /// Kernel reason; direction, shape and failure in a byte each.
    kind: [u32; 2],
    /// The second in which it was counted.
    second: u64,
    /// How many resets.
    count: u64,
}

/// What a program keeps between events; in one place, because each is far from every cache.
#[repr(C)]
pub struct Place {
    /// See [`crate::nesting::takes`].
    taken: Note,
    /// The record that it makes.
    aggregate: Aggregate,
}

/// Where a program makes its record.
pub type Scratch = PerCpuArray<Place, 1>;

/// The note of the program that makes its records there.
#[inline(always)]
pub fn note(scratch: &Scratch) -> Option<*mut Note> {
    // SAFETY: a member of a map value.
    scratch
        .get_ptr_mut(0)
        .map(|place| unsafe { &raw mut (*place).taken })
}

/// Where a reset went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// To the ring buffer, in full.
    Ring,
    /// To an aggregate.
    Aggregate,
    /// To a tally, as a number.
    Tally,
}

/// Adds one to a tally of this CPU.
#[inline(always)]
pub fn count(tally: Tally) {
    if let Some(slot) = TALLY.get_ptr_mut(tally as u32) {
        add_one(slot);
    }
}

/// Adds one, whoever else does at the same time.
#[inline(always)]
pub fn add_one(slot: *mut u64) {
    // SAFETY: `slot` is in a map value. One instruction, because another CPU, or a softirq on this
    // one, may run between a load and a store.
    unsafe {
        core::arch::asm!("lock *(u64 *)({slot} + 0) += {one}", slot = in(reg) slot, one = in(reg) 1u64);
    }
}

/// Makes a reset's record in `scratch` by `fill` and hands it over; counted in `lost` if all else
/// fails.
///
/// `fill` returns false if the reset cannot be described at all.
#[inline(always)]
pub fn reset(
    scratch: &Scratch,
    lost: Tally,
    fill: impl FnOnce(&mut ResetRecord) -> bool,
) -> Delivery {
    record(scratch, kind::RESET, lost, fill)
}

/// The same for a record of `kind`.
#[inline(always)]
pub fn record(
    scratch: &Scratch,
    kind: u32,
    lost: Tally,
    fill: impl FnOnce(&mut ResetRecord) -> bool,
) -> Delivery {
    let Some(place) = scratch.get_ptr_mut(0) else {
        count(lost);
        return Delivery::Tally;
    };
    // SAFETY: a map value of this CPU, which no other program uses; all-zero is a valid value.
    let place = unsafe {
        let place = &raw mut (*place).aggregate;
        core::ptr::write_bytes(place, 0, 1);
        &mut *place
    };
    place.count = 1;
    let record = &mut place.first;
    record.kind = kind;
    record.size = size_of::<ResetRecord>() as u32;
    if !fill(record) {
        count(Tally::Unreadable);
        return Delivery::Tally;
    }
    // The agent pairs these two one by one, so neither may stay away or merge with others.
    let provisional = record.flags & flag::PROVISIONAL != 0;
    let paired = provisional || record.flags & flag::RETRACTS != 0;
    if !paired && is_storm(record) {
        return aggregate(place, Tally::AggregatedStorm, lost);
    }
    // SAFETY: the record is a map value of that size.
    let failed = unsafe {
        bpf_ringbuf_output(
            core::ptr::from_ref(&EVENTS).cast_mut().cast::<c_void>(),
            core::ptr::from_mut(record).cast::<c_void>(),
            size_of::<ResetRecord>() as u64,
            NO_WAKEUP,
        )
    };
    if failed == 0 {
        wake();
        Delivery::Ring
    } else if provisional {
        count(lost);
        Delivery::Tally
    } else {
        aggregate(place, Tally::AggregatedFull, lost)
    }
}

/// Wakes the agent if it sleeps; call after a record was handed over.
///
/// A wake-up is an interrupt to this very CPU, which costs several times all the rest of a reset.
/// So the agent asks for one only when it has found nothing for a while; until then it looks by a
/// timer. It says that it sleeps and then looks once more, we hand over and then look whether it
/// sleeps: one of the two sees the other (handing over ends in an atomic exchange).
#[inline(always)]
fn wake() {
    let Some(sleeping) = SLEEPING.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: a map value that the agent writes.
    if unsafe { sleeping.read_volatile() } == 0 {
        return;
    }
    // Only what goes through the ring buffer can wake; this is thrown away. If it is full, the
    // agent is left to its timer.
    let Some(nothing) = EVENTS.reserve_untyped::<u64>(0) else {
        return;
    };
    // SAFETY: as above. Two CPUs at once wake twice, which does no harm.
    unsafe { sleeping.write_volatile(0) };
    nothing.discard(FORCE_WAKEUP);
}

/// Whether the source of this reset has used up its share of details for this second.
#[inline(always)]
fn is_storm(record: &ResetRecord) -> bool {
    let limit = kernel::detail_rate();
    if limit == 0 {
        return false;
    }
    let source = [record.owner.pid, record.netns];
    let kind = [
        record.reason,
        u32::from(record.direction)
            | u32::from(record.shape) << 8
            | u32::from(record.failure) << 16,
    ];
    let second = record.time_ns / SECOND_NS;
    let wide = |[low, high]: [u32; 2]| u64::from(high) << 32 | u64::from(low);
    let Some(rate) = RATES.get_ptr_mut(slot(wide(source), wide(kind), RATE_SLOTS)) else {
        return false;
    };
    // SAFETY: a value of this CPU; an interruption between two members costs at most some
    // details more or less, never a count.
    let rate = unsafe { &mut *rate };
    let same = rate.source == source && rate.kind == kind;
    if rate.second == second && same {
        rate.count += 1;
        return rate.count > u64::from(limit);
    }
    // A storm keeps its slot from others of the same hash, which are reported in full.
    if rate.second != second || rate.count <= u64::from(limit) {
        *rate = Rate {
            source,
            kind,
            second,
            count: 1,
        };
    }
    false
}

/// The slot of a key of two words among `slots`, a power of two.
#[inline(always)]
pub fn slot(one: u64, other: u64, slots: usize) -> u32 {
    // Multiplicative hashing: odd constants without pattern, and the upper bits of the product.
    let mixed = one.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ other.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    let mixed = mixed ^ mixed >> 29;
    (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32 & (slots as u32 - 1)
}

/// Adds the reset to its aggregate.
#[inline(always)]
fn aggregate(place: &mut Aggregate, why: Tally, lost: Tally) -> Delivery {
    let key = key_of(&place.first);
    let second = match GENERATION.get(0) {
        Some(generation) => *generation & 1 == 1,
        None => false,
    };
    // Two attempts each: between a look and an insertion another CPU may insert.
    let done = if second {
        twice(&AGGREGATES_1, &key, place) || twice(&SPARE_1, &key, place)
    } else {
        twice(&AGGREGATES_0, &key, place) || twice(&SPARE_0, &key, place)
    };
    if done {
        count(why);
        Delivery::Aggregate
    } else {
        count(lost);
        Delivery::Tally
    }
}

type Aggregates<const N: usize> = aya_ebpf::btf_maps::HashMap<AggregateKey, Aggregate, N>;

#[inline(always)]
fn twice<const N: usize>(map: &Aggregates<N>, key: &AggregateKey, place: &mut Aggregate) -> bool {
    add(map, key, place) || add(map, key, place)
}

#[inline(always)]
fn add<const N: usize>(map: &Aggregates<N>, key: &AggregateKey, place: &mut Aggregate) -> bool {
    if let Some(found) = map.get_ptr_mut(key) {
        // SAFETY: `count` is the first member of a map value.
        add_one(unsafe { &raw mut (*found).count });
        return true;
    }
    // SAFETY: key and value are of the map's types; the value is a map value itself.
    let failed = unsafe {
        bpf_map_update_elem(
            core::ptr::from_ref(map).cast_mut().cast::<c_void>(),
            core::ptr::from_ref(key).cast::<c_void>(),
            core::ptr::from_mut(place).cast::<c_void>(),
            NO_EXIST,
        )
    };
    failed == 0
}

/// What the metrics and the cause need of a record.
#[inline(always)]
fn key_of(record: &ResetRecord) -> AggregateKey {
    let server = record.role == role::SERVER && record.shape != shape::NONE;
    let client = record.role == role::CLIENT && record.shape != shape::NONE;
    let mut aspects = 0;
    if record.unread > 0 {
        aspects |= aspect::UNREAD;
    }
    if record.unacked > 0 {
        aspects |= aspect::UNACKED;
    }
    if record.bytes_received > 0 {
        aspects |= aspect::RECEIVED;
    }
    if record.bytes_sent > 0 {
        aspects |= aspect::SENT;
    }
    if record.linger_ticks == 0 {
        aspects |= aspect::LINGER_ZERO;
    }
    if record.linger2 < 0 {
        aspects |= aspect::LINGER2_ABORT;
    }
    if record.probes_out > 0 {
        aspects |= aspect::PROBES;
    }
    if record.closer.flags != 0 {
        aspects |= aspect::EXITING;
    }
    if record.ticks_since_data_in != NEVER
        && record.ticks_since_data_in > SILENT_TICKS
        && record.ticks_since_data_out > SILENT_TICKS
    {
        aspects |= aspect::SILENT;
    }
    if record.fin_received_ns != 0 {
        aspects |= aspect::FIN_RECEIVED;
    }
    let failed = record.failure != failure::NONE;
    if failed && record.data_segs_out >= MANY_SEGMENTS {
        aspects |= aspect::MANY_SEGMENTS;
    }
    if failed && record.ticks_since_data_out != NEVER && record.ticks_since_data_out > SILENT_TICKS
    {
        aspects |= aspect::WAITED;
    }
    AggregateKey {
        owner_start_ns: record.owner.start_ns,
        remote_addr: record.remote_addr,
        local_addr: if server { record.local_addr } else { [0; 4] },
        owner_pid: record.owner.pid,
        closer_pid: record.closer.pid,
        netns: record.netns,
        reason: record.reason,
        flags: record.flags,
        aspects,
        local_port: if server { record.local_port } else { 0 },
        remote_port: if client { record.remote_port } else { 0 },
        direction: record.direction,
        role: record.role,
        state_before: record.state_before,
        shape: record.shape,
        trigger_flags: record.trigger_flags,
        ip_version: record.ip_version,
        failure: record.failure,
        error: if failed { record.socket_error as u8 } else { 0 },
        pad: [0; 4],
    }
}

/// Tells the agent of a process, so that it can read /proc while the process lives; `task` is the
/// current one, or NULL.
#[inline(always)]
pub fn process(time_ns: u64, identity: &Task, task: Object) -> bool {
    let Some(mut entry) = EVENTS.reserve_untyped::<ProcessRecord>(0) else {
        count(Tally::ProcessLost);
        return false;
    };
    // SAFETY: the kernel reserved `size_of::<ProcessRecord>()` bytes, 8-byte aligned; all-zero is a
    // valid record.
    let record = unsafe {
        core::ptr::write_bytes(entry.as_mut_ptr(), 0, 1);
        &mut *entry.as_mut_ptr()
    };
    record.kind = kind::PROCESS;
    record.size = size_of::<ProcessRecord>() as u32;
    record.time_ns = time_ns;
    record.task = *identity;
    if !task.is_null() {
        program::fill(record, task);
    }
    entry.submit(NO_WAKEUP);
    wake();
    true
}
