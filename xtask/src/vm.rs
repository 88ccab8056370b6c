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

mod archive;
mod cpio;
mod emulator;
mod guest;
mod kernel;
mod matrix;
mod modules;
mod programs;
mod transcript;

pub(crate) use kernel::{ALL, ENDS, Wanted};

use emulator::Emulator;
use kernel::{Kernel, Store};
use matrix::{Matrix, Run};

/// What to run.
#[derive(Debug)]
pub(crate) struct Options<'a> {
    /// The kernels, one after the other.
    pub(crate) kernels: &'a [Wanted],
    /// Whether to look for newer packages of them.
    pub(crate) refresh: bool,
    /// Parts of the names of the tests to run; all when there are none.
    pub(crate) filters: &'a [String],
}

/// Runs the tests on each kernel and prints a table.
///
/// # Errors
/// When something cannot be fetched, built or started, and when any test failed or did not run
/// on a kernel that has what it needs.
pub(crate) fn run(workspace: &Workspace, kit: &Kit, options: &Options<'_>) -> Result<()> {
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
    let kernels = Store::new(folder.join("kernels")).provide(
        options.kernels,
        options.refresh,
        &folder.join("archive"),
        &log,
    )?;
    let emulator = Emulator::provide(
        &dirs,
        &workspace.tools().join("qemu"),
        &folder.join("archive-of-host"),
        &log,
    )?;
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
        "not everything passed on every kernel; the logs are in {}",
        logs.display()
    );
    Ok(())
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
    let lines = emulator.run(
        &kernel.image()?,
        &initrd,
        &logs.join(format!("{}.console.log", kernel.version)),
        &logs.join(format!("{}.log", kernel.version)),
        |line| {
            if line.contains(" FAILED") {
                println!("{line}");
            }
        },
    )?;
    Ok(Run {
        version: kernel.version.clone(),
        series: kernel.series()?,
        transcript: transcript::read(&lines),
    })
}
