//! `/proc/PID/cgroup`.

use resetmon::attribution::container::container_of;

use crate::mutate::{Pool, steers};
use crate::random::Random;
use crate::run::Target;

/// Files as container managers and systemd make them.
const SEEDS: &[&str] = &[
    "0::/\n",
    "0::/init.scope\n",
    "0::/system.slice/nginx.service\n",
    "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-org.gnome.Terminal.slice/vte-spawn-1b2c3d4e-0000-4111-8222-99aabbccddee.scope\n",
    "0::/system.slice/docker-0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9.scope\n",
    "0::/docker/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9/init.scope\n",
    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b2c3d4e_0000_4111_8222_99aabbccddee.slice/cri-containerd-0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9.scope\n",
    "0::/kubepods/besteffort/pod1b2c3d4e-0000-4111-8222-99aabbccddee/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9\n",
    "0::/kubepods/pod0123456789abcdef0123456789abcdef/crio-0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9 (deleted)\n",
    "0::/system.slice/containerd.service/kubepods-burstable-pod1b2c3d4e_0000_4111_8222_99aabbccddee.slice:cri-containerd:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9\n",
    "0::/machine.slice/libpod-0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9.scope/container\n",
    "0::/machine.slice/systemd-nspawn@my\\x2dbox.service/payload\n",
    "0::/machine.slice/machine-web\\x2d1.scope/system.slice/ssh.service\n",
    "0::/lxc.payload.web/system.slice\n",
    "0::/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-1234567890\n",
    "13:pids:/docker/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9\n12:cpu,cpuacct:/docker/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9\n1:name=systemd:/docker/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9\n",
    "12:memory:/\n1:name=systemd:/system.slice/ssh.service\n0::/system.slice/ssh.service\n",
];

const TOKENS: &[&[u8]] = &[
    b"/",
    b"//",
    b"/../",
    b":",
    b"::",
    b"0::/",
    b"1:name=systemd:/",
    b"\n",
    b" (deleted)",
    b"docker-",
    b".scope",
    b".service",
    b".slice",
    b"kubepods",
    b"-pod",
    b"pod",
    b"crio-",
    b"cri-containerd-",
    b"libpod-",
    b"\\x2d",
    b"\\x",
    b"\\xff",
    b"ecs",
    b"/lxc/",
    b"lxc.payload.",
    b"garden",
    b"supervisor",
    b"machine-",
    b"systemd-nspawn@",
    b"k8s.io",
    b"_",
    b"\x1b[31m",
    b"\xff",
    b"\xc3",
    b"\xe2\x80\xae",
    b"0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9",
    b"1b2c3d4e-0000-4111-8222-99aabbccddee",
    b"0123456789abcdef0123456789abcdef",
];

const RUNTIMES: &[&str] = &[
    "docker",
    "containerd",
    "cri-o",
    "podman",
    "buildkit",
    "cri",
    "ecs",
    "systemd-nspawn",
    "lxc",
    "garden",
];

/// Damaged cgroup files.
#[derive(Debug)]
pub(crate) struct Paths {
    pool: Pool,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            pool: Pool::new(SEEDS.iter().map(|seed| seed.as_bytes()), TOKENS, 8192),
        }
    }
}

impl Target for Paths {
    const NAME: &'static str = "cgroup";
    const QUICK: u64 = 40_000;
    const REFUSES: bool = true;
    type Input = String;

    fn make(&mut self, random: &mut Random) -> String {
        String::from_utf8_lossy(&self.pool.make(random)).into_owned()
    }

    fn check(&mut self, text: &String) -> bool {
        let facts = container_of(text);
        assert!(facts.container.is_none() || facts.unit.is_none());
        // What is no line of the format changes nothing.
        assert_eq!(container_of(&format!("no line\n{text}")), facts);
        if let Some(container) = &facts.container {
            self.pool.keep(text.as_bytes());
            assert!(
                RUNTIMES.contains(&container.runtime),
                "{}",
                container.runtime
            );
            label(&container.id);
            if let Some(uid) = &container.pod_uid {
                let hex = |byte: u8| {
                    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-'
                };
                assert!(
                    [36, 32].contains(&uid.len()) && uid.bytes().all(hex),
                    "{uid}"
                );
            }
        }
        if let Some(unit) = &facts.unit {
            label(unit);
            assert!(text.contains(&**unit));
        }
        facts.container.is_some() || facts.unit.is_some()
    }
}

fn label(text: &str) {
    assert!(!text.is_empty() && text.len() <= 255, "{text:?}");
    assert!(!text.contains(steers) && !text.contains('/'), "{text:?}");
}
