//! `cargo xtask run`: builds both sides, then becomes `resetmon`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;

use anyhow::{Result, anyhow};

use crate::command::Invocation;
use crate::ebpf::Kit;
use crate::workspace::Workspace;
use crate::{build, privilege};

/// What `resetmon` is asked when nothing is said.
const DEFAULT: &str = "watch";

/// Builds and runs the agent; returns only when that fails.
///
/// The agent takes the place of this process, so that signals and the terminal are its own.
///
/// # Errors
/// When the build fails or the agent cannot be started.
pub(crate) fn run(
    workspace: &Workspace,
    kit: &Kit,
    release: bool,
    args: &[OsString],
) -> Result<()> {
    build::all(workspace, kit, release)?;
    let call = agent_call(&workspace.agent(release), args);
    if !privilege::is_root() {
        eprintln!("{}", unprivileged_note(&call));
    }
    let error = call.command().exec();
    Err(anyhow!(error).context(format!("cannot run `{call}`")))
}

fn agent_call(agent: &Path, args: &[OsString]) -> Invocation {
    let call = Invocation::new(agent);
    if args.is_empty() {
        call.arg(DEFAULT)
    } else {
        call.args(args)
    }
}

fn unprivileged_note(call: &Invocation) -> String {
    format!(
        "note: you are not root; resetmon needs CAP_BPF and CAP_PERFMON to load its eBPF programs, \
         and CAP_SYS_PTRACE to name the processes of others. To run it as root:\n    sudo {call}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_unless_told_otherwise() {
        let rows: [(&[&str], &str); 3] = [
            (&[], "/t/resetmon watch"),
            (&["doctor"], "/t/resetmon doctor"),
            (&["watch", "--json"], "/t/resetmon watch --json"),
        ];
        for (args, line) in rows {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            assert_eq!(
                agent_call(Path::new("/t/resetmon"), &args).to_string(),
                line
            );
        }
    }

    #[test]
    fn the_note_ends_with_the_line_to_type() {
        let note = unprivileged_note(&Invocation::new("/t/resetmon").arg("watch"));
        assert!(note.ends_with("\n    sudo /t/resetmon watch"), "{note}");
    }
}
