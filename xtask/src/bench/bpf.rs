//! The kernel's statistics of BPF programs: run time and number of runs, each.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::process::to_f64;
use crate::command::Invocation;

/// The switch of the statistics (`Documentation/admin-guide/sysctl/kernel.rst`).
const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";
/// Characters of a program's name that the kernel keeps (`BPF_OBJ_NAME_LEN` less its NUL).
const NAME_LEN: usize = 15;

/// Statistics are on while this lives; the former setting comes back afterwards.
#[derive(Debug)]
pub(crate) struct Counting {
    before: String,
}

impl Counting {
    /// Switches the statistics on.
    ///
    /// # Errors
    /// When the kernel does not allow it.
    pub(crate) fn start() -> Result<Self> {
        let before =
            std::fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        std::fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self { before })
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if let Err(error) = std::fs::write(SWITCH, self.before.trim()) {
            eprintln!(
                "warning: {SWITCH} is no longer {}: {error}",
                self.before.trim()
            );
        }
    }
}

/// One loaded program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    id: u64,
    name: String,
    run_time_ns: u64,
    run_count: u64,
    maps: Vec<u64>,
}

/// Every loaded program.
///
/// # Errors
/// When bpftool fails or says something else than JSON.
pub(crate) fn programs() -> Result<Vec<Program>> {
    let text = Invocation::new("bpftool")
        .args(["--json", "prog", "show"])
        .read()?;
    parse_programs(&text).context("`bpftool --json prog show` is not understood")
}

fn parse_programs(text: &str) -> Option<Vec<Program>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let number = |value: &Value, key: &str| value[key].as_u64().unwrap_or(0);
    let program = |value: &Value| {
        Some(Program {
            id: value["id"].as_u64()?,
            name: value["name"].as_str().unwrap_or_default().to_owned(),
            // bpftool leaves both out while they are 0.
            run_time_ns: number(value, "run_time_ns"),
            run_count: number(value, "run_cnt"),
            maps: value["map_ids"]
                .as_array()
                .map(|ids| ids.iter().filter_map(Value::as_u64).collect())
                .unwrap_or_default(),
        })
    };
    value.as_array()?.iter().map(program).collect()
}

/// The programs that a process holds, by id.
pub(crate) fn held_by(pid: u32) -> BTreeSet<u64> {
    let mut ids = BTreeSet::new();
    let Ok(entries) = Path::new(&format!("/proc/{pid}/fdinfo")).read_dir() else {
        return ids;
    };
    for entry in entries.flatten() {
        // A descriptor closed meanwhile holds nothing.
        if let Ok(info) = std::fs::read_to_string(entry.path()) {
            ids.extend(program_id(&info));
        }
    }
    ids
}

/// The program of a descriptor's /proc/PID/fdinfo entry: one of a program or of a link.
fn program_id(info: &str) -> Option<u64> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("prog_id:"))?;
    line.trim().parse().ok()
}

/// The program called `name` among those with an id in `held`.
pub(crate) fn find<'a>(
    programs: &'a [Program],
    held: &BTreeSet<u64>,
    name: &str,
) -> Option<&'a Program> {
    let cut: String = name.chars().take(NAME_LEN).collect();
    programs
        .iter()
        .find(|program| held.contains(&program.id) && (program.name == name || program.name == cut))
}

/// Nanoseconds of one run between two looks at the same program, and the runs; `None` if it did
/// not run.
pub(crate) fn cost(before: &Program, after: &Program) -> Option<(f64, u64)> {
    let runs = after.run_count.checked_sub(before.run_count)?;
    let time = after.run_time_ns.checked_sub(before.run_time_ns)?;
    (runs > 0).then(|| (to_f64(time) / to_f64(runs), runs))
}

/// Kernel memory of all maps of the programs in `held`, MiB.
///
/// # Errors
/// As [`programs`].
pub(crate) fn map_mib(held: &BTreeSet<u64>) -> Result<f64> {
    let maps: BTreeSet<u64> = programs()?
        .into_iter()
        .filter(|program| held.contains(&program.id))
        .flat_map(|program| program.maps)
        .collect();
    let text = Invocation::new("bpftool")
        .args(["--json", "map", "show"])
        .read()?;
    let bytes =
        parse_map_bytes(&text, &maps).context("`bpftool --json map show` is not understood")?;
    Ok(to_f64(bytes) / 1_048_576.0)
}

fn parse_map_bytes(text: &str, ids: &BTreeSet<u64>) -> Option<u64> {
    let value: Value = serde_json::from_str(text).ok()?;
    let wanted = |map: &&Value| map["id"].as_u64().is_some_and(|id| ids.contains(&id));
    let bytes = |map: &Value| map["bytes_memlock"].as_u64().unwrap_or(0);
    Some(value.as_array()?.iter().filter(wanted).map(bytes).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAMS: &str = r#"[
        {"id": 7, "type": "tracing", "name": "socket_destroye", "run_time_ns": 900, "run_cnt": 3,
         "map_ids": [1, 2]},
        {"id": 8, "type": "tracing", "name": "reset_sent", "map_ids": [2]},
        {"id": 9, "type": "cgroup_device"}]"#;

    #[test]
    fn programs_are_found_by_name_and_holder() {
        let programs = parse_programs(PROGRAMS).unwrap();
        assert_eq!(programs.len(), 3);
        let found = |held: &[u64], name| {
            find(&programs, &held.iter().copied().collect(), name).map(|program| program.id)
        };
        assert_eq!(found(&[7, 8], "socket_destroyed"), Some(7));
        assert_eq!(found(&[8], "socket_destroyed"), None);
        assert_eq!(found(&[7, 8], "reset_sent"), Some(8));
        assert_eq!(found(&[7, 8], "reset"), None);
        assert_eq!(parse_programs("no programs"), None);
        assert_eq!(parse_programs(r#"{"error": "x"}"#), None);
    }

    #[test]
    fn cost_is_of_the_runs_between() {
        let programs = parse_programs(PROGRAMS).unwrap();
        let idle = &programs[1];
        let zero = Program {
            run_time_ns: 300,
            run_count: 1,
            ..programs[0].clone()
        };
        assert_eq!(cost(&zero, &programs[0]), Some((300.0, 2)));
        assert_eq!(cost(idle, idle), None);
        // Another program under the same id would count backwards.
        assert_eq!(cost(&programs[0], &zero), None);
    }

    #[test]
    fn descriptors_of_programs_and_links_name_the_program() {
        let rows = [
            (
                "pos:\t0\nprog_type:\t26\nprog_id:\t4040\nrun_cnt:\t0\n",
                Some(4040),
            ),
            (
                "link_type:\traw_tracepoint\nlink_id:\t3\nprog_id:\t12\n",
                Some(12),
            ),
            ("pos:\t0\nmap_id:\t5\n", None),
            ("prog_id:\tx\n", None),
        ];
        for (info, id) in rows {
            assert_eq!(program_id(info), id, "{info}");
        }
    }

    #[test]
    fn memory_is_of_our_maps_only() {
        let text = r#"[{"id": 1, "bytes_memlock": 100}, {"id": 2, "bytes_memlock": 20},
                       {"id": 3, "bytes_memlock": 5}, {"id": 4}]"#;
        assert_eq!(parse_map_bytes(text, &[1, 3, 4].into()), Some(105));
        assert_eq!(parse_map_bytes("", &[1].into()), None);
    }
}
