//! `cargo xtask vm`: the live-kernel tests on other kernels, each in a virtual machine.
//!
//! Debian's kernels and, where needed, QEMU are fetched into `target/` with package lists of our
//! own; the machine's packages are left alone.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::command::{Invocation, find_program, search_dirs};
use crate::ebpf::Kit;
use crate::packages::{BUSYBOX, TOOLS};
use crate::workspace::Workspace;
use crate::{build, vm::guest::HostTools};

pub(crate) mod archive;
mod cpio;
mod emulator;
mod guest;
mod kernel;
mod matrix;
mod modules;
mod programs;
mod readme;
mod transcript;

pub(crate) use kernel::{ALL, ENDS, Wanted};

use emulator::{Emulator, Session};
use kernel::{Kernel, Store};
use matrix::{Matrix, Run};
use transcript::Transcript;

/// What to run.
#[derive(Debug)]
pub(crate) struct Options<'a> {
    /// The kernels, one after the other.
    pub(crate) kernels: &'a [Wanted],
    /// Whether to look for newer packages of them.
    pub(crate) refresh: bool,
    /// Parts of the names of the tests to run; all when there are none.
    pub(crate) filters: &'a [String],
    /// Whether to write the README's table of kernels from the run, if all went well.
    pub(crate) readme: bool,
}

/// Runs the tests on each kernel, prints a table and returns how many rows passed on each.
///
/// # Errors
/// When something cannot be fetched, built or started, and when any test failed or did not run
/// on a kernel that has what it needs.
pub(crate) fn run(workspace: &Workspace, kit: &Kit, options: &Options<'_>) -> Result<String> {
    let arch = std::env::consts::ARCH;
    if arch != "x86_64" {
        bail!("the virtual machines are x86_64, and the programs built here are for {arch}");
    }
    let dirs = search_dirs(&std::env::var_os("PATH").unwrap_or_default());
    let folder = workspace.vm();
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs)
        .with_context(|| format!("cannot make the folder {}", logs.display()))?;
    let log = logs.join("fetch.log");
    let kernels = Store::new(folder.join("kernels"))
        .provide(
            options.kernels,
            options.refresh,
            &folder.join("archive"),
            &log,
        )
        .with_context(|| not_fetched("the kernels"))?;
    let emulator = Emulator::provide(
        &dirs,
        &workspace.tools().join("qemu"),
        &folder.join("archive-of-host"),
        &log,
    )
    .with_context(|| not_fetched("QEMU"))?;
    build::object(workspace, kit)?;
    let programs = programs::build(workspace)?;
    let list = Invocation::new(&programs.live)
        .arg("--list")
        .args(options.filters)
        .read()?;
    let asked = matrix::parse_list(&list)?;
    ensure!(!asked.is_empty(), "no test has such a name");

    let tools = host_tools(&dirs)?;
    let user_land = guest::user_land(&programs, &tools, &folder)?.finish();
    let mut runs = Vec::new();
    for kernel in &kernels {
        println!("vm: Linux {}", kernel.version);
        let start = Instant::now();
        let run = boot(
            kernel,
            &emulator,
            &tools,
            &user_land,
            options.filters,
            &folder,
        )?;
        println!("vm: took {:.0} s", start.elapsed().as_secs_f64());
        runs.push(run);
    }
    let matrix = Matrix::new(&asked, &runs);
    println!("\n{matrix}");
    let table = logs.join("table.txt");
    std::fs::write(&table, matrix.to_string())
        .with_context(|| format!("cannot write {}", table.display()))?;
    ensure!(
        matrix.is_good(),
        "{}: not everything passed on every kernel; the logs are in {}",
        matrix.in_brief(),
        logs.display()
    );
    if options.readme {
        let file = workspace.root.join("README.md");
        readme::write(&file, &matrix)?;
        println!("vm: wrote the table of kernels in {}", file.display());
    }
    Ok(matrix.in_brief())
}

/// What is said above the reason why a part of the machines could not be had.
fn not_fetched(what: &str) -> String {
    format!(
        "{what} of the virtual machines cannot be had from Debian's archive (once it can be \
         reached, run this again; `cargo xtask test --no-vm` leaves the machines out)"
    )
}

