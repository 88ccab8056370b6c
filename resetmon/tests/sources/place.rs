//! A network of its own with a name server of its own, as a container has them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::program::{Program, until};

/// The name server's address, which means another one in every place.
const SERVER: &str = "127.0.0.53";

/// A network namespace and a mount namespace with its own `resolv.conf`, `hosts` and name server.
pub(crate) struct Place {
    holder: Child,
    folder: TempDir,
    /// `None`: stopped.
    server: Option<Program>,
}

impl Place {
    /// A place whose name server knows `zone` and whose hosts file is `hosts`, both in the form of
    /// hosts(5); names are searched in `svc.test`.
    pub(crate) fn new(zone: &str, hosts: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let conf = format!("nameserver {SERVER}\nsearch svc.test\noptions timeout:1\n");
        write("resolv.conf", &conf);
        write("hosts", &format!("127.0.0.1 localhost\n{hosts}"));
        write("nsswitch.conf", "hosts: files dns\n");
        write("zone", zone);
        let script = "
            for file in resolv.conf hosts nsswitch.conf; do
                mount --bind \"$0/$file\" \"/etc/$file\"
            done
            ip link set lo up && echo ready && exec sleep infinity";
        let mut holder = Command::new("unshare")
            .args(["--net", "--mount", "sh", "-e", "-c", script])
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(holder.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the place could not be made");
        let mut place = Self {
            holder,
            folder,
            server: None,
        };
        place.start_server();
        place
    }

    /// Starts the name server; its answers hold for a second.
    pub(crate) fn start_server(&mut self) {
        let mut dnsmasq = self.command("dnsmasq");
        dnsmasq
            .args(["--keep-in-foreground", "--conf-file=/dev/null"])
            .args([
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
                "--user=root",
            ])
            .args(["--pid-file", "--local-ttl=1", "--log-facility=-"])
            .arg(format!("--listen-address={SERVER}"))
            .arg("--local=/test/")
            .arg(format!("--addn-hosts={}", self.path("zone").display()));
        self.server = Some(Program::start(&mut dnsmasq, &self.path("dnsmasq.log")));
        until("the name server to listen", || {
            self.inside(|| std::net::TcpStream::connect((SERVER, 53)).is_ok())
        });
    }

    /// Stops the name server.
    pub(crate) fn stop_server(&mut self) {
        self.server = None;
    }

    /// Gives the name server other names.
    pub(crate) fn change(&self, zone: &str) {
        fs::write(self.path("zone"), zone).unwrap();
        self.server.as_ref().unwrap().signal(Signal::HUP);
    }

    /// A file of this place's folder, which is the same inside and outside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Something to be executed here.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args(["--net", "--mount", "--target"])
            .arg(self.holder.id().to_string())
            .arg(program);
        command
    }

    /// What `work` gives in this network; sockets that it opens stay there.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let namespace = fs::File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let work = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        };
        std::thread::scope(|scope| scope.spawn(work).join().unwrap())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server = None;
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
