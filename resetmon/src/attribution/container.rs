//! Container, pod and systemd unit from a process's cgroup paths.
//!
//! Pure: takes the text of `/proc/PID/cgroup`, of cgroup v1, v2 or both. Container managers name
//! their cgroups by convention only, so a path counts as a container's where both its form and its
//! place fit; a bare hexadecimal name does not.

use std::sync::Arc;

use crate::reset::Container;

mod segment;

/// Longest path of a cgroup that is kept, bytes.
const MAX_FOLDER: usize = 1024;

/// What the cgroup paths say of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CgroupFacts {
    /// The innermost container.
    pub container: Option<Container>,
    /// The systemd unit, where there is no container.
    pub unit: Option<Arc<str>>,
}

/// The facts in `text`, lines of `hierarchy:controllers:path`. Lines of another form are skipped.
#[must_use]
pub fn container_of(text: &str) -> CgroupFacts {
    let mut paths: Vec<(u8, &str)> = text.lines().filter_map(path_of).collect();
    // v2 first, then systemd's own hierarchy; the controllers of v1 may lag behind or stay at the root.
    paths.sort_by_key(|(rank, _)| *rank);
    let container = paths.iter().find_map(|(_, path)| container_in(path));
    let unit = if container.is_none() {
        paths.iter().find_map(|(_, path)| unit_in(path))
    } else {
        None
    };
    CgroupFacts { container, unit }
}

fn path_of(line: &str) -> Option<(u8, &str)> {
    let mut parts = line.splitn(3, ':');
    let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    // The kernel marks a removed cgroup so.
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    let rank = match controllers {
        "" => 0,
        "name=systemd" => 1,
        _ => 2,
    };
    Some((rank, path))
}

/// The innermost container on `path`: in nested set-ups that is the one the process is in.
fn container_in(path: &str) -> Option<Container> {
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for index in (0..segments.len()).rev() {
        let (parents, below) = (&segments[..index], &segments[index + 1..]);
        if let Some(found) = segment::container(parents, segments[index], below) {
            let pod = found
                .pod
                .or_else(|| parents.iter().rev().find_map(|part| segment::pod(part)));
            return Some(Container {
                id: Arc::from(found.id),
                runtime: found.runtime,
                pod_uid: pod.map(Arc::from),
                names: None,
            });
        }
    }
    None
}

/// The innermost unit on `path`; `init.scope` gives way, as it only marks the manager itself.
fn unit_in(path: &str) -> Option<Arc<str>> {
    let units = || path.split('/').rev().filter_map(segment::unit);
    let unit = units()
        .find(|unit| *unit != "init.scope")
        .or_else(|| units().next())?;
    Some(Arc::from(unit))
}

/// Folder of the cgroup that limits the memory of a process, below the mount of cgroups, from the text
/// of its `/proc/PID/cgroup`: that of version 1 where it has the memory controller.
///
/// `None` also for a path of another cgroup namespace, which leads nowhere from here, and for the root,
/// which has no limit.
#[must_use]
pub fn memory_folder(text: &str) -> Option<String> {
    let mut lines = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let is_memory = |names: &str| names.split(',').any(|name| name == "memory");
    let folder = match lines.clone().find(|(names, _)| is_memory(names)) {
        Some((_, "/")) => return None,
        Some((_, path)) => format!("memory{path}"),
        None => {
            let (_, path) = lines.find(|(names, _)| names.is_empty())?;
            path.trim_start_matches('/').to_owned()
        }
    };
    let leads_up = folder.split('/').any(|part| part == "..");
    (!folder.is_empty() && !leads_up && folder.len() <= MAX_FOLDER).then_some(folder)
}

#[cfg(test)]
mod tests;
