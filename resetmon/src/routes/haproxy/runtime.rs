//! Answers of the runtime socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Command for the proxies that run: frontends and backends, without servers.
pub(super) const PROXIES: &str = "show stat -1 3 -1";
/// Command for the servers of all backends.
pub(super) const SERVERS: &str = "show servers state";

/// What runs now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    /// Names of frontends.
    pub(super) frontends: BTreeSet<String>,
    /// Names of backends.
    pub(super) backends: BTreeSet<String>,
    /// Servers by backend.
    pub(super) servers: BTreeMap<String, Vec<LiveServer>>,
}

/// A server as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LiveServer {
    /// Its name.
    pub(super) name: String,
    /// Its address; `None` where it has none yet, or no IP address.
    pub(super) address: Option<IpAddr>,
    /// Its host name.
    pub(super) host: Option<String>,
    /// Its port; `None`: the one that the client connected to.
    pub(super) port: Option<u16>,
}

/// Reads the answers to [`PROXIES`] and [`SERVERS`].
///
/// Errors: what was answered instead.
pub(super) fn read(proxies: &str, servers: &str) -> Result<Live, String> {
    let mut live = Live::default();
    read_proxies(proxies, &mut live)?;
    read_servers(servers, &mut live)?;
    Ok(live)
}

fn unexpected(command: &str, answer: &str) -> String {
    let first = answer.lines().find(|line| !line.trim().is_empty());
    let first: String = first.unwrap_or("nothing").chars().take(120).collect();
    format!("the runtime socket answered `{command}` with: {first}")
}

/// CSV, whose first line names the columns.
fn read_proxies(answer: &str, live: &mut Live) -> Result<(), String> {
    let mut lines = answer.lines();
    let header = lines.next().and_then(|line| line.strip_prefix("# "));
    let header = header.ok_or_else(|| unexpected(PROXIES, answer))?;
    let column = |name: &str| header.split(',').position(|column| column == name);
    let (Some(proxy), Some(server)) = (column("pxname"), column("svname")) else {
        return Err(unexpected(PROXIES, answer));
    };
    for line in lines {
        let field = |index: usize| line.split(',').nth(index);
        match (field(proxy), field(server)) {
            (Some(name), Some("FRONTEND")) => live.frontends.insert(name.to_owned()),
            (Some(name), Some("BACKEND")) => live.backends.insert(name.to_owned()),
            _ => continue,
        };
    }
    Ok(())
}

/// Blanks between columns; a version, then a line that names them.
fn read_servers(answer: &str, live: &mut Live) -> Result<(), String> {
    let mut lines = answer.lines().filter(|line| !line.is_empty());
    let version = lines.next().map(str::trim);
    let header = lines.next().and_then(|line| line.strip_prefix("# "));
    let (Some("1"), Some(header)) = (version, header) else {
        return Err(unexpected(SERVERS, answer));
    };
    let columns: Vec<&str> = header.split(' ').collect();
    for line in lines {
        let fields: Vec<&str> = line.split(' ').collect();
        let field = |name: &str| {
            let index = columns.iter().position(|column| *column == name)?;
            fields.get(index).copied().filter(|field| *field != "-")
        };
        let (Some(backend), Some(name)) = (field("be_name"), field("srv_name")) else {
            continue;
        };
        let address = field("srv_addr").and_then(|text| text.parse::<IpAddr>().ok());
        let port = field("srv_port").and_then(|text| text.parse().ok());
        let servers = live.servers.entry(backend.to_owned()).or_default();
        servers.push(LiveServer {
            name: name.to_owned(),
            address: address
                .map(|address| address.to_canonical())
                .filter(|address| !address.is_unspecified()),
            host: field("srv_fqdn").map(str::to_owned),
            port: port.filter(|port| *port != 0),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "# pxname,svname,qcur,status,\n\
        api,FRONTEND,,OPEN,\n\
        orders,BACKEND,0,UP,\n\
        l,FRONTEND,,OPEN,\n\
        l,BACKEND,0,UP,\n\n";
    const STATE: &str = "1\n\
        # be_id be_name srv_id srv_name srv_addr srv_op_state srv_fqdn srv_port srvrecord\n\
        3 orders 1 o1 127.0.0.1 2 - 9001 -\n\
        3 orders 2 o2 2001:db8::1 2 app.internal 0 -\n\
        3 orders 3 o3 - 0 - 80 -\n\
        4 l 1 l1 0.0.0.0 2 - 80 -\n\n";

    #[test]
    fn what_runs() {
        let live = read(STAT, STATE).unwrap();
        assert_eq!(live.frontends.iter().collect::<Vec<_>>(), ["api", "l"]);
        assert_eq!(live.backends.iter().collect::<Vec<_>>(), ["l", "orders"]);
        let server = |name: &str, address: Option<&str>, host: Option<&str>, port| LiveServer {
            name: name.to_owned(),
            address: address.map(|text| text.parse().unwrap()),
            host: host.map(str::to_owned),
            port,
        };
        assert_eq!(
            live.servers["orders"],
            [
                server("o1", Some("127.0.0.1"), None, Some(9001)),
                server("o2", Some("2001:db8::1"), Some("app.internal"), None),
                server("o3", None, None, Some(80)),
            ]
        );
        assert_eq!(live.servers["l"], [server("l1", None, None, Some(80))]);
    }

    #[test]
    fn other_answers() {
        for (stat, state, part) in [
            (
                "Permission denied\n\n",
                STATE,
                "`show stat -1 3 -1` with: Permission denied",
            ),
            ("", STATE, "with: nothing"),
            ("# a,b\n", STATE, "with: # a,b"),
            (
                STAT,
                "\nPermission denied\n",
                "`show servers state` with: Permission denied",
            ),
            (STAT, "2\n# be_name\n", "with: 2"),
        ] {
            let error = read(stat, state).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
