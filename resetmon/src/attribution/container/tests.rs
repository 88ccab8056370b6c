use super::*;

const ID: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
const ID2: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
const UID: &str = "1b2c3d4e-0000-4111-8222-99aabbccddee";
const UID_: &str = "1b2c3d4e_0000_4111_8222_99aabbccddee";
const STATIC: &str = "0123456789abcdef0123456789abcdef";

/// The facts as `runtime id pod`, else the unit, else `-`. Ids are shortened to their names here.
fn facts(text: &str) -> String {
    let found = container_of(text);
    assert!(
        found.container.is_none() || found.unit.is_none(),
        "{found:?}"
    );
    let shown = match (found.container, found.unit) {
        (Some(container), _) => {
            let pod = container
                .pod_uid
                .map_or(String::new(), |uid| format!(" {uid}"));
            format!("{} {}{pod}", container.runtime, container.id)
        }
        (None, Some(unit)) => unit.to_string(),
        (None, None) => "-".to_owned(),
    };
    [(ID, "ID"), (ID2, "ID2"), (UID, "UID"), (STATIC, "STATIC")]
        .iter()
        .fold(shown, |shown, (long, short)| shown.replace(long, short))
}

fn filled(template: &str) -> String {
    [
        ("ID2", ID2),
        ("UID_", UID_),
        ("UID", UID),
        ("ID", ID),
        ("STATIC", STATIC),
    ]
    .iter()
    .fold(template.to_owned(), |text, (short, long)| {
        text.replace(&format!("<{short}>"), long)
    })
}

#[test]
fn paths_of_container_managers() {
    for (path, expected) in [
        // Docker: systemd and cgroupfs drivers, rootless, systemd within, Docker in Docker.
        ("/system.slice/docker-<ID>.scope", "docker ID"),
        ("/docker/<ID>", "docker ID"),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-<ID>.scope",
            "docker ID",
        ),
        ("/docker/<ID>/system.slice/nginx.service", "docker ID"),
        ("/docker/<ID>/init.scope", "docker ID"),
        ("/docker/<ID>/docker/<ID2>", "docker ID2"),
        ("/actions_job/<ID>", "docker ID"),
        ("/system.slice/docker-<ID>.scope (deleted)", "docker ID"),
        ("/../../system.slice/docker-<ID>.scope", "docker ID"),
        // containerd below the kubelet.
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<UID_>.slice/cri-containerd-<ID>.scope",
            "containerd ID UID",
        ),
        (
            "/kubepods.slice/kubepods-pod<UID_>.slice/cri-containerd-<ID>.scope",
            "containerd ID UID",
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod<STATIC>.slice/cri-containerd-<ID>.scope",
            "containerd ID STATIC",
        ),
        ("/kubepods/burstable/pod<UID>/<ID>", "cri ID UID"),
        ("/kubepods/pod<UID>/<ID>", "cri ID UID"),
        ("/kubepods/besteffort/pod<STATIC>/<ID>", "cri ID STATIC"),
        (
            "/k3s.service/kubepods/besteffort/pod<UID>/<ID>",
            "cri ID UID",
        ),
        (
            "/system.slice/containerd.service/kubepods-burstable-pod<UID_>.slice:cri-containerd:<ID>",
            "containerd ID UID",
        ),
        // kind: a kubelet within a container.
        (
            "/docker/<ID>/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod<UID_>.slice/cri-containerd-<ID2>.scope",
            "containerd ID2 UID",
        ),
        (
            "/docker/<ID>/kubelet/kubepods/burstable/pod<UID>/<ID2>",
            "cri ID2 UID",
        ),
        // containerd alone.
        ("/system.slice/nerdctl-<ID>.scope", "containerd ID"),
        ("/default/<ID>", "containerd ID"),
        ("/k8s.io/<ID>", "containerd ID"),
        // CRI-O.
        (
            "/kubepods.slice/kubepods-pod<UID_>.slice/crio-<ID>.scope",
            "cri-o ID UID",
        ),
        ("/kubepods/burstable/pod<UID>/crio-<ID>", "cri-o ID UID"),
        (
            "/kubepods.slice/kubepods-pod<UID_>.slice/crio-<ID>.scope/container",
            "cri-o ID UID",
        ),
        // Podman.
        ("/machine.slice/libpod-<ID>.scope", "podman ID"),
        ("/machine.slice/libpod-<ID>.scope/container", "podman ID"),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<ID>.scope/container",
            "podman ID",
        ),
        ("/system.slice/web.service/libpod-payload-<ID>", "podman ID"),
        ("/libpod_parent/libpod-<ID>", "podman ID"),
        // Amazon ECS on instances and on Fargate.
        ("/ecs/<STATIC>/<ID>", "ecs ID"),
        ("/ecs/cluster/<STATIC>/<ID>", "ecs ID"),
        ("/ecs/<STATIC>/<STATIC>-1234567890", "ecs STATIC-1234567890"),
        (
            "/ecstasks.slice/ecstasks-<STATIC>.slice/docker-<ID>.scope",
            "docker ID",
        ),
        // LXC, systemd-nspawn, Garden.
        ("/lxc/web-1", "lxc web-1"),
        ("/lxc/101/ns/system.slice/nginx.service", "lxc 101"),
        ("/lxc.payload.web-1/system.slice/nginx.service", "lxc web-1"),
        ("/lxc.payload/web", "lxc web"),
        (
            "/machine.slice/systemd-nspawn@deb.service/payload/init.scope",
            "systemd-nspawn deb",
        ),
        (
            "/machine.slice/machine-my\\x2ddeb.scope/payload",
            "systemd-nspawn my-deb",
        ),
        (
            "/garden/0a1b2c3d-1111-2222-7333-aabb",
            "garden 0a1b2c3d-1111-2222-7333-aabb",
        ),
        ("/system.slice/garden.service/garden/h1", "garden h1"),
    ] {
        assert_eq!(facts(&format!("0::{}\n", filled(path))), expected, "{path}");
    }
}

