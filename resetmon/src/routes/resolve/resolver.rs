//! How one gateway turns host names into addresses: its own files, its own network.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::hosts_file::HostsFile;
use super::name_switch::NameSwitch;
use super::resolv_conf::ResolvConf;
use crate::routes::files::{FileError, Files, Stamp};

const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const NSSWITCH: &str = "/etc/nsswitch.conf";

/// What decides which addresses a process gets for a name.
///
/// Equal ones give equal answers, so gateways that have them share their look-ups.
#[derive(Clone, Debug, Eq)]
pub struct Resolver {
    /// Inode of the network namespace from which is asked; `None`: the agent's own.
    pub netns: Option<u32>,
    /// `/etc/resolv.conf`.
    pub conf: ResolvConf,
    /// `/etc/hosts`.
    pub hosts: HostsFile,
    /// `/etc/nsswitch.conf`.
    pub switch: NameSwitch,
    /// Name servers that the program asks by itself for some of its names, past these files:
    /// `resolver` of nginx, `resolvers` of `HAProxy`.
    pub program_servers: Vec<SocketAddr>,
    /// Of all the others: files are long, and each becomes part of many keys.
    digest: u64,
}

impl PartialEq for Resolver {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
            && self.netns == other.netns
            && self.program_servers == other.program_servers
            && self.conf == other.conf
            && self.switch == other.switch
            && self.hosts == other.hosts
    }
}

impl Hash for Resolver {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Resolver {
    /// A resolver of these parts.
    #[must_use]
    pub fn new(
        netns: Option<u32>,
        conf: ResolvConf,
        hosts: HostsFile,
        switch: NameSwitch,
        program_servers: Vec<SocketAddr>,
    ) -> Self {
        let mut hasher = DefaultHasher::new();
        (netns, &conf.servers, &conf.search, conf.ndots).hash(&mut hasher);
        (&hosts, &switch, &program_servers).hash(&mut hasher);
        Self {
            netns,
            conf,
            hosts,
            switch,
            program_servers,
            digest: hasher.finish(),
        }
    }

    /// The resolver of a process with these `files`. A file that is not there has no say.
    ///
    /// Errors: a file may not be read, or is too large.
    pub fn read(
        files: &Files,
        netns: Option<u32>,
        program_servers: Vec<SocketAddr>,
    ) -> Result<Self, FileError> {
        let text = |path: &str| match files.read(Path::new(path)) {
            Err(FileError::Read {
                reason: Errno::NOENT | Errno::NOTDIR,
                ..
            }) => Ok(None),
            other => other.map(Some),
        };
        Ok(Self::new(
            netns,
            text(RESOLV_CONF)?.map_or_else(ResolvConf::default, |text| ResolvConf::parse(&text)),
            text(HOSTS)?.map_or_else(HostsFile::default, |text| HostsFile::parse(&text)),
            text(NSSWITCH)?.map_or_else(NameSwitch::default, |text| NameSwitch::parse(&text)),
            program_servers,
        ))
    }

    /// What tells one state of the files that [`Self::read`] reads from the next.
    #[must_use]
    pub fn stamps(files: &Files) -> [Option<Stamp>; 3] {
        [RESOLV_CONF, HOSTS, NSSWITCH].map(|path| files.stamp(Path::new(path)))
    }

    /// The same as seen from another network namespace, in which a loopback address is another
    /// machine's: `instead` stands in for such name servers.
    #[must_use]
    pub fn from_outside(&self, instead: &[IpAddr]) -> Self {
        let mut conf = self.conf.clone();
        conf.servers.retain(|server| !server.is_loopback());
        if conf.servers.is_empty() {
            conf.servers = instead.to_vec();
        }
        let program_servers = self.program_servers.iter().copied();
        let program_servers = program_servers.filter(|server| !server.ip().is_loopback());
        Self::new(
            self.netns,
            conf,
            self.hosts.clone(),
            self.switch.clone(),
            program_servers.collect(),
        )
    }

    /// What puts resolvers in an order; it means nothing.
    #[must_use]
    pub fn rank(&self) -> (Option<u32>, u64) {
        (self.netns, self.digest)
    }

    /// What of the files is not followed, for an operator.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let modules = self.switch.unknown.iter();
        let modules = modules.map(|module| {
            format!("names that the module `{module}` of {NSSWITCH} knows are not looked up there")
        });
        let servers = self.conf.unusable.iter();
        let servers = servers.map(|server| {
            format!(
                "the name server {server} of {RESOLV_CONF} cannot be asked: not a plain address"
            )
        });
        modules.chain(servers).collect()
    }

