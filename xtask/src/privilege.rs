//! What the calling user may do.

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| parse_effective_uid(&status))
        == Some(0)
}

/// Reads the effective user id from `/proc/PID/status` (`proc_pid_status(5)`), where the line
/// `Uid:` has the real, effective, saved and file-system id.
fn parse_effective_uid(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_effective_id() {
        let rows = [
            (
                "Name:\tx\nUid:\t1000\t0\t1000\t1000\nGid:\t1\t2\t3\t4\n",
                Some(0),
            ),
            ("Uid:\t0\t1000\t0\t0\n", Some(1000)),
            ("Gid:\t0\t0\t0\t0\n", None),
            ("Uid:\t0\n", None),
            ("Uid:\tx\ty\n", None),
            ("", None),
        ];
        for (status, expected) in rows {
            assert_eq!(parse_effective_uid(status), expected, "{status}");
        }
    }
}
