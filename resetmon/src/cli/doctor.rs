//! `resetmon doctor`: what this kernel and these capabilities allow.
//!
//! Every check is really made: BTF is read, every program is loaded and attached, then let go.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use crate::kernel::attach;
use crate::kernel::capture::{Kernel, check_privilege};
use crate::kernel::conntrack::{self, ConntrackError};
use crate::kernel::object::OBJECT;
use crate::kernel::pin::{self, PinDir, PinError};
use crate::kernel::privilege::{self, NEEDS};
use crate::kernel::probes::{Need, Outcome, Verdict};

/// Options of `resetmon doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Exit with status 1 if anything is degraded
    #[arg(long)]
    strict: bool,
    /// Where `run` would pin programs and maps, as its option of that name
    #[arg(long, value_name = "DIR", default_value = pin::DEFAULT_DIR)]
    pin_dir: PathBuf,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    /// Not used here, and nothing is lost by it.
    Unused,
    Degraded,
    Failed,
}

#[derive(Debug, Serialize)]
struct Check {
    section: &'static str,
    name: String,
    grade: Grade,
    /// What was found.
    found: String,
    /// What is lost, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(section: &'static str, name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            section,
            name: name.into(),
            grade: Grade::Ok,
            found: found.into(),
            lost: None,
            remedy: None,
        }
    }

    fn worse(mut self, grade: Grade, lost: impl Into<String>, remedy: impl Into<String>) -> Self {
        self.grade = grade;
        self.lost = Some(lost.into());
        self.remedy = Some(remedy.into());
        self
    }
}

/// Runs every check and prints them.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let mut checks = Vec::new();
    kernel(&mut checks);
    let kernel = types(&mut checks);
    let privileged = privileges(&mut checks);
    checks.push(pins(&args.pin_dir, &PinDir::check(&args.pin_dir)));
    checks.push(nat(&conntrack::check()));
    match kernel {
        Some(kernel) if privileged => probes(&mut checks, kernel),
        _ => checks.push(
            Check::ok("probes", "all", "not tried, because of the above").worse(
                Grade::Failed,
                "no reset is seen",
                "mend what failed above, then run `resetmon doctor` again",
            ),
        ),
    }
    let worst = checks
        .iter()
        .map(|check| check.grade)
        .max()
        .unwrap_or(Grade::Ok);
    let text = if args.json {
        json(&checks, worst)
    } else {
        text(&checks, worst)
    };
    print!("{text}");
    status(worst, args.strict)
}

