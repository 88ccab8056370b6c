//! Another tracer in the place of resetmon: bpftrace on the kernel's tracepoints. It shows that
//! the scenarios make the kernel do what their tables say, whatever resetmon thinks of it.
//!
//! Its events have direction, endpoints, reason and state before, and no more.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::events::Events;

/// Prints a line an event: state changes to CLOSE, resets received, resets sent.
const PROGRAM: &str = r#"
BEGIN { printf("begin\n"); }
tracepoint:sock:inet_sock_set_state /args->newstate == 7 && args->protocol == 6/ {
    printf("C %lx %d\n", args->skaddr, args->oldstate);
}
tracepoint:tcp:tcp_receive_reset {
    $sk = (struct sock *)args->skaddr;
    printf("R %lx %u %d %d %d %r %r\n", args->skaddr, $sk->__sk_common.skc_net.net->ns.inum,
        $sk->__sk_common.skc_state, args->sport, args->dport, buf(args->saddr_v6, 16),
        buf(args->daddr_v6, 16));
}
tracepoint:tcp:tcp_send_reset {
    $sk = (struct sock *)args->skaddr;
    $skb = (struct sk_buff *)args->skbaddr;
    $net = (uint32)0;
    if ((uint64)args->skaddr != 0) { $net = $sk->__sk_common.skc_net.net->ns.inum; }
    if ((uint64)args->skaddr == 0) { $net = $skb->dev->nd_net.net->ns.inum; }
    printf("S %lx %u %d %d %r %r\n", args->skaddr, $net, args->state, args->reason,
        buf(args->saddr, 28), buf(args->daddr, 28));
}
"#;

/// `enum sk_rst_reason` of Linux 6.12 and newer.
const REASONS: [&str; 24] = [
    "not_specified",
    "no_socket",
    "tcp_invalid_ack_sequence",
    "tcp_rfc7323_paws",
    "tcp_too_old_ack",
    "tcp_ack_unsent_data",
    "tcp_flags",
    "tcp_old_ack",
    "tcp_abort_on_data",
    "tcp_timewait_socket",
    "invalid_syn",
    "tcp_abort_on_close",
    "tcp_abort_on_linger",
    "tcp_abort_on_memory",
    "tcp_state",
    "tcp_keepalive_timeout",
    "tcp_disconnect_with_data",
    "mptcp_rst_eunspec",
    "mptcp_rst_emptcp",
    "mptcp_rst_eresource",
    "mptcp_rst_eprohibit",
    "mptcp_rst_ewq2big",
    "mptcp_rst_ebadperf",
    "mptcp_rst_emiddlebox",
];

/// TCP states by number.
const STATES: [&str; 13] = [
    "none",
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "new_syn_recv",
];

/// Starts it, with a tracefs of its own.
pub(crate) fn start() -> Result<Agent> {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg(
        "mount -t tracefs tracefs /sys/kernel/tracing; echo ready >&2; exec bpftrace -B line -e \"$1\"",
    );
    command.args(["sh", PROGRAM]);
    let mut tracer = Tracer::default();
    let agent = Agent::spawn(
        &mut command,
        |line| line.contains("ready"),
        move |events, line| tracer.line(events, line),
    )?;
    // bpftrace says nothing once its probes are attached but for BEGIN, an event of its own.
    let limit = std::time::Duration::from_secs(60);
    agent.events.wait_for_any(limit);
    Ok(agent)
}

/// What must be remembered between lines.
#[derive(Default)]
struct Tracer {
    before: HashMap<String, usize>,
}

impl Tracer {
    fn line(&mut self, events: &Events, line: &str) {
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        match fields[..] {
            ["begin"] => events.push(json!({"netns": 0})),
            ["C", sk, old] => {
                self.before.insert(sk.to_owned(), old.parse().unwrap_or(0));
            }
            ["R", sk, netns, state, _, _] => {
                if let Some(event) = received(line, netns, state) {
                    let event = with(event, "sk", sk);
                    events.push(event);
                }
            }
            ["S", sk, netns, state, reason, addresses] => {
                let number: usize = state.parse().unwrap_or(0);
                let before = match number {
                    7 => self.before.get(sk).copied().unwrap_or(7),
                    other => other,
                };
                let reason: usize = reason.parse().unwrap_or(0);
                let (from, to) = split(addresses, 28);
                let mut event = json!({
                    "direction": "sent",
                    "netns": netns.parse::<u32>().unwrap_or(0),
                    "reason": REASONS.get(reason),
                    "state_before": if number == 0 { None } else { STATES.get(before) },
                    "local": sockaddr(&from).map(|address| address.to_string()),
                });
                // A listener has no remote end.
                if let Some(to) = sockaddr(&to).filter(|to| to.port() != 0) {
                    event["remote"] = json!(to.to_string());
                }
                if reason == 8 {
                    retract(events, sk);
                }
                events.push(event);
            }
            _ => {}
        }
    }
}

/// Data after close makes `tcp_receive_reset` fire without a RST.
fn retract(events: &Events, sk: &str) {
    events.change(|events| {
        let last = events.iter().rposition(|event| event["sk"] == sk);
        if let Some(at) = last {
            let state = events[at]["state_before"].as_str().unwrap_or("");
            if matches!(
                state,
                "fin_wait1" | "fin_wait2" | "closing" | "last_ack" | "close_wait"
            ) {
                events.remove(at);
            }
        }
    });
}

fn received(line: &str, netns: &str, state: &str) -> Option<Value> {
    let mut fields = line.splitn(7, ' ').skip(4);
    let local: u16 = fields.next()?.parse().ok()?;
    let remote: u16 = fields.next()?.parse().ok()?;
    let (from, to) = split(fields.next()?, 16);
    let address = |bytes: &[u8], port| -> Option<String> {
        let ip: [u8; 16] = bytes.try_into().ok()?;
        Some(SocketAddr::new(IpAddr::from(ip).to_canonical(), port).to_string())
    };
    Some(json!({
        "direction": "received",
        "netns": netns.parse::<u32>().unwrap_or(0),
        "state_before": STATES.get(state.parse::<usize>().ok()?),
        "local": address(&from, local)?,
        "remote": address(&to, remote)?,
    }))
}

fn with(mut event: Value, key: &str, value: &str) -> Value {
    event[key] = json!(value);
    event
}

/// Two buffers of `length` bytes as bpftrace prints them: `\xNN` for bytes that do not print.
fn split(text: &str, length: usize) -> (Vec<u8>, Vec<u8>) {
    let (first, rest) = buffer(text, length);
    let (second, _) = buffer(rest.strip_prefix(' ').unwrap_or(rest), length);
    (first, second)
}

fn buffer(mut text: &str, length: usize) -> (Vec<u8>, &str) {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let escaped = text.strip_prefix("\\x").and_then(|rest| {
            u8::from_str_radix(rest.get(..2)?, 16)
                .ok()
                .map(|byte| (byte, 4))
        });
        let plain = text.bytes().next().map(|byte| (byte, 1));
        let Some((byte, width)) = escaped.or(plain) else {
            break;
        };
        bytes.push(byte);
        text = text.get(width..).unwrap_or("");
    }
    (bytes, text)
}

/// `struct sockaddr_in` or `sockaddr_in6`.
fn sockaddr(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    let ip = if i32::from(family) == libc::AF_INET {
        let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        IpAddr::from(ip)
    } else {
        let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
        IpAddr::from(ip).to_canonical()
    };
    Some(SocketAddr::new(ip, port))
}
