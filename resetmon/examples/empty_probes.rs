//! Attaches the benchmark's empty programs to the tracepoints of resetmon's own, and holds them
//! until standard input ends.

use anyhow::{Context as _, bail};
use aya::programs::BtfTracePoint;
use aya::{Btf, Ebpf};
use resetmon::kernel::probes::{AttachPoint, by_name};

fn main() -> anyhow::Result<()> {
    let Some(object) = std::env::args_os().nth(1) else {
        bail!("usage: empty_probes OBJECT");
    };
    let btf = Btf::from_sys_fs().context("the kernel's BTF cannot be read")?;
    let mut ebpf = Ebpf::load_file(object).context("the object cannot be loaded")?;
    for (name, program) in ebpf.programs_mut() {
        let Some(AttachPoint::Tracepoint(tracepoint)) = by_name(name).map(|probe| probe.at) else {
            bail!("resetmon has no tracepoint program {name}");
        };
        let program: &mut BtfTracePoint = program.try_into()?;
        program
            .load(tracepoint, &btf)
            .and_then(|()| program.attach().map(drop))
            .with_context(|| format!("{name} cannot be attached"))?;
    }
    println!("ready");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).context("standard input")?;
    Ok(())
}
