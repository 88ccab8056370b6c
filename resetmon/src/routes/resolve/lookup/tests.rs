use std::net::UdpSocket;
use std::sync::Mutex;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA};
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use super::super::hosts_file::HostsFile;
use super::super::name_switch::NameSwitch;
use super::super::resolv_conf::ResolvConf;
use super::*;

/// A name server of these `name ttl address` lines; a line `name silent` gets no answer, every
/// other name is denied.
struct Server {
    address: SocketAddr,
    /// Names asked for, in order, each type of record once.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(zone: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let question = query.queries[0].clone();
                let name = question.name().to_ascii();
                let kind = question.query_type();
                if kind == RecordType::A {
                    noted.lock().unwrap().push(name.clone());
                }
                let mut answer = Message::response(query.metadata.id, OpCode::Query);
                answer.metadata.recursion_available = true;
                answer.metadata.response_code = ResponseCode::NXDomain;
                let mut silent = false;
                for line in zone.lines() {
                    let words: Vec<&str> = line.split_whitespace().collect();
                    let [known, rest @ ..] = &words[..] else {
                        continue;
                    };
                    if *known != name {
                        continue;
                    }
                    let [ttl, address] = rest else {
                        silent = true;
                        continue;
                    };
                    answer.metadata.response_code = ResponseCode::NoError;
                    let data = match address.parse().unwrap() {
                        IpAddr::V4(address) => RData::A(A(address)),
                        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
                    };
                    if data.record_type() == kind {
                        let ttl = ttl.parse().unwrap();
                        let record = Record::from_rdata(question.name().clone(), ttl, data);
                        answer.add_answer(record);
                    }
                }
                answer.add_query(question);
                if !silent {
                    socket.send_to(&answer.to_vec().unwrap(), client).unwrap();
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> String {
        std::mem::take(&mut *self.asked.lock().unwrap()).join(" ")
    }
}

/// Asks `system` in place of the name servers of `conf`, and `program` besides.
fn lookup(
    conf: &str,
    hosts: &str,
    switch: &str,
    system: &[SocketAddr],
    program: &[SocketAddr],
) -> Lookup {
    let resolver = Arc::new(Resolver::new(
        None,
        ResolvConf::parse(conf),
        HostsFile::parse(hosts),
        NameSwitch::parse(switch),
        program.to_vec(),
    ));
    let lookup = Lookup::new(Arc::clone(&resolver)).unwrap();
    Lookup {
        system: Servers::new(system, &search(&resolver), &resolver).unwrap(),
        ..lookup
    }
}

/// `addresses ttl`, or `! reason`.
async fn shown(lookup: &Lookup, name: &str) -> String {
    match lookup.addresses(name).await {
        Ok(found) => {
            let addresses: Vec<_> = found.addresses.iter().map(ToString::to_string).collect();
            // Part of the first second has passed.
            let ttl = found.ttl.map(|ttl| (ttl.as_secs_f64()).ceil().to_string());
            format!("{} {}", addresses.join(","), ttl.unwrap_or("-".to_owned()))
        }
        Err(reason) => format!("! {reason}"),
    }
}

const ZONE: &str = "\
    api.example. 60 192.0.2.1
    api.example. 30 192.0.2.2
    api.example. 20 2001:db8::1
    six.example. 7 2001:db8::6
    mapped.example. 7 ::ffff:192.0.2.9
    pay.shop.svc. 5 10.0.0.1
    pay.svc. 5 10.0.0.2
    pay. 5 10.0.0.3
    api.example.svc. 5 10.0.0.4
    zero.example. 0 10.0.0.5
    quiet.example. silent";

#[tokio::test]
async fn both_families_the_search_list_and_its_dots() {
    let server = Server::start(ZONE);
    for (conf, name, expected, asked) in [
        (
            "",
            "api.example",
            "192.0.2.1,192.0.2.2,2001:db8::1 20",
            "api.example.",
        ),
        ("", "six.example", "2001:db8::6 7", "six.example."),
        ("", "mapped.example", "192.0.2.9 7", "mapped.example."),
        ("", "zero.example", "10.0.0.5 0", "zero.example."),
        ("search shop.svc svc", "pay", "10.0.0.1 5", "pay.shop.svc."),
        (
            "search no.svc svc",
            "pay",
            "10.0.0.2 5",
            "pay.no.svc. pay.svc.",
        ),
        ("search no.svc", "pay", "10.0.0.3 5", "pay.no.svc. pay."),
        (
            "search shop.svc\noptions ndots:0",
            "pay",
            "10.0.0.3 5",
            "pay.",
        ),
        (
            "search svc\noptions ndots:2",
            "api.example",
            "10.0.0.4 5",
            "api.example.svc.",
        ),
        (
            "search svc",
            "api.example",
            "192.0.2.1,192.0.2.2,2001:db8::1 20",
            "api.example.",
        ),
        (
            "search svc",
            "no.example",
            "! no such name (NXDOMAIN)",
            "no.example. no.example.svc.",
        ),
        ("", "localhost", "127.0.0.1,::1 -", ""),
    ] {
        let lookup = lookup(conf, "", "", &[server.address], &[]);
        assert_eq!(shown(&lookup, name).await, expected, "{conf:?} {name}");
        assert_eq!(server.asked(), asked, "{conf:?} {name}");
    }
}

#[tokio::test]
async fn files_and_name_servers_in_their_order() {
    let server = Server::start(ZONE);
    let hosts = "10.1.1.1 api.example here\n::1 api.example\n";
    for (switch, name, expected) in [
        ("", "api.example", "10.1.1.1,::1 -"),
        ("", "here", "10.1.1.1 -"),
        ("", "six.example", "2001:db8::6 7"),
        ("hosts: dns files", "here", "10.1.1.1 -"),
        (
            "hosts: dns files",
            "api.example",
            "192.0.2.1,192.0.2.2,2001:db8::1 20",
        ),
        ("hosts: files", "six.example", "! it is not in /etc/hosts"),
        ("hosts: dns", "here", "! no such name (NXDOMAIN)"),
        ("hosts: ldap", "here", "! it is not in /etc/hosts"),
    ] {
        let lookup = lookup("", hosts, switch, &[server.address], &[]);
        assert_eq!(shown(&lookup, name).await, expected, "{switch} {name}");
    }
}

#[tokio::test]
async fn the_programs_own_name_servers_besides() {
    let system = Server::start(ZONE);
    let own = Server::start(
        "api.example. 9 198.51.100.1
        pay. 9 198.51.100.2",
    );
    let conf = "search shop.svc";
    let hosts = "10.1.1.1 pay\n";
    let lookup = lookup(conf, hosts, "", &[system.address], &[own.address]);
    for (name, expected) in [
        (
            "api.example",
            "192.0.2.1,192.0.2.2,198.51.100.1,2001:db8::1 9",
        ),
        // It neither reads the hosts file nor follows the search list.
        ("pay", "10.1.1.1,198.51.100.2 9"),
        ("six.example", "2001:db8::6 7"),
        ("no.example", "! no such name (NXDOMAIN)"),
    ] {
        assert_eq!(shown(&lookup, name).await, expected, "{name}");
    }
    assert_eq!(own.asked(), "api.example. pay. six.example. no.example.");
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up() {
    let server = Server::start(ZONE);
    let conf = "options timeout:1 attempts:1";
    let quiet = lookup(conf, "", "", &[server.address], &[]);
    let reason = shown(&quiet, "quiet.example").await;
    assert!(reason.starts_with("! no answer "), "{reason}");
    // Another one is asked instead.
    let quiet = Server::start("api.example. silent");
    let second = lookup(
        "options timeout:1\nnameserver 127.0.0.1\nnameserver 127.0.0.1",
        "",
        "",
        &[quiet.address, server.address],
        &[],
    );
    let expected = "192.0.2.1,192.0.2.2,2001:db8::1 20";
    assert_eq!(shown(&second, "api.example").await, expected);
    assert!(quiet.asked().starts_with("api.example."));
}