fn status(worst: Grade, strict: bool) -> ExitCode {
    match worst {
        Grade::Failed => ExitCode::from(2),
        Grade::Degraded if strict => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}

fn kernel(checks: &mut Vec<Check>) {
    let uname = rustix::system::uname();
    checks.push(Check::ok(
        "kernel",
        "release",
        format!(
            "{} {}",
            uname.release().to_string_lossy(),
            uname.machine().to_string_lossy()
        ),
    ));
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").ok();
    checks.push(lockdown_check(lockdown.as_deref()));
}

/// The kernel marks the mode in force with brackets: `none [integrity] confidentiality`.
fn lockdown_check(text: Option<&str>) -> Check {
    let mode = text.and_then(|text| {
        let (_, rest) = text.split_once('[')?;
        rest.split_once(']').map(|(mode, _)| mode)
    });
    let found = mode.unwrap_or("not known (securityfs is not mounted)");
    let check = Check::ok("kernel", "lockdown", found);
    if mode == Some("confidentiality") {
        return check.worse(
            Grade::Degraded,
            "packet headers cannot be read: resets without a socket have no addresses",
            "boot with lockdown=integrity if you need them",
        );
    }
    check
}

fn privileges(checks: &mut Vec<Check>) -> bool {
    let effective = match privilege::effective() {
        Ok(effective) => effective,
        Err(error) => {
            checks.push(Check::ok("privilege", "capabilities", error).worse(
                Grade::Failed,
                "nothing can be loaded",
                "mount /proc",
            ));
            return false;
        }
    };
    let missing = privilege::missing(&effective);
    let path = std::env::current_exe()
        .map_or_else(|_| "resetmon".to_owned(), |path| path.display().to_string());
    for need in NEEDS {
        let name = need.capability.to_string();
        if effective.contains(&need.capability) {
            checks.push(Check::ok("privilege", name, need.purpose));
        } else if missing.contains(need) {
            checks.push(Check::ok("privilege", name, "missing").worse(
                Grade::Failed,
                format!("cannot {}", need.purpose),
                privilege::remedy(&missing, &path),
            ));
        } else if need.required {
            checks.push(Check::ok(
                "privilege",
                name,
                "CAP_SYS_ADMIN stands in for it",
            ));
        } else if rustix::process::geteuid().is_root()
            && need.capability == caps::Capability::CAP_DAC_READ_SEARCH
        {
            checks.push(Check::ok("privilege", name, "not needed as root"));
        } else {
            checks.push(Check::ok("privilege", name, "missing").worse(
                Grade::Degraded,
                format!("cannot {}", need.purpose),
                privilege::remedy(&[*need], &path),
            ));
        }
    }
    check_privilege().is_ok()
}

/// Whether `run` can leave its programs attached.
fn pins(dir: &Path, usable: &Result<(), PinError>) -> Check {
    match usable {
        Ok(()) => Check::ok("pins", "bpffs", dir.display().to_string()),
        Err(error) => Check::ok("pins", "bpffs", error.to_string()).worse(
            Grade::Degraded,
            "resets between the end of one `resetmon run` and the start of the next",
            "mount -t bpf bpf /sys/fs/bpf, or name a directory on one that is writable with --pin-dir",
        ),
    }
}

/// Whether `nat.conntrack` would work. It is off unless asked for, so nothing is degraded.
fn nat(usable: &Result<(), ConntrackError>) -> Check {
    let unused = |found: String| Check {
        grade: Grade::Unused,
        ..Check::ok("nat", "conntrack", found)
    };
    match usable {
        Ok(()) => Check::ok(
            "nat",
            "conntrack",
            "tells where translated connections lead, with `nat.conntrack: true`",
        ),
        Err(error @ ConntrackError::Absent) => unused(error.to_string()),
        Err(error) => unused(format!(
            "{error}; without it `nat.conntrack: true` tells no upstream of translated connections"
        )),
    }
}

fn types(checks: &mut Vec<Check>) -> Option<Kernel> {
    let kernel = match Kernel::read() {
        Ok(kernel) => kernel,
        Err(error) => {
            checks.push(Check::ok("kernel", "BTF", error.to_string()).worse(
                Grade::Failed,
                "members of kernel structs cannot be found",
                "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
            ));
            return None;
        }
    };
    checks.push(Check::ok("kernel", "BTF", "/sys/kernel/btf/vmlinux"));
    let reason = Check::ok(
        "kernel",
        "reset reasons",
        if kernel.switches.has_reason == 1 {
            "named by the kernel".to_owned()
        } else {
            "not given by this kernel".to_owned()
        },
    );
    checks.push(if kernel.switches.has_reason == 1 {
        reason
    } else {
        reason.worse(
            Grade::Degraded,
            "causes are worked out from the socket's state; resets without a socket are not traced",
            "use Linux 6.10 or newer",
        )
    });
    let mut usable = true;
    for missing in &kernel.missing {
        let grade = if missing.required {
            Grade::Failed
        } else {
            Grade::Degraded
        };
        usable &= !missing.required;
        checks.push(
            Check::ok("kernel", missing.path, missing.why.to_string()).worse(
                grade,
                missing.lost,
                "none: this kernel does not have it",
            ),
        );
    }
    usable.then_some(kernel)
}

fn probes(checks: &mut Vec<Check>, kernel: Kernel) {
    let options = attach::Options {
        ring_buffer_bytes: 1 << 16,
        layout: kernel.layout,
        switches: kernel.switches,
        detail_rate: 0,
        refused_resets: false,
        log_level: 0,
    };
    let attached = match attach::try_attach(kernel.loader, OBJECT, &options, None) {
        Ok(attached) => attached,
        Err(error) => {
            checks.push(Check::ok("probes", "all", error.to_string()).worse(
                Grade::Failed,
                "no reset is seen",
                "see the kernel's log; report the text above with the kernel's release",
            ));
            return;
        }
    };
    for (probe, outcome) in attached.outcomes() {
        let name = format!("{} ({})", probe.name, probe.at);
        checks.push(match outcome {
            Outcome::Attached => Check::ok("probes", name, probe.purpose),
            Outcome::NotNeeded => {
                let mut check = Check::ok("probes", name, probe.not_needed());
                check.grade = Grade::Unused;
                check
            }
            Outcome::Missing | Outcome::Refused(_) => {
                let grade = if probe.need == Need::Required {
                    Grade::Failed
                } else {
                    Grade::Degraded
                };
                Check::ok("probes", name, found(outcome)).worse(
                    grade,
                    probe.without,
                    probe_remedy(outcome),
                )
            }
        });
    }
    if let Verdict::Unusable(why) = attached.verdict() {
        tracing::debug!(?why, "unusable");
    }
}

fn found(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Refused(why) => format!("refused: {why}"),
        _ => "this kernel does not have it".to_owned(),
    }
}

/// ENOTSUPP, which only the kernel's own headers have: of a function where no program can be called.
const NOT_SUPPORTED: &str = "(os error 524)";

fn probe_remedy(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Refused(why) if why.contains(NOT_SUPPORTED) => {
            "a newer kernel: this one calls no programs at functions; on arm64 Linux 6.4 or newer does"
        }
        Outcome::Refused(why) if why.contains("not permitted") => {
            "none with these capabilities: this kernel's policy forbids this kind of program"
        }
        Outcome::Refused(_) => "report the text above with the kernel's release",
        _ => "none: this kernel does not have it",
    }
}

fn conclusion(worst: Grade) -> &'static str {
    match worst {
        Grade::Ok | Grade::Unused => "resetmon works here.",
        Grade::Degraded => "resetmon works here, with the losses named above.",
        Grade::Failed => "resetmon cannot work here; what failed is named above.",
    }
}

fn text(checks: &[Check], worst: Grade) -> String {
    let mut out = String::new();
    let mut section = "";
    for check in checks {
        if check.section != section {
            section = check.section;
            let _ = writeln!(out, "{section}");
        }
        let mark = match check.grade {
            Grade::Ok => "ok      ",
            Grade::Unused => "-       ",
            Grade::Degraded => "degraded",
            Grade::Failed => "FAILED  ",
        };
        let _ = writeln!(out, "  {mark}  {}: {}", check.name, check.found);
        if let Some(lost) = &check.lost {
            let _ = writeln!(out, "            lost: {lost}");
        }
        if let Some(remedy) = &check.remedy {
            let _ = writeln!(out, "            remedy: {remedy}");
        }
    }
    let _ = writeln!(out, "\n{}", conclusion(worst));
    out
}

fn json(checks: &[Check], worst: Grade) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        grade: Grade,
        conclusion: &'static str,
        checks: &'a [Check],
    }
    let report = Report {
        grade: worst,
        conclusion: conclusion(worst),
        checks,
    };
    serde_json::to_string_pretty(&report).map_or_else(|error| error.to_string(), |text| text + "\n")
}

#[cfg(test)]
mod tests;
