//! The Debian package in a bare Debian without an init: installed, run, upgraded, removed.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::root::Root;
use super::{Resetter, ask, done, file, wait_for_metric};
use crate::service::Service;

/// The configuration of the package.
const CONFIG: &str = "/etc/resetmon/resetmon.yaml";
/// What an operator changes in it.
const CHANGED: &str = "log_level: debug\n";

/// The row.
pub(super) fn captures() -> Result<()> {
    let root = Root::new()?;
    let before = root.files()?;
    let package = root.put(&file(".deb")?)?;
    root.run(&["apt-get", "install", "--yes", package])?;
    let version = root.run(&["resetmon", "--version"])?;
    ensure!(version.contains("eBPF object"), "{version}");
    root.run(&["resetmon", "doctor"])?;
    done(format!("installed by apt: {}", version.trim()));
    root.run(&[
        "bash",
        "-n",
        "/usr/share/bash-completion/completions/resetmon",
    ])?;
    root.run(&["gzip", "--test", "/usr/share/man/man1/resetmon.1.gz"])?;

    let mut first = start(&root, "first")?;
    captured(&root, &first)?;
    first.stop()?;
    let pinned = root.pinned()?;
    ensure!(pinned > 0, "nothing is pinned");
    done(format!("ran, left {pinned} pins for the next"));

    fs::write(root.path(CONFIG), CHANGED)?;
    let package = root.put(&root.newer()?)?;
    root.run(&["apt-get", "install", "--yes", package])?;
    let kept = fs::read_to_string(root.path(CONFIG))?;
    ensure!(
        kept == CHANGED,
        "an upgrade overwrote the configuration: {kept}"
    );
    let mut second = start(&root, "second")?;
    ensure!(second.said()?.contains(" took over "), "{}", second.said()?);
    captured(&root, &second)?;
    done("upgraded: the new agent took the pins over, the configuration is as it was");
    let refusal = root.run(&["apt-get", "remove", "--yes", "resetmon"]);
    let refusal = format!(
        "{:#}",
        refusal.err().context("removed under a running agent")?
    );
    ensure!(refusal.contains("another resetmon holds"), "{refusal}");
    done("not removed while the agent runs");
    second.stop()?;

    root.run(&["apt-get", "remove", "--yes", "resetmon"])?;
    ensure!(root.pinned()? == 0, "{} pins are left", root.pinned()?);
    let left: Vec<String> = root.files()?.difference(&before).cloned().collect();
    ensure!(
        left.iter().all(|path| is_the_operators(path)),
        "removal leaves {left:?}"
    );
    root.run(&["apt-get", "purge", "--yes", "resetmon"])?;
    let left: Vec<String> = root.files()?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "purging leaves {left:?}");
    let lost: Vec<String> = before.difference(&root.files()?).cloned().collect();
    ensure!(lost.is_empty(), "purging took {lost:?}");
    done(format!(
        "removed and purged: no pin is left, and none but the {} files of before",
        before.len()
    ));
    Ok(())
}

/// What only a purge removes: the configuration, and whether the service was enabled.
fn is_the_operators(path: &str) -> bool {
    path.starts_with("etc/resetmon")
        || path.starts_with("etc/systemd/system/multi-user.target.wants")
        || path.starts_with("var/lib/systemd/deb-systemd-helper-enabled")
}

fn start(root: &Root, name: &str) -> Result<Service> {
    let mut command = root.command(&["/usr/bin/resetmon", "run", "--config", CONFIG]);
    Service::start(&mut command, &root.netns, root.folder(), name)
}

/// A connection of Debian's own shell is reset, and the metrics say so.
fn captured(root: &Root, agent: &Service) -> Result<()> {
    let server = Resetter::new(&root.netns)?;
    server.during(|| root.run(&["bash", "-c", &ask(server.port()?)]))?;
    let line = wait_for_metric(
        &root.netns,
        agent.address()?,
        "resetmon_process_resets_total{",
        &[
            "direction=\"received\"",
            "cause=\"aborted_before_response\"",
            "process=\"bash\"",
        ],
    )?;
    done(format!("scraped: {line}"));
    Ok(())
}
