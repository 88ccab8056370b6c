//! `SOCK_DESTROY` by `sock_diag(7)`, as `ss -K` does it.

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use super::command::DestroyState;

/// `SOCK_DESTROY` of `linux/sock_diag.h`.
const SOCK_DESTROY: u16 = 21;
/// `NLM_F_REQUEST | NLM_F_ACK` of `linux/netlink.h`.
const REQUEST_WITH_ACK: u16 = 1 | 4;
/// `INET_DIAG_NOCOOKIE`, twice.
const NO_COOKIE: [u8; 8] = [0xff; 8];
/// `TCP_LISTEN` of `net/tcp_states.h`.
const LISTEN: u32 = 10;
/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Destroys the TCP socket with these endpoints in the caller's network namespace.
pub(super) fn destroy(
    local: SocketAddr,
    remote: SocketAddr,
    state: DestroyState,
) -> Result<(), Errno> {
    let socket = net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    net::send(&socket, &request(local, remote, state), SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    let (length, _) = net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // NLMSG_ERROR carries a negative errno, 0 for success.
    match answer[..length].get(HEADER..HEADER + 4) {
        Some(&[a, b, c, d]) => match i32::from_ne_bytes([a, b, c, d]) {
            0 => Ok(()),
            error => Err(Errno::from_raw_os_error(-error)),
        },
        _ => Err(Errno::PROTO),
    }
}

/// `nlmsghdr` and `inet_diag_req_v2`.
fn request(local: SocketAddr, remote: SocketAddr, state: DestroyState) -> Vec<u8> {
    let family = if local.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let states = match state {
        DestroyState::Listener => 1 << LISTEN,
        DestroyState::Connection => !(1_u32 << LISTEN),
    };
    let mut body = vec![u8::try_from(family).unwrap_or(0), 6, 0, 0];
    body.extend(states.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    body.extend(address(local.ip()));
    body.extend(address(remote.ip()));
    body.extend([0; 4]);
    body.extend(NO_COOKIE);

    let length = u32::try_from(HEADER + body.len()).unwrap_or(0);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(SOCK_DESTROY.to_ne_bytes());
    message.extend(REQUEST_WITH_ACK.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
    }
}
