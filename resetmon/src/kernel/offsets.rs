//! Member offsets by name: the globals handed to the programs before they load.
//!
//! What a kernel lacks stays [`ABSENT`], and is listed with what is lost by it.

use gateway_ebpf_common::layout::{ABSENT, Layout, Switches};

use crate::kernel::btf::{Btf, Kind, MemberError};
use crate::kernel::refusals::DropReasons;

mod table;
#[cfg(test)]
mod tests;

/// The tracepoint whose prototype differs between kernels.
const SEND_RESET: &str = "tcp_send_reset";

/// The other one: the victim's thread id first, later its task.
const MARK_VICTIM: &str = "mark_victim";

/// What the running kernel's BTF gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The offsets, [`ABSENT`] for each of [`Resolved::missing`].
    pub layout: Layout,
    /// What the kernel lacks, in the order of [`Layout::MEMBERS`].
    pub missing: Vec<Missing>,
}

impl Resolved {
    /// The missing members without which resetmon cannot work.
    pub fn required_missing(&self) -> impl Iterator<Item = &Missing> {
        self.missing.iter().filter(|missing| missing.required)
    }
}

/// A member that the kernel lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Field of [`Layout`].
    pub field: &'static str,
    /// The member by its usual path, `struct.member[.member…]`.
    pub path: &'static str,
    /// What resetmon cannot tell without it, as a noun.
    pub lost: &'static str,
    /// resetmon cannot work without it.
    pub required: bool,
    /// Why there is no offset.
    pub why: Absence,
}

/// Why a member has no offset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    /// The path leads to no member.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// It is there, but not of the size that the programs load.
    #[error("`{path}` has {} bytes in this kernel, resetmon reads {expected}", found.map_or_else(|| "unknown".to_owned(), |bytes| bytes.to_string()))]
    Size {
        /// The path.
        path: &'static str,
        /// Bytes in this kernel.
        found: Option<u32>,
        /// Bytes that the programs load.
        expected: u32,
    },
}

/// Looks up every member of [`Layout::MEMBERS`].
#[must_use]
pub fn resolve(btf: &Btf) -> Resolved {
    let mut layout = Layout::UNKNOWN;
    let mut missing = Vec::new();
    for ((field, path), need) in Layout::MEMBERS.iter().copied().zip(&table::NEEDS) {
        match locate(btf, path, need) {
            Ok(offset) => {
                layout.set(field, offset);
            }
            Err(why) => missing.push(Missing {
                field,
                path,
                lost: need.lost,
                required: need.required,
                why,
            }),
        }
    }
    Resolved { layout, missing }
}

/// The offset by the usual path, else by an earlier name; the error is that of the usual path.
fn locate(btf: &Btf, path: &'static str, need: &table::Need) -> Result<u32, Absence> {
    at(btf, path, need.bytes).or_else(|usual| {
        need.formerly
            .iter()
            .find_map(|path| at(btf, path, need.bytes).ok())
            .ok_or(usual)
    })
}

fn at(btf: &Btf, path: &'static str, expected: u32) -> Result<u32, Absence> {
    let member = btf.member(path)?;
    // No kernel's struct is that long, but the value must not be taken for an offset.
    if member.size != Some(expected) || member.offset == ABSENT {
        return Err(Absence::Size {
            path,
            found: member.size,
            expected,
        });
    }
    Ok(member.offset)
}

/// Finds the differences between kernels that are not offsets.
///
/// The reason came with Linux 6.10 as the third typed argument of `tcp_send_reset`. In 6.10 and 6.11
/// the verifier does not know that its pointers may be NULL; from 6.12 on the kernel says so by the
/// name `skb__nullable`. Where the BTF does not show that name the careful way is taken: it costs a
/// few nanoseconds a reset, the other way could crash the kernel.
#[must_use]
pub fn switches(btf: &Btf) -> Switches {
    let has_reason = btf.tracepoint(SEND_RESET).is_some_and(|args| {
        args.get(2).is_some_and(|arg| {
            arg.type_name == "sk_rst_reason" && matches!(arg.kind, Some(Kind::Enum | Kind::Enum64))
        })
    });
    let marked = btf
        .function(&format!("__bpf_trace_{SEND_RESET}"))
        .is_some_and(|params| params.iter().any(|param| param.name == "skb__nullable"));
    Switches {
        has_reason: has_reason.into(),
        unmarked_null: (has_reason && !marked).into(),
        accept_two_args: btf
            .function("inet_csk_accept")
            .is_some_and(|params| params.len() == 2)
            .into(),
        preemptible: is_preemptible(btf).into(),
        detail_rate: 0,
        typed_skb_sk: has_direct_member(btf, "sk_buff", "sk").into(),
        victim_is_task: btf
            .tracepoint(MARK_VICTIM)
            .is_some_and(|args| args.first().is_some_and(|arg| arg.kind == Some(Kind::Ptr)))
            .into(),
        refusals: DropReasons::from_btf(btf).refusals(),
    }
}

/// Whether programs at tracepoints can be interrupted by another task, as from Linux 7.0 on.
///
/// Tracepoints then hold off their removal by the fast kind of SRCU (6.15) instead of by disabling
/// preemption; it counts in a variable of each CPU. (Kernels before 6.13 had a variable of that name
/// for idle CPUs.) Where the BTF has no variables a function tells that went with the same rework. In
/// doubt the careful way is taken: it costs a look at the socket's storage.
fn is_preemptible(btf: &Btf) -> bool {
    let has = |name, kind| {
        btf.ids(name)
            .filter_map(|id| btf.record(id))
            .any(|record| record.kind == kind)
    };
    has("srcu_ctr", Kind::Struct)
        && (has("tracepoint_srcu_srcu_data", Kind::Var)
            || !btf.has_function("rcu_read_unlock_trace_special"))
}

/// Whether a struct has the member itself and not in a union: what the verifier takes for a pointer.
fn has_direct_member(btf: &Btf, container: &str, member: &str) -> bool {
    btf.ids(container)
        .filter_map(|id| btf.record(id))
        .filter(|record| record.kind == Kind::Struct)
        .any(|record| {
            record
                .fields()
                .any(|field| btf.string(field.name_offset) == member)
        })
}
