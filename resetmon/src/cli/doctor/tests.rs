use super::*;

#[test]
fn conntrack_that_cannot_be_asked_degrades_nothing() {
    for (usable, grade, part) in [
        (Ok(()), Grade::Ok, "nat.conntrack: true"),
        (
            Err(ConntrackError::Absent),
            Grade::Unused,
            "tracks no connections",
        ),
        (Err(ConntrackError::Denied), Grade::Unused, "CAP_NET_ADMIN"),
        (
            Err(ConntrackError::Failed("out of luck".to_owned())),
            Grade::Unused,
            "out of luck",
        ),
    ] {
        let check = nat(&usable);
        assert_eq!(check.grade, grade);
        assert!(check.found.contains(part), "{check:?}");
    }
}

#[test]
fn lockdown_modes() {
    for (text, found, grade) in [
        (None, "not known (securityfs is not mounted)", Grade::Ok),
        (
            Some("[none] integrity confidentiality\n"),
            "none",
            Grade::Ok,
        ),
        (
            Some("none [integrity] confidentiality\n"),
            "integrity",
            Grade::Ok,
        ),
        (
            Some("none integrity [confidentiality]\n"),
            "confidentiality",
            Grade::Degraded,
        ),
        (
            Some("nonsense"),
            "not known (securityfs is not mounted)",
            Grade::Ok,
        ),
    ] {
        let check = lockdown_check(text);
        assert_eq!(
            (check.found.as_str(), check.grade),
            (found, grade),
            "{text:?}"
        );
    }
}

#[test]
fn the_exit_status_is_what_the_help_says() {
    for (worst, strict, status_is) in [
        (Grade::Ok, true, 0),
        (Grade::Unused, true, 0),
        (Grade::Degraded, false, 0),
        (Grade::Degraded, true, 1),
        (Grade::Failed, false, 2),
        (Grade::Failed, true, 2),
    ] {
        assert_eq!(
            format!("{:?}", status(worst, strict)),
            format!("{:?}", ExitCode::from(status_is)),
            "{worst:?} {strict}"
        );
    }
}

#[test]
fn a_bpffs_that_is_missing_degrades() {
    let dir = Path::new("/pins");
    let check = pins(dir, &Ok(()));
    assert_eq!((check.grade, &*check.found), (Grade::Ok, "/pins"));
    let check = pins(dir, &Err(PinError::NotBpffs(dir.into())));
    assert_eq!(check.grade, Grade::Degraded);
    assert!(check.found.contains("not on a bpffs"), "{check:?}");
}

#[test]
fn losses_and_remedies_are_printed() {
    let checks = [
        Check::ok("kernel", "release", "6.18"),
        Check::ok("probes", "accept", "refused: EPERM").worse(
            Grade::Degraded,
            "the worker",
            "none",
        ),
    ];
    let text = text(&checks, Grade::Degraded);
    assert!(text.contains("  degraded  accept: refused: EPERM\n            lost: the worker\n            remedy: none\n"), "{text}");
    assert!(
        text.ends_with("resetmon works here, with the losses named above.\n"),
        "{text}"
    );
}

#[test]
fn the_remedy_fits_the_refusal() {
    let refused = |why: &str| Outcome::Refused(why.to_owned());
    for (outcome, part) in [
        (
            refused("Operation not permitted (os error 1)"),
            "this kernel's policy",
        ),
        (
            refused("`bpf_raw_tracepoint_open` failed: No error information (os error 524)"),
            "Linux 6.4",
        ),
        (refused("out of luck (os error 52)"), "report the text"),
        (Outcome::Missing, "does not have it"),
    ] {
        let remedy = probe_remedy(&outcome);
        assert!(remedy.contains(part), "{outcome:?}: {remedy}");
    }
}
