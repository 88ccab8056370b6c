//! Container, pod and systemd unit from a process's cgroup paths.
//!
//! Pure: takes the text of `/proc/PID/cgroup`, of cgroup v1, v2 or both. Container managers name
//! their cgroups by convention only, so a path counts as a container's where both its form and its
//! place fit; a bare hexadecimal name does not.

use std::sync::Arc;

use crate::reset::Container;

mod segment;

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

#[cfg(test)]
mod tests;
