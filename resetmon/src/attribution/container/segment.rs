//! One part of a cgroup path: whose convention it follows.

/// Length of the ids that OCI container managers make.
const ID_LEN: usize = 64;
/// Longest systemd unit name (`UNIT_NAME_MAX`).
const MAX_UNIT: usize = 255;

/// What a part of a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: String,
    pub(super) runtime: &'static str,
    /// Where the part itself has the pod's uid.
    pub(super) pod: Option<String>,
}

/// Prefixes of `<prefix>-<id>`, as a systemd scope or a plain cgroup. The helpers that live beside
/// a container (`crio-conmon-`, `libpod-conmon-`) do not parse as one: what follows is no id.
const PREFIXES: [(&str, &str); 7] = [
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-payload-", "podman"),
    ("libpod-", "podman"),
    ("buildkit-", "buildkit"),
];

/// The container that `part` names below `parents`, with `below` inside it.
pub(super) fn container(parents: &[&str], part: &str, below: &[&str]) -> Option<Found> {
    prefixed(part)
        .or_else(|| triple(part))
        .or_else(|| bare_id(parents, part))
        .or_else(|| machine(part, below))
        .or_else(|| by_parent(parents, part))
        .or_else(|| lxc(part))
}

/// `docker-<id>.scope`, `crio-<id>`, …
fn prefixed(part: &str) -> Option<Found> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    PREFIXES.iter().find_map(|(prefix, runtime)| {
        let id = name.strip_prefix(prefix).filter(|id| is_id(id))?;
        Some(found(id, runtime))
    })
}

/// `kubepods-burstable-pod<uid>.slice:cri-containerd:<id>`: a path made for systemd, used by a
/// runtime that makes its cgroups itself.
fn triple(part: &str) -> Option<Found> {
    let mut parts = part.splitn(3, ':');
    let (slice, prefix, id) = (parts.next()?, parts.next()?, parts.next()?);
    let mut runtimes = PREFIXES.iter();
    let (_, runtime) = runtimes.find(|(known, _)| known.strip_suffix('-') == Some(prefix))?;
    let fits = is_id(id);
    fits.then(|| Found {
        id: id.to_owned(),
        runtime,
        pod: pod(slice),
    })
}

/// A plain id below a parent that is known to hold containers.
fn bare_id(parents: &[&str], part: &str) -> Option<Found> {
    if !is_id(part) {
        return None;
    }
    let parent = *parents.last()?;
    // Which runtime serves the kubelet here the path does not tell.
    if pod(parent).is_some() {
        return Some(found(part, "cri"));
    }
    let runtime = match parent {
        "docker" | "actions_job" => "docker",
        "k8s.io" | "default" => "containerd",
        "buildkit" => "buildkit",
        // Below the task, not `ecs` itself.
        _ if parents[..parents.len() - 1].contains(&"ecs") => "ecs",
        _ => return None,
    };
    Some(found(part, runtime))
}

/// systemd-nspawn, by its template unit or by the scope that systemd-machined makes. What runs in
/// `supervisor` is nspawn itself; `qemu` and `lxc` are libvirt's.
fn machine(part: &str, below: &[&str]) -> Option<Found> {
    if below.first() == Some(&"supervisor") {
        return None;
    }
    let template = part.strip_prefix("systemd-nspawn@");
    let name = match template.and_then(|name| name.strip_suffix(".service")) {
        Some(name) => unescape(name),
        None => unescape(part.strip_prefix("machine-")?.strip_suffix(".scope")?),
    };
    let libvirt = name.starts_with("qemu-") || name.starts_with("lxc-");
    (!libvirt && is_name(&name)).then_some(Found {
        id: name,
        runtime: "systemd-nspawn",
        pod: None,
    })
}

/// Managers whose containers have names, told by the cgroup above.
fn by_parent(parents: &[&str], part: &str) -> Option<Found> {
    let parent = *parents.last()?;
    match parent {
        "lxc" | "lxc.payload" => is_name(part).then(|| found(part, "lxc")),
        "garden" => is_name(part).then(|| found(part, "garden")),
        // Fargate: the task's id, a dash, the container's number.
        _ if parents.contains(&"ecs") => {
            let (task, number) = part.split_once('-')?;
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            (is_hex(task, 32) && digits).then(|| found(part, "ecs"))
        }
        _ => None,
    }
}

/// `lxc.payload.<name>`; `lxc.monitor.<name>` holds only the monitor.
fn lxc(part: &str) -> Option<Found> {
    let name = part.strip_prefix("lxc.payload.")?;
    is_name(name).then(|| found(name, "lxc"))
}

fn found(id: &str, runtime: &'static str) -> Found {
    Found {
        id: id.to_owned(),
        runtime,
        pod: None,
    }
}

/// The uid of the pod whose cgroup `part` is: `pod<uid>` or `…kubepods…-pod<uid>.slice`, where
/// systemd's form has `_` for `-`. Pods from a file on the node have 32 digits without dashes.
pub(super) fn pod(part: &str) -> Option<String> {
    let uid = match part.strip_suffix(".slice") {
        Some(slice) => {
            let (above, uid) = slice.rsplit_once("-pod")?;
            above.contains("kubepods").then_some(uid)?
        }
        None => part.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    let groups: Vec<usize> = uid.split('-').map(str::len).collect();
    let shape = groups == [8, 4, 4, 4, 12] || groups == [32];
    let digits = uid
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    (shape && digits).then(|| uid.to_ascii_lowercase())
}

/// The systemd unit that `part` is the cgroup of. Slices only group others.
pub(super) fn unit(part: &str) -> Option<&str> {
    // systemd puts `_` before names that would collide with the kernel's files.
    let name = part.strip_prefix('_').unwrap_or(part);
    let (stem, kind) = name.rsplit_once('.')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte);
    let known = matches!(kind, "service" | "scope" | "socket" | "mount" | "swap");
    let fits = !stem.is_empty() && name.len() <= MAX_UNIT && stem.bytes().all(allowed);
    (known && fits).then_some(name)
}

fn is_id(text: &str) -> bool {
    is_hex(text, ID_LEN)
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A name that a person may have given to a container.
fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty()
        && text.len() <= MAX_UNIT
        && !text.starts_with('.')
        && text.bytes().all(allowed)
}

/// systemd's `\xHH` in unit names, to the characters they stand for; other text stays.
fn unescape(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once("\\x") {
        plain.push_str(before);
        let code = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(byte) = code.filter(u8::is_ascii) {
            plain.push(char::from(byte));
            rest = &after[2..];
        } else {
            plain.push_str("\\x");
            rest = after;
        }
    }
    plain.push_str(rest);
    plain
}
