//! A network namespace of its own for each scenario, with the loopback up.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use jiff::Timestamp;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};
use serde_json::Value;

/// Most by which an event's time, reckoned from the kernel's clock, may differ from ours.
const CLOCKS_APART: Duration = Duration::from_millis(10);

/// A network namespace. It lives as long as this value or a process in it.
#[derive(Clone, Debug)]
pub(crate) struct Netns {
    file: Arc<OwnedFd>,
    inode: u32,
    made: Timestamp,
}

impl Netns {
    /// A new namespace, empty but for the loopback interface.
    pub(crate) fn new() -> Result<Self> {
        let made = Timestamp::now() - CLOCKS_APART;
        let namespace = on_a_thread(|| {
            // SAFETY: the thread is ours alone and ends here; it shares no file descriptors' meaning
            // with others by CLONE_NEWNET.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
                .context("make a network namespace: needs root (CAP_SYS_ADMIN)")?;
            let file =
                File::open("/proc/thread-self/ns/net").context("/proc/thread-self/ns/net")?;
            let inode = u32::try_from(file.metadata()?.ino()).context("inode of the namespace")?;
            Ok(Self {
                file: Arc::new(file.into()),
                inode,
                made,
            })
        })?;
        namespace.enter(|| set_up("lo"))??;
        Ok(namespace)
    }

    /// Its inode number.
    pub(crate) fn inode(&self) -> u32 {
        self.inode
    }

    /// What names the namespace to other programs, as `ip`.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Whether an event is of this namespace: of its inode number, and not of one that had the
    /// number before, for another run of these tests, and is reported only now.
    pub(crate) fn has(&self, event: &Value) -> bool {
        let time = || event["time"].as_str()?.parse::<Timestamp>().ok();
        event["netns"] == self.inode && time().is_none_or(|time| time >= self.made)
    }

    /// Runs `work` in the namespace. Sockets made there belong to it for good.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_a_thread(|| {
            rustix::thread::move_into_link_name_space(
                self.file.as_fd(),
                Some(LinkNameSpaceType::Network),
            )
            .context("enter a network namespace")?;
            Ok(work())
        })
    }

    /// Makes `command` run in the namespace.
    pub(crate) fn run_in<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let file = Arc::clone(&self.file);
        // SAFETY: between fork and exec only setns is called, which is async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                rustix::thread::move_into_link_name_space(
                    file.as_fd(),
                    Some(LinkNameSpaceType::Network),
                )
                .map_err(Into::into)
            })
        }
    }

    /// Sets a value under /proc/sys/net.
    pub(crate) fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.enter(|| std::fs::write(format!("/proc/sys/net/{name}"), value))?
            .with_context(|| format!("set net/{name} to {value}"))
    }

    /// Adds nft rules.
    pub(crate) fn nft(&self, rules: &str) -> Result<()> {
        let mut command = Command::new("nft");
        let output = self
            .run_in(command.arg(rules))
            .output()
            .context("run nft")?;
        if !output.status.success() {
            bail!("nft {rules}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// The namespace's own count of resets sent (`OutRsts`).
    pub(crate) fn resets_sent(&self) -> Result<u64> {
        let text = self.enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))??;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
        let (names, values) = (lines.next(), lines.next());
        names
            .zip(values)
            .and_then(|(names, values)| {
                let at = names.split(' ').position(|name| name == "OutRsts")?;
                values.split(' ').nth(at)?.parse().ok()
            })
            .context("no Tcp OutRsts in /proc/net/snmp")
    }
}

/// Runs `work` on a thread that ends with it, so that its namespace is nobody else's.
fn on_a_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .map_err(|_| anyhow!("a thread in a namespace panicked"))?
}

/// Brings an interface of the current namespace up.
pub(crate) fn set_up(interface: &str) -> Result<()> {
    let socket = control(AddressFamily::INET)?;
    let mut request = request(interface);
    request.ifr_ifru.ifru_flags =
        i16::try_from(libc::IFF_UP | libc::IFF_RUNNING).context("interface flags")?;
    ioctl(&socket, libc::SIOCSIFFLAGS, &mut request)
        .with_context(|| format!("bring interface {interface} up"))
}

/// A socket to configure interfaces by.
pub(crate) fn control(family: AddressFamily) -> Result<OwnedFd> {
    socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None).context("control socket")
}

/// A request about an interface, all zero but for its name.
pub(crate) fn request(interface: &str) -> libc::ifreq {
    // SAFETY: ifreq is plain integers and addresses, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request
        .ifr_name
        .iter_mut()
        .zip(interface.bytes().take(libc::IFNAMSIZ - 1))
    {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request
}

/// `ioctl()` with a structure that the request expects.
pub(crate) fn ioctl<T>(fd: &OwnedFd, number: libc::c_ulong, argument: &mut T) -> Result<()> {
    // SAFETY: each caller pairs the number with the structure that the kernel documents for it.
    let outcome = unsafe { libc::ioctl(fd.as_raw_fd(), number as _, std::ptr::from_mut(argument)) };
    if outcome < 0 {
        return Err(std::io::Error::last_os_error()).context("ioctl");
    }
    Ok(())
}
