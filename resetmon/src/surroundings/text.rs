//! The files of /proc and of cgroups, as text.

use std::net::{IpAddr, SocketAddr};

use crate::diagnosis::overload::CgroupMemory;
use crate::kernel::observation::TcpState;

/// The soft limit of open files from `/proc/PID/limits`; `None` if there is none.
pub(super) fn descriptor_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The number behind `key` in lines of `key number`.
pub(super) fn number(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

/// From `memory.events` of cgroup version 2.
pub(super) fn memory_events(text: &str) -> Option<CgroupMemory> {
    Some(CgroupMemory {
        at_limit: number(text, "max")?,
        oom_kills: number(text, "oom_kill")?,
    })
}

/// `(orphans, pages)` of the `TCP:` line of `/proc/net/sockstat`.
pub(super) fn sockstat(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let after = |key| {
        let at = words.iter().position(|word| *word == key)?;
        words.get(at + 1)?.parse().ok()
    };
    Some((after("orphan")?, after("mem")?))
}

/// State of the connection from `local` to `remote` in a table as of `/proc/net/tcp` or `tcp6`.
pub(super) fn state_of(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<TcpState> {
    let (local, remote) = (hex(local), hex(remote));
    let mut rows = table
        .lines()
        .map(|line| line.split_ascii_whitespace().skip(1));
    let row = rows.find_map(|mut row| {
        (row.next() == Some(&*local) && row.next() == Some(&*remote)).then(|| row.next())
    })??;
    TcpState::from_number(u8::from_str_radix(row, 16).ok()?)
}

/// An endpoint as these tables have it (`get_tcp4_sock`, `get_tcp6_sock`): words of the address in the
/// machine's order.
fn hex(endpoint: SocketAddr) -> String {
    let octets: Vec<u8> = match endpoint.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets.chunks_exact(4).map(|word| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(word);
        format!("{:08X}", u32::from_ne_bytes(bytes))
    });
    format!("{}:{:04X}", words.collect::<String>(), endpoint.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max processes             7                    8                    processes \n\
                    Max open files            1024                 524288               files     \n";
        assert_eq!(descriptor_limit(text), Some(1024));
        assert_eq!(
            descriptor_limit("Max open files  unlimited unlimited files"),
            None
        );
        assert_eq!(descriptor_limit(""), None);
    }

    #[test]
    fn memory() {
        let text = "low 0\nhigh 1\nmax 250\noom 2\noom_kill 1\noom_group_kill 5\n";
        let expected = CgroupMemory {
            at_limit: 250,
            oom_kills: 1,
        };
        assert_eq!(memory_events(text), Some(expected));
        assert_eq!(memory_events("max 1\n"), None);
        assert_eq!(memory_events("max many\noom_kill 1\n"), None);
    }

    #[test]
    fn sockets() {
        let text =
            "sockets: used 9\nTCP: inuse 5 orphan 3 tw 4 alloc 7 mem 6\nUDP: inuse 2 mem 1\n";
        assert_eq!(sockstat(text), Some((3, 6)));
        assert_eq!(sockstat("TCP: inuse 5 orphan"), None);
    }

    #[test]
    fn the_state_of_one_connection() {
        let row = |local: &str, remote: &str, state: &str| {
            let (local, remote) = (hex(local.parse().unwrap()), hex(remote.parse().unwrap()));
            format!(
                "   0: {local} {remote} {state} 00000000:00000000 00:00000000 00000000  0 0 1\n"
            )
        };
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let table = [
            head.to_owned(),
            row("127.0.0.1:80", "0.0.0.0:0", "0A"),
            row("127.0.0.1:80", "127.0.0.1:5000", "08"),
            row("127.0.0.1:80", "127.0.0.1:5001", "01"),
            row("[::1]:80", "[2001:db8::1]:5001", "04"),
            row("127.0.0.1:81", "127.0.0.1:5001", "ZZ"),
            "   9: 0100007F:0052".to_owned(),
        ]
        .concat();
        let state = |local: &str, remote: &str| {
            state_of(&table, local.parse().unwrap(), remote.parse().unwrap())
        };
        assert_eq!(
            state("127.0.0.1:80", "127.0.0.1:5001"),
            Some(TcpState::Established)
        );
        assert_eq!(
            state("127.0.0.1:80", "127.0.0.1:5000"),
            Some(TcpState::CloseWait)
        );
        assert_eq!(
            state("[::1]:80", "[2001:db8::1]:5001"),
            Some(TcpState::FinWait1)
        );
        assert_eq!(state("127.0.0.1:80", "127.0.0.1:5002"), None);
        assert_eq!(state("127.0.0.1:81", "127.0.0.1:5001"), None);
        assert_eq!(state("127.0.0.1:82", "127.0.0.1:5001"), None);
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn endpoints_as_the_kernel_writes_them() {
        let of = |text: &str| hex(text.parse().unwrap());
        assert_eq!(of("127.0.0.1:8080"), "0100007F:1F90");
        assert_eq!(of("[::1]:80"), "00000000000000000000000001000000:0050");
    }
}
