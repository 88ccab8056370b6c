//! Which files a command line names.

use std::path::{Path, PathBuf};

/// What a command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CommandLine {
    /// Files and directories of configuration, in order.
    pub(super) paths: Vec<String>,
    /// `-C`, if absolute; a relative one is already the working directory.
    pub(super) directory: Option<PathBuf>,
    /// `-L`.
    pub(super) local_peer: Option<String>,
    /// `-W`, `-Ws`.
    pub(super) master_worker: bool,
}

/// Reads the arguments, the program's name first.
pub(super) fn read(arguments: &[String]) -> CommandLine {
    let mut found = CommandLine::default();
    let mut rest = arguments.iter().skip(1).peekable();
    while let Some(argument) = rest.next() {
        let Some(flag) = argument.strip_prefix('-') else {
            continue;
        };
        match flag {
            "-" => {
                found.paths.extend(rest.cloned());
                break;
            }
            "W" | "Ws" => found.master_worker = true,
            // Flags by their whole name, most of them without a value.
            "sf" | "st" => {
                let is_pid = |next: &&String| next.bytes().all(|byte| byte.is_ascii_digit());
                while rest.next_if(is_pid).is_some() {}
            }
            "x" | "S" => {
                rest.next_if(|next| !next.starts_with('-'));
            }
            // Of these only the first letter counts.
            _ => {
                let letter = flag.chars().next();
                if !matches!(letter, Some('f' | 'C' | 'L' | 'p' | 'n' | 'm' | 'N')) {
                    continue;
                }
                let Some(value) = rest.next() else { break };
                match letter {
                    Some('f') => found.paths.push(value.clone()),
                    Some('C') if Path::new(value).is_absolute() => {
                        found.directory = Some(value.into());
                    }
                    Some('L') => found.local_peer = Some(value.clone()),
                    _ => {}
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_command_lines() {
        for (line, expected) in [
            (
                "haproxy -f /etc/haproxy/haproxy.cfg",
                &["/etc/haproxy/haproxy.cfg"][..],
            ),
            (
                "haproxy -Ws -f /etc/haproxy/haproxy.cfg -p /run/haproxy.pid -S /run/haproxy-master.sock",
                &["/etc/haproxy/haproxy.cfg"],
            ),
            (
                "haproxy -sf 12 13 -x /run/old.sock -W -f a.cfg -f conf.d -- b.cfg -c.cfg",
                &["a.cfg", "conf.d", "b.cfg", "-c.cfg"],
            ),
            ("haproxy -x sockpair@5 -Ws -f a", &["a"]),
            ("haproxy -db -dM -n 100 -m 64 -f a -L peer -q", &["a"]),
            ("haproxy -S -f a", &["a"]),
            ("haproxy -f", &[]),
            ("haproxy", &[]),
        ] {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(read(&arguments).paths, expected, "{line}");
        }
    }

    #[test]
    fn directory_peer_and_workers() {
        let arguments = [
            "haproxy",
            "-C",
            "/etc/haproxy",
            "-L",
            "lb1",
            "-Ws",
            "-f",
            "a",
        ];
        let found = read(&arguments.map(str::to_owned));
        assert_eq!(found.directory.as_deref(), Some(Path::new("/etc/haproxy")));
        assert_eq!(found.local_peer.as_deref(), Some("lb1"));
        assert!(found.master_worker);
        let relative = read(&["haproxy", "-C", "conf", "-f", "a"].map(str::to_owned));
        assert_eq!(relative.directory, None);
        assert!(!relative.master_worker);
    }
}
