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
}

/// Every capability that resetmon makes use of.
pub const NEEDS: &[Need] = &[
    Need {
        capability: Capability::CAP_BPF,
        purpose: "load programs and create maps",
        required: true,
    },
    Need {
        capability: Capability::CAP_PERFMON,
        purpose: "attach to tracepoints and read kernel memory",
        required: true,
    },
    Need {
        capability: Capability::CAP_SYS_PTRACE,
        purpose: "read the executable, command line and cgroup of other users' processes",
        required: false,
    },
    Need {
        capability: Capability::CAP_DAC_READ_SEARCH,
        purpose: "read /proc entries and configurations of other users when not running as root",
        required: false,
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
}