/// Where the programs of the guest lie on the host.
fn host_tools(dirs: &[PathBuf]) -> Result<HostTools> {
    let find = |name: &str| find_program(name, dirs).with_context(|| format!("{name} is missing"));
    Ok(HostTools {
        busybox: find(BUSYBOX.program)?,
        called: TOOLS
            .iter()
            .map(|tool| find(tool.program))
            .collect::<Result<_>>()?,
        strip: find_program("strip", dirs),
    })
}

/// How often a kernel is booted until its tests begin: a loaded host can keep an emulated machine
/// from starting. Tests that began are not repeated, however they end.
const BOOTS: u32 = 2;

/// Rows of the tests between two signs of life.
const ROWS_A_SIGN: usize = 40;

/// Boots one kernel and reads what it wrote.
fn boot(
    kernel: &Kernel,
    emulator: &Emulator,
    tools: &HostTools,
    user_land: &[u8],
    filters: &[String],
    folder: &Path,
) -> Result<Run> {
    let modules = modules::collect(&kernel.modules()?, &tools.busybox)?;
    let initrd = folder.join("initrd");
    // The kernel unpacks one archive after the other.
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&initrd)?;
        file.write_all(user_land)?;
        file.write_all(&guest::kernel_part(&modules, filters).finish())
    };
    write().with_context(|| format!("cannot write {}", initrd.display()))?;
    let logs = folder.join("logs");
    let console = logs.join(format!("{}.console.log", kernel.version));
    let image = kernel.image()?;
    let once = || {
        let mut rows = 0;
        emulator.run(
            &image,
            &initrd,
            &console,
            &logs.join(format!("{}.log", kernel.version)),
            |line| {
                let failed = line.contains(" FAILED");
                rows += usize::from(failed || line.contains(" ok ("));
                if failed {
                    println!("{line}");
                } else if rows > 0 && rows.is_multiple_of(ROWS_A_SIGN) && line.contains(" ok (") {
                    println!("vm: {rows} rows so far");
                }
            },
        )
    };
    let (transcript, boots) = until_tests_begin(BOOTS, once, |why| {
        println!(
            "vm: Linux {} did not come to its tests ({why}; see {}): booting it once more",
            kernel.version,
            console.display()
        );
    })?;
    Ok(Run {
        version: kernel.version.clone(),
        series: kernel.series()?,
        transcript,
        boots,
    })
}

/// Boots by `once` until the tests begin, at most `most` times; returns what the last boot wrote,
/// and how many there were. `say` is given the reason for each further one.
fn until_tests_begin(
    most: u32,
    mut once: impl FnMut() -> Result<Session>,
    mut say: impl FnMut(&str),
) -> Result<(Transcript, u32)> {
    let mut boots = 1;
    loop {
        let session = once()?;
        let mut transcript = transcript::read(&session.lines);
        if transcript.tests_began || boots >= most {
            transcript.troubles.extend(session.stopped);
            return Ok((transcript, boots));
        }
        say(session.stopped.as_deref().unwrap_or("it ended by itself"));
        boots += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A boot that wrote `text`, and that had to be stopped or not.
    fn session(text: &str, stopped: bool) -> Session {
        Session {
            lines: text.lines().map(str::to_owned).collect(),
            stopped: stopped.then(|| "it was silent".to_owned()),
        }
    }

    #[test]
    fn only_a_boot_without_tests_is_repeated() {
        const NEVER: &str = "@vm kernel 6.1\n@vm begin doctor";
        const BROKE_OFF: &str = "@vm kernel 6.1\n@vm begin live\na v4   FAILED (1 ms)";
        // What each boot writes and whether it was stopped; then how many there are, and whether
        // the last was stopped.
        let rows = [
            (vec![(BROKE_OFF, false)], 1, false),
            (vec![(BROKE_OFF, true)], 1, true),
            (vec![(NEVER, true), (BROKE_OFF, false)], 2, false),
            (vec![("", false), (NEVER, true)], 2, true),
            (vec![(NEVER, true), (BROKE_OFF, true)], 2, true),
        ];
        for (written, boots, stopped) in rows {
            let mut left = written.iter();
            let mut said = 0;
            let (transcript, booted) = until_tests_begin(
                2,
                || {
                    let (text, stopped) = left.next().expect("one boot too many");
                    Ok(session(text, *stopped))
                },
                |_| said += 1,
            )
            .unwrap();
            assert_eq!((booted, said), (boots, boots - 1), "{written:?}");
            assert_eq!(
                transcript.troubles.contains(&"it was silent".to_owned()),
                stopped,
                "{written:?}"
            );
        }
    }
}