#[test]
fn units() {
    for (path, expected) in [
        ("/system.slice/nginx.service", "nginx.service"),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            "getty@tty1.service",
        ),
        ("/system.slice/a\\x2db.service", "a\\x2db.service"),
        ("/system.slice/_cpu.service", "cpu.service"),
        (
            "/user.slice/user-1000.slice/session-3.scope",
            "session-3.scope",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.service",
            "app-x.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            "user@1000.service",
        ),
        ("/init.scope", "init.scope"),
        ("/system.slice/nginx.service/workers", "nginx.service"),
        ("/system.slice/dbus.socket", "dbus.socket"),
        ("/system.slice/containerd.service", "containerd.service"),
        ("/system.slice/nginx.service (deleted)", "nginx.service"),
        ("/user.slice", "-"),
        ("/system.slice/nginx.timer", "-"),
        ("/system.slice/.service", "-"),
        ("/system.slice/a b.service", "-"),
    ] {
        assert_eq!(facts(&format!("0::{path}\n")), expected, "{path}");
    }
}

#[test]
fn near_misses_are_no_containers() {
    let short = &ID[1..];
    let upper = ID.to_uppercase();
    let long = "x".repeat(300);
    for (path, expected) in [
        // An id where no manager is known to put one.
        (format!("/{ID}"), "-"),
        (format!("/user.slice/{ID}"), "-"),
        (format!("/system.slice/build.service/{ID}"), "build.service"),
        (format!("/podman/{ID}"), "-"),
        (format!("/pod1234/{ID}"), "-"),
        (format!("/kubepods-podx.slice/{ID}"), "-"),
        // Not an id.
        (format!("/docker/{short}"), "-"),
        (format!("/docker/{upper}"), "-"),
        (format!("/docker/{short}g"), "-"),
        ("/docker/buildx".to_owned(), "-"),
        ("/docker".to_owned(), "-"),
        (format!("/system.slice/docker-{short}.scope"), "docker-"),
        ("/system.slice/docker.service".to_owned(), "docker.service"),
        (format!("/kubepods/burstable/pod{UID}"), "-"),
        // Monitors beside a container.
        (format!("/kubepods/crio-conmon-{ID}"), "-"),
        (
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            "libpod-conmon-",
        ),
        ("/lxc.monitor.web".to_owned(), "-"),
        (
            "/machine.slice/systemd-nspawn@deb.service/supervisor".to_owned(),
            "systemd-nspawn@deb",
        ),
        // Virtual machines.
        (
            "/machine.slice/machine-qemu\\x2d1\\x2dweb.scope".to_owned(),
            "machine-qemu",
        ),
        // Odd characters.
        ("/lxc/a b".to_owned(), "-"),
        ("/lxc/..".to_owned(), "-"),
        (format!("/lxc/{long}"), "-"),
        ("/lxc/\u{fffd}\u{1b}[2J".to_owned(), "-"),
        (
            "/machine.slice/machine-a\\xzz\\x.scope".to_owned(),
            "machine-a",
        ),
        (
            "/machine.slice/machine-a\\x2f.scope".to_owned(),
            "machine-a",
        ),
        ("/machine.slice/machine-\\xé.scope".to_owned(), "-"),
        (format!("/x.slice:cri-containerd:{short}"), "-"),
        (format!("/x.slice:unknown:{ID}"), "-"),
        (format!("/ecs/{STATIC}/{STATIC}-"), "-"),
        (format!("/ecs/{STATIC}/{STATIC}-1x"), "-"),
    ] {
        let found = facts(&format!("0::{path}\n"));
        let right = if expected == "-" {
            found == "-"
        } else {
            found.starts_with(expected)
        };
        assert!(right, "{path}: {found}");
    }
}