    /// Longest time that all answers to one name may take.
    #[must_use]
    pub fn patience(&self) -> Duration {
        const MOST: Duration = Duration::from_secs(15);
        let servers = u32::try_from(self.conf.servers.len().max(1)).unwrap_or(u32::MAX);
        let all = servers.saturating_mul(self.conf.attempts.into());
        self.conf.timeout.saturating_mul(all).min(MOST)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn root(files: &[(&str, &str)]) -> (tempfile::TempDir, Files) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        for (name, text) in files {
            fs::write(root.path().join("etc").join(name), text).unwrap();
        }
        let files = Files::open(root.path(), Path::new("/")).unwrap();
        (root, files)
    }

    #[test]
    fn files_below_the_root_make_a_resolver() {
        let (root, files) = root(&[
            ("resolv.conf", "nameserver 10.0.0.53\n"),
            ("hosts", "10.0.0.1 a\n"),
        ]);
        let before = Resolver::stamps(&files);
        let read = || Resolver::read(&files, Some(7), Vec::new()).unwrap();
        let first = read();
        assert_eq!(first.conf.servers, ["10.0.0.53".parse::<IpAddr>().unwrap()]);
        assert_eq!(first.hosts.addresses("a").len(), 1);
        assert_eq!(first.switch, NameSwitch::default());
        assert_eq!((read(), Resolver::stamps(&files)), (first.clone(), before));
        // Every part makes a difference.
        for (name, text) in [
            ("hosts", "10.0.0.2 a\n"),
            ("resolv.conf", "nameserver 10.0.0.54\n"),
            ("resolv.conf", "nameserver 10.0.0.54\noptions timeout:1\n"),
            ("nsswitch.conf", "hosts: dns\n"),
        ] {
            let (last, stamps) = (read(), Resolver::stamps(&files));
            fs::write(root.path().join("etc").join(name), text).unwrap();
            assert_ne!(read(), last, "{name}: {text}");
            assert_ne!(Resolver::stamps(&files), stamps, "{name}: {text}");
        }
        let servers = vec!["10.0.0.53:53".parse().unwrap()];
        assert_ne!(Resolver::read(&files, Some(7), servers).unwrap(), read());
        assert_ne!(Resolver::read(&files, None, Vec::new()).unwrap(), read());
    }

    #[test]
    fn no_file_is_the_default_an_unreadable_one_is_an_error() {
        let (root, files) = root(&[]);
        let resolver = Resolver::read(&files, None, Vec::new()).unwrap();
        assert_eq!(resolver.conf, ResolvConf::default());
        assert_eq!(Resolver::stamps(&files), [None; 3]);
        fs::create_dir(root.path().join("etc/hosts")).unwrap();
        let error = Resolver::read(&files, None, Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("/etc/hosts: "), "{error}");
    }

    #[test]
    fn loopback_is_another_machines_from_outside() {
        let own: IpAddr = "192.0.2.53".parse().unwrap();
        for (conf, expected) in [
            ("nameserver 127.0.0.11", "192.0.2.53"),
            ("nameserver ::1\nnameserver 10.0.0.1", "10.0.0.1"),
            ("nameserver 10.0.0.1", "10.0.0.1"),
            ("", "192.0.2.53"),
        ] {
            let resolver = Resolver::new(
                Some(7),
                ResolvConf::parse(conf),
                HostsFile::default(),
                NameSwitch::default(),
                vec![
                    "127.0.0.11:53".parse().unwrap(),
                    "10.0.0.9:53".parse().unwrap(),
                ],
            );
            let outside = resolver.from_outside(&[own]);
            assert_eq!(outside.conf.servers, [expected.parse::<IpAddr>().unwrap()]);
            let servers = ["10.0.0.9:53".parse::<SocketAddr>().unwrap()];
            assert_eq!(outside.program_servers, servers);
        }
    }

    #[test]
    fn notes_name_what_is_not_followed() {
        let resolver = Resolver::new(
            None,
            ResolvConf::parse("nameserver fe80::1%eth0"),
            HostsFile::default(),
            NameSwitch::parse("hosts: files ldap dns"),
            Vec::new(),
        );
        let notes = resolver.notes();
        assert_eq!(notes.len(), 2);
        assert!(notes[0].contains("`ldap`"), "{notes:?}");
        assert!(notes[1].contains("fe80::1%eth0"), "{notes:?}");
    }
}
