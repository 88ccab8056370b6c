//! The line `hosts:` of `/etc/nsswitch.conf` (nsswitch.conf(5)): who is asked for an address, and
//! in which order.

/// Who knows addresses of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// `/etc/hosts`.
    Files,
    /// The name servers of `resolv.conf`.
    Dns,
}

/// Modules that know names of the machine itself, of virtual machines and of `.local` alone.
const LOCAL: &[&str] = &[
    "compat",
    "myhostname",
    "mymachines",
    "mdns",
    "mdns4",
    "mdns6",
    "mdns_minimal",
    "mdns4_minimal",
    "mdns6_minimal",
];

/// The services in their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameSwitch {
    /// Each at most once.
    pub services: Vec<Service>,
    /// Modules that are not followed, in the order of the file.
    pub unknown: Vec<Box<str>>,
}

impl Default for NameSwitch {
    /// What holds without a file, and in C libraries that read none.
    fn default() -> Self {
        Self {
            services: vec![Service::Files, Service::Dns],
            unknown: Vec::new(),
        }
    }
}

impl NameSwitch {
    /// Reads the text of a file; without a line `hosts:` the default holds.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or(""));
        let mut databases = lines.filter_map(|line| line.split_once(':'));
        let Some((_, line)) = databases.find(|(database, _)| database.trim() == "hosts") else {
            return Self::default();
        };
        // `[NOTFOUND=return]` may have blanks inside.
        let line = line.replace('[', " [").replace(']', "] ");
        let mut switch = Self {
            services: Vec::new(),
            unknown: Vec::new(),
        };
        let mut followed = false;
        let mut words = line.split_ascii_whitespace();
        while let Some(word) = words.next() {
            if word.starts_with('[') {
                let mut action = word.to_owned();
                while !action.ends_with(']') {
                    let Some(more) = words.next() else { break };
                    action.push_str(more);
                }
                if followed && ends(&action) {
                    break;
                }
                continue;
            }
            followed = switch.add(word);
        }
        switch
    }

    /// Adds a module; true if it is followed.
    fn add(&mut self, module: &str) -> bool {
        let services: &[Service] = match module {
            "files" => &[Service::Files],
            "dns" => &[Service::Dns],
            // systemd-resolved reads the hosts file itself, then asks the servers that its
            // resolv.conf stands for.
            "resolve" => &[Service::Files, Service::Dns],
            _ if LOCAL.contains(&module) => return false,
            _ => {
                self.unknown.push(module.into());
                return false;
            }
        };
        for service in services {
            if !self.services.contains(service) {
                self.services.push(*service);
            }
        }
        true
    }
}

/// True if `action` ends the search where the service before it does not know the name.
fn ends(action: &str) -> bool {
    let action = action.to_ascii_lowercase();
    let inside = action.trim_matches(['[', ']']);
    match inside.split_once('=') {
        Some(("notfound", "return")) => true,
        // All but the named outcome.
        Some((status, "return")) => status
            .strip_prefix('!')
            .is_some_and(|status| status != "notfound"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        for (text, expected) in [
            ("", "Files Dns"),
            ("passwd: files\n", "Files Dns"),
            ("hosts: files dns\n", "Files Dns"),
            ("hosts:dns files\n", "Dns Files"),
            ("  hosts :\tfiles\n", "Files"),
            ("# hosts: dns\nhosts: files # dns\n", "Files"),
            ("hosts: files\nhosts: dns\n", "Files"),
            (
                "hosts: files mdns4_minimal [NOTFOUND=return] dns",
                "Files Dns",
            ),
            ("hosts: files [NOTFOUND=return] dns", "Files"),
            ("hosts: files [ notfound=return ] dns", "Files"),
            ("hosts: files[NOTFOUND=return]dns", "Files"),
            ("hosts: files [SUCCESS=return] dns", "Files Dns"),
            ("hosts: files [NOTFOUND=continue] dns", "Files Dns"),
            ("hosts: dns [!UNAVAIL=return] files", "Dns"),
            ("hosts: dns [!NOTFOUND=return] files", "Dns Files"),
            (
                "hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns",
                "Files Dns",
            ),
            ("hosts: files ldap dns sss", "Files Dns ? ldap sss"),
            ("hosts: ldap [NOTFOUND=return] dns", "Dns ? ldap"),
            ("hosts: files [NOTFOUND", "Files"),
            ("hosts:", ""),
        ] {
            let switch = NameSwitch::parse(text);
            let mut shown: Vec<String> = switch
                .services
                .iter()
                .map(|service| format!("{service:?}"))
                .collect();
            if !switch.unknown.is_empty() {
                shown.push(format!("? {}", switch.unknown.join(" ")));
            }
            assert_eq!(shown.join(" "), expected, "{text:?}");
        }
    }
}