#[test]
fn lines_of_all_hierarchies() {
    let docker = format!("/docker/{ID}");
    for (text, expected) in [
        (String::new(), "-"),
        ("\n\n".to_owned(), "-"),
        ("0::/\n".to_owned(), "-"),
        ("0::\n".to_owned(), "-"),
        ("nonsense\n0\n0:\n::::\n".to_owned(), "-"),
        // v1: any controller may have it, others stay at the root.
        (
            format!("12:cpu,cpuacct:/\n4:memory:{docker}\n1:name=systemd:/\n"),
            "docker ID",
        ),
        // Hybrid: v2 has only the unit or nothing, v1 the container.
        (
            format!(
                "9:pids:{docker}\n1:name=systemd:{docker}\n0::/system.slice/containerd.service\n"
            ),
            "docker ID",
        ),
        (
            "9:pids:/system.slice/b.service\n1:name=systemd:/system.slice/a.service\n0::/\n"
                .to_owned(),
            "a.service",
        ),
        (
            "9:pids:/system.slice/b.service\n0::/system.slice/c.service\n".to_owned(),
            "c.service",
        ),
        // A colon within the path.
        (
            format!("0::/system.slice/a:b/docker-{ID}.scope\n"),
            "docker ID",
        ),
        // No line break at the end, a carriage return, NUL.
        (format!("0::{docker}"), "docker ID"),
        (format!("0::{docker}\r\n"), "docker ID"),
        ("0::/a\0b.service\n".to_owned(), "-"),
    ] {
        assert_eq!(facts(&text), expected, "{text:?}");
    }
}

#[test]
fn pods_need_the_form_of_a_uid() {
    for (part, expected) in [
        (format!("pod{UID}"), Some(UID)),
        (format!("pod{UID_}"), Some(UID)),
        (format!("pod{STATIC}"), Some(STATIC)),
        (format!("kubepods-pod{UID_}.slice"), Some(UID)),
        (format!("a-kubepods-burstable-pod{UID_}.slice"), Some(UID)),
        (format!("other-pod{UID_}.slice"), None),
        (format!("pod{}", &UID[1..]), None),
        (format!("pod{}", &STATIC[1..]), None),
        (format!("pod{}g", &STATIC[1..]), None),
        ("pod".to_owned(), None),
        ("pods".to_owned(), None),
        ("kubepods.slice".to_owned(), None),
    ] {
        assert_eq!(segment::pod(&part).as_deref(), expected, "{part}");
    }
}

#[test]
fn the_folder_that_limits_memory() {
    let long = format!("0::/{}", "a".repeat(MAX_FOLDER + 1));
    let table = [
        (
            "0::/system.slice/nginx.service",
            Some("system.slice/nginx.service"),
        ),
        ("0::/", None),
        ("5:memory:/\n0::/pod", None),
        ("5:cpu,memory:/pod\n0::/other", Some("memory/pod")),
        ("0::/other\n5:memory:/a:b", Some("memory/a:b")),
        ("5:memory2:/pod\n0::/other", Some("other")),
        ("5:cpu:/pod", None),
        ("0::/../../pod", None),
        ("0::/a..b", Some("a..b")),
        ("no lines of it", None),
        (&long, None),
    ];
    for (text, expected) in table {
        assert_eq!(memory_folder(text).as_deref(), expected, "{text}");
    }
}
