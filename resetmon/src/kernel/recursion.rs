//! Runs of a program that the kernel suppressed.
//!
//! A program does not interrupt itself: if a softirq meets its attach point while it runs on the
//! same CPU, the inner run is dropped and counted. The count stands in the `fdinfo` of the
//! program's descriptor (`bpf_prog_show_fdinfo`), which takes no capability to read.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How often the program was not run because it was running already; `None` on kernels that do
/// not count it.
///
/// Errors: /proc cannot be read.
pub fn misses(program: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let path = format!("/proc/self/fdinfo/{}", program.as_raw_fd());
    fs::read_to_string(path).map(|info| parse(&info))
}

fn parse(info: &str) -> Option<u64> {
    info.lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"))
        .and_then(|value| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    #[test]
    fn the_count_is_found() {
        for (info, expected) in [
            (
                "pos:\t0\nprog_id:\t336\nrun_cnt:\t0\nrecursion_misses:\t17\nverified_insns:\t1805\n",
                Some(17),
            ),
            ("recursion_misses:\t18446744073709551615", Some(u64::MAX)),
            // Before Linux 5.12, and what is no number.
            ("pos:\t0\nprog_id:\t336\nrun_cnt:\t9\n", None),
            ("recursion_misses:\t\n", None),
            ("recursion_misses:\t-1\n", None),
            ("xrecursion_misses:\t1\n", None),
            ("", None),
        ] {
            assert_eq!(parse(info), expected, "{info}");
        }
    }

    #[test]
    fn a_descriptor_of_something_else_has_none() {
        let file = fs::File::open("/dev/null").unwrap();
        assert_eq!(misses(file.as_fd()).unwrap(), None);
    }
}
