//! What `cargo xtask package` made, used as an operator would: `cargo xtask test --package`.
//!
//! Nothing of the build but the packages themselves is used here.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::http;
use crate::netns::Netns;
use crate::scenario::Whole;
use crate::service::wait_for;

mod archive;
mod debian;
mod image;
mod root;
mod unit;

/// Names the folder of the packages.
const PACKAGES: &str = "RESETMON_PACKAGES";
/// Names an archive of a bare Debian's files.
const DEBIAN: &str = "RESETMON_DEBIAN";

/// Where the agent serves unless told otherwise.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 9435);

/// Every row.
static TESTS: &[Whole] = &[
    Whole {
        name: "package_archive_is_whole",
        programs: &["tar", "sha256sum"],
        natively: true,
        run: archive::is_whole,
    },
    Whole {
        name: "package_debian_captures_and_leaves_nothing",
        programs: &["mount", "umount", "unshare", "tar", "dpkg-deb"],
        natively: true,
        run: debian::captures,
    },
    Whole {
        name: "package_service_captures_through_an_upgrade",
        programs: &[
            "mount",
            "umount",
            "unshare",
            "nsenter",
            "tar",
            "dpkg-deb",
            "systemd-nspawn",
        ],
        natively: true,
        run: unit::captures,
    },
    Whole {
        name: "package_image_captures",
        programs: &["runc", "mount", "umount", "tar"],
        natively: true,
        run: image::captures,
    },
];

/// The rows, where there are packages: others do not make any.
pub(crate) fn tests() -> &'static [Whole] {
    if std::env::var_os(PACKAGES).is_some() {
        TESTS
    } else {
        &[]
    }
}

/// The one file of the packages whose name ends so.
fn file(end: &str) -> Result<PathBuf> {
    let folder = std::env::var_os(PACKAGES).context(PACKAGES)?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    ensure!(found.len() == 1, "files that end in {end}: {found:?}");
    found.pop().context("a file")
}

/// Says what has been done and seen, above the line of the row.
fn done(what: impl std::fmt::Display) {
    println!("    {what}");
}

/// What a program says; it must succeed.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{command:?}: {}: {said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(said.into_owned())
}

/// Unpacks an archive of files.
fn unpack(archive: &Path, folder: &Path) -> Result<()> {
    let mut command = Command::new("tar");
    command
        .args(["--extract", "--numeric-owner", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(folder);
    output(&mut command).map(drop)
}

/// A server that takes one connection, hears its first bytes and resets it instead of answering.
struct Resetter {
    listener: TcpListener,
}

impl Resetter {
    fn new(netns: &Netns) -> Result<Self> {
        let listener = netns.enter(|| TcpListener::bind("127.0.0.1:0"))??;
        Ok(Self { listener })
    }

    fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Serves while `client` runs.
    fn during<T>(&self, client: impl FnOnce() -> Result<T>) -> Result<T> {
        std::thread::scope(|scope| {
            let server = scope.spawn(|| -> Result<()> {
                let (mut stream, _) = self.listener.accept()?;
                std::io::Read::read(&mut stream, &mut [0; 64])?;
                reset(stream)
            });
            let result = client()?;
            server.join().ok().context("the server panicked")??;
            Ok(result)
        })
    }
}

fn reset(stream: TcpStream) -> Result<()> {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).context("SO_LINGER")?;
    drop(stream);
    Ok(())
}

/// For bash: asks the server at a port of the loopback and waits for its answer.
fn ask(port: u16) -> String {
    format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3; read -r -u 3; true")
}

/// Waits until a line of the metrics begins with `name` and has each of `labels`.
fn wait_for_metric(netns: &Netns, at: SocketAddr, name: &str, labels: &[&str]) -> Result<String> {
    wait_for(&format!("{name} {labels:?}"), || {
        let page = http::get(netns, at, "/metrics", "text/plain")?.body;
        let found = page
            .lines()
            .find(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
        Ok(found.map(str::to_owned))
    })
}
