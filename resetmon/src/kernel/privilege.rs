//! What this process may do, and what resetmon needs.

use caps::{CapSet, Capability, CapsHashSet};

/// One capability and why resetmon asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The capability.
    pub capability: Capability,
    /// What it is needed for.
    pub purpose: &'static str,
    /// Whether nothing works without it.
    pub required: bool,
    /// Whether it is kept once the programs are attached.
    pub kept: bool,
}

/// Every capability that resetmon makes use of.
pub const NEEDS: &[Need] = &[
    Need {
        capability: Capability::CAP_BPF,
        purpose: "load programs and create maps",
        required: true,
        kept: false,
    },
    Need {
        capability: Capability::CAP_PERFMON,
        purpose: "attach to tracepoints and read kernel memory",
        required: true,
        kept: false,
    },
    Need {
        capability: Capability::CAP_SYS_PTRACE,
        purpose: "read the executable, command line and cgroup of other users' processes",
        required: false,
        kept: true,
    },
    Need {
        capability: Capability::CAP_DAC_READ_SEARCH,
        purpose: "read /proc entries and configurations of other users when not running as root",
        required: false,
        kept: true,
    },
];

/// The effective capabilities of this process.
///
/// Errors: the kernel does not answer `capget`.
pub fn effective() -> Result<CapsHashSet, String> {
    caps::read(None, CapSet::Effective)
        .map_err(|error| format!("the capabilities of this process cannot be read: {error}"))
}

/// The required capabilities that are not there.
///
/// `CAP_SYS_ADMIN` stands for both (it implies them for `bpf()`).
#[must_use]
pub fn missing(effective: &CapsHashSet) -> Vec<Need> {
    if effective.contains(&Capability::CAP_SYS_ADMIN) {
        return Vec::new();
    }
    NEEDS
        .iter()
        .filter(|need| need.required && !effective.contains(&need.capability))
        .copied()
        .collect()
}

/// How to give them, for an executable at `path`.
#[must_use]
pub fn remedy(missing: &[Need], path: &str) -> String {
    let names: Vec<String> = missing
        .iter()
        .map(|need| need.capability.to_string().to_lowercase())
        .collect();
    format!(
        "run it as root, or give them to the file: setcap {}+ep {path}; in a container: \
         securityContext.capabilities.add: [{}]",
        names.join(","),
        missing
            .iter()
            .map(|need| need
                .capability
                .to_string()
                .trim_start_matches("CAP_")
                .to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    )
}

/// What stands between maps and their reader on kernels that want more than a descriptor.
///
/// With `kernel.unprivileged_bpf_disabled` set, Linux before 5.19 refuses every `bpf()` call
/// without `CAP_BPF`, later ones only those that create maps or load programs.
const FOR_MAPS: [&[Capability]; 3] = [&[], &[Capability::CAP_BPF], &[Capability::CAP_SYS_ADMIN]];

/// Gives up what is not needed once the programs are attached, for this thread and those that it
/// starts from now on; returns what is left.
///
/// `can_read` tries a map: a capability for it is kept only where the kernel insists. Nothing can
/// be gained again, not by executing a file either (`PR_SET_NO_NEW_PRIVS`).
///
/// Errors: the kernel, or a filter of system calls, refuses.
pub fn reduce(can_read: impl Fn() -> bool) -> Result<CapsHashSet, String> {
    let held = forgo()?;
    for for_maps in FOR_MAPS {
        let kept = kept(&held, for_maps);
        caps::set(None, CapSet::Effective, &kept).map_err(|e| failed("effective", &e))?;
        if can_read() {
            caps::set(None, CapSet::Permitted, &kept).map_err(|e| failed("permitted", &e))?;
            return Ok(kept);
        }
    }
    caps::set(None, CapSet::Effective, &held).map_err(|e| failed("effective", &e))?;
    Err("the maps cannot be read with fewer".to_owned())
}

/// Gives up what a thread that reads no maps does not need, but for `more`; returns what is left.
///
/// Errors: the kernel, or a filter of system calls, refuses.
pub fn reduce_to(more: &[Capability]) -> Result<CapsHashSet, String> {
    let kept = kept(&forgo()?, more);
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(|e| failed("capabilities", &e))?;
    }
    Ok(kept)
}

/// Gives up all ways to gain capabilities; returns those that this thread has.
fn forgo() -> Result<CapsHashSet, String> {
    let held = caps::read(None, CapSet::Permitted).map_err(|e| failed("permitted", &e))?;
    rustix::thread::set_no_new_privs(true).map_err(|e| failed("no_new_privs", &e))?;
    // The bounding set needs a capability itself, so it comes before the others.
    if held.contains(&Capability::CAP_SETPCAP) {
        let bound = caps::read(None, CapSet::Bounding).map_err(|e| failed("bounding", &e))?;
        for capability in bound.difference(&kept(&held, &[])) {
            caps::drop(None, CapSet::Bounding, *capability).map_err(|e| failed("bounding", &e))?;
        }
    }
    caps::clear(None, CapSet::Ambient).map_err(|e| failed("ambient", &e))?;
    caps::clear(None, CapSet::Inheritable).map_err(|e| failed("inheritable", &e))?;
    Ok(held)
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> String {
    format!("{what}: {error}")
}

/// What of `held` serves after the start, with `more`.
fn kept(held: &CapsHashSet, more: &[Capability]) -> CapsHashSet {
    let needs = NEEDS.iter().filter(|need| need.kept);
    needs
        .map(|need| need.capability)
        .chain(more.iter().copied())
        .filter(|capability| held.contains(capability))
        .collect()
}

/// Names for a log, in the order of their numbers; `none` without any.
#[must_use]
pub fn names(capabilities: &CapsHashSet) -> String {
    let mut list: Vec<&Capability> = capabilities.iter().collect();
    list.sort_by_key(|capability| capability.index());
    let list: Vec<String> = list.iter().map(ToString::to_string).collect();
    if list.is_empty() {
        "none".to_owned()
    } else {
        list.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(capabilities: &[Capability]) -> CapsHashSet {
        capabilities.iter().copied().collect()
    }

    #[test]
    fn what_is_missing() {
        use Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN};
        let names = |have: &[Capability]| {
            missing(&set(have))
                .iter()
                .map(|need| need.capability)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), [CAP_BPF, CAP_PERFMON]);
        assert_eq!(names(&[CAP_BPF]), [CAP_PERFMON]);
        assert_eq!(names(&[CAP_PERFMON, CAP_NET_ADMIN]), [CAP_BPF]);
        assert_eq!(names(&[CAP_BPF, CAP_PERFMON]), []);
        assert_eq!(names(&[CAP_SYS_ADMIN]), []);
    }

    #[test]
    fn the_remedy_can_be_typed() {
        let text = remedy(&missing(&set(&[])), "/usr/bin/resetmon");
        assert!(
            text.contains("setcap cap_bpf,cap_perfmon+ep /usr/bin/resetmon"),
            "{text}"
        );
        assert!(text.contains("[BPF, PERFMON]"), "{text}");
    }

    #[test]
    fn what_is_kept_after_the_start() {
        use Capability::{
            CAP_BPF, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_PTRACE,
        };
        let kept = |held: &[Capability], more: &[Capability]| names(&kept(&set(held), more));
        assert_eq!(kept(&[], &[CAP_BPF]), "none");
        assert_eq!(kept(&[CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN], &[]), "none");
        assert_eq!(
            kept(&[CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE], &[]),
            "CAP_SYS_PTRACE"
        );
        assert_eq!(
            kept(
                &[CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH],
                &[CAP_BPF]
            ),
            "CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_BPF"
        );
    }
}
