//! `iter/task_file`: sockets that were open before the agent.
//!
//! Runs twice at the start: first to learn which ports are listened on, then to tag.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_sock_from_file};
use gateway_ebpf_common::event::{known_by, role};

use crate::kernel::{Object, load, member};
use crate::maps::{CLOCK, EXISTING_LISTENERS};
use crate::owner::{self, fact};
use crate::socket::{self, state};

/// Members of `struct bpf_iter__task_file`, fixed by the kernel's ABI for iterators.
const CTX_TASK: u32 = 8;
const CTX_FILE: u32 = 24;

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn existing_listeners(ctx: *mut c_void) -> i32 {
    sample_clock();
    if let Some(sk) = tcp_socket(ctx.cast::<u8>())
        && socket::state_of(sk) == state::LISTEN
    {
        let tcp = socket::tcp(sk);
        if !tcp.is_null() {
            let key = [socket::netns(tcp), u32::from(socket::local_port(tcp))];
            // A full map only leaves the role of a few old connections wrong-guessed as client,
            // so the agent does not see it as certain.
            let _ = EXISTING_LISTENERS.insert(key, 1, 0);
        }
    }
    0
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub extern "C" fn existing_sockets(ctx: *mut c_void) -> i32 {
    let ctx = ctx.cast::<u8>();
    let task = load::<u64>(ctx, CTX_TASK) as Object;
    if task.is_null() {
        return 0;
    }
    let Some(sk) = tcp_socket(ctx) else {
        return 0;
    };
    let tcp = socket::tcp(sk);
    if tcp.is_null() {
        return 0;
    }
    let Some(facts) = owner::facts(sk) else {
        return 0;
    };
    match facts.owner.known_by {
        known_by::NOBODY => {
            owner::existing(&mut facts.owner, task, socket::cgroup(tcp));
            facts.flags |= fact::EXISTING;
            facts.tuple.netns = socket::netns(tcp);
            owner::cookie(sk);
            let key = [facts.tuple.netns, u32::from(socket::local_port(tcp))];
            // SAFETY: a plain integer, not written while this program runs.
            let listened = unsafe { EXISTING_LISTENERS.get(key) }.is_some();
            facts.role = if listened { role::SERVER } else { role::CLIENT };
            owner::announce(&facts.owner, core::ptr::null());
        }
        known_by::EXISTING if facts.owner.pid != member!(task, task_tgid as u32) => {
            facts.owner.known_by = known_by::EXISTING_SHARED;
        }
        // Programs that outlived their agent know the owner; the next agent does not.
        _ => owner::announce(&facts.owner, core::ptr::null()),
    }
    0
}

/// The TCP socket behind the file that the iterator stands on.
#[inline(always)]
fn tcp_socket(ctx: *mut u8) -> Option<Object> {
    let file = load::<u64>(ctx, CTX_FILE) as Object;
    if file.is_null() {
        return None;
    }
    // SAFETY: `file` is typed by the verifier; the helper returns NULL if it is no socket.
    let socket = unsafe { bpf_sock_from_file(file.cast_mut().cast()) }
        .cast::<u8>()
        .cast_const();
    if socket.is_null() {
        return None;
    }
    let sk = member!(socket, socket_sk as u64) as Object;
    if sk.is_null() || !socket::is_inet_tcp(sk) {
        return None;
    }
    Some(sk)
}

/// Lets the agent work out HZ and what a jiffy is.
#[inline(always)]
fn sample_clock() {
    // SAFETY: no arguments.
    let sample = [owner::now(), unsafe { bpf_jiffies64() }];
    let _ = CLOCK.set(0, sample, 0);
}
