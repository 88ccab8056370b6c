//! The eBPF programs, compiled into the agent.

/// The eBPF object as `cargo xtask build` made it: an ELF file with BTF, aligned for its parser.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("RESETMON_BPF_OBJECT"));
