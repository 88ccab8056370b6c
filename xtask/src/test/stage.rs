//! The steps of `cargo xtask test`, and which part of the tests takes which.

use std::fmt;

use super::Part;

/// One step of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Format,
    Dependencies,
    Object,
    Lint,
    LintObject,
    Unit,
    Doc,
    Deploy,
    Live,
    Gateways,
    Scenarios,
    Machines,
    Cluster,
    Containers,
    Packages,
}

impl Stage {
    /// Whether it compiles the agent, which embeds the eBPF object.
    pub(super) fn needs_object(self) -> bool {
        matches!(
            self,
            Self::Lint
                | Self::Unit
                | Self::Doc
                | Self::Deploy
                | Self::Live
                | Self::Gateways
                | Self::Scenarios
                | Self::Machines
                | Self::Cluster
                | Self::Containers
                | Self::Packages
        )
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Format => "format",
            Self::Dependencies => "dependencies",
            Self::Object => "eBPF build",
            Self::Lint => "lints",
            Self::LintObject => "eBPF lints",
            Self::Unit => "unit tests",
            Self::Doc => "doc tests",
            Self::Deploy => "deployment files",
            Self::Live => "live-kernel tests",
            Self::Gateways => "gateway tests",
            Self::Scenarios => "scenario bench",
            Self::Machines => "virtual machines",
            Self::Cluster => "Kubernetes tests",
            Self::Containers => "container tests",
            Self::Packages => "packages",
        })
    }
}

/// The stages of `part`, in order. Filters choose tests, so checks are left out, and the machines too,
/// which take longer than what one looks for.
pub(super) fn stages(part: Part, filtered: bool) -> Vec<Stage> {
    use Stage::{
        Cluster, Containers, Dependencies, Deploy, Doc, Format, Gateways, Lint, LintObject, Live,
        Machines, Object, Packages, Scenarios, Unit,
    };
    let native = [
        Format,
        Dependencies,
        Object,
        Lint,
        LintObject,
        Unit,
        Doc,
        Deploy,
        Live,
        Gateways,
        Scenarios,
    ];
    let all = match part {
        Part::All if !filtered => [native.as_slice(), &[Machines]].concat(),
        Part::All | Part::Native => native.to_vec(),
        Part::Unit => vec![Format, Dependencies, Object, Lint, LintObject, Unit, Doc],
        Part::Live => vec![Object, Live, Gateways, Scenarios],
        Part::Vm => vec![Object, Machines],
        Part::Kubernetes => vec![Object, Cluster],
        Part::Containers => vec![Object, Containers],
        Part::Packages => vec![Object, Packages],
    };
    all.into_iter()
        .filter(|stage| {
            !filtered || !matches!(stage, Format | Dependencies | Lint | LintObject | Doc)
        })
        .collect()
}
