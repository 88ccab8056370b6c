use super::*;

fn counts(passed: u32, failed: u32, skipped: u32) -> Counts {
    Counts {
        passed,
        failed,
        skipped,
    }
}

#[test]
fn reads_the_closing_line() {
    let rows = [
        ("41 passed, 0 failed, 2 skipped", Some(counts(41, 0, 2))),
        ("  1 passed, 2 failed, 3 skipped  ", Some(counts(1, 2, 3))),
        ("1 passed, 2 failed", None),
        ("1 passed, 2 failed, 3 skipped, 4 slow", None),
        ("1 passed; 2 failed; 3 skipped", None),
        ("x passed, 2 failed, 3 skipped", None),
        ("so far 1 passed, 2 failed, 3 skipped", None),
        ("1 failed, 2 passed, 3 skipped", None),
        ("", None),
    ];
    for (line, expected) in rows {
        assert_eq!(parse_closing_line(line), expected, "{line}");
    }
}

#[test]
fn reads_the_standard_harness() {
    let rows = [
        (
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.00s",
            Some(counts(12, 0, 1)),
        ),
        (
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            Some(counts(1, 2, 0)),
        ),
        ("test words::ok. ... ok", None),
        ("test result: ok", None),
        ("running 3 tests", None),
    ];
    for (line, expected) in rows {
        assert_eq!(parse_test_result(line), expected, "{line}");
    }
}

#[test]
fn filters_leave_out_what_is_no_named_test() {
    use Stage::{
        Dependencies, Deploy, Doc, Format, Gateways, Lint, LintObject, Live, Machines, Object,
        Packages, Scenarios, Unit,
    };
    let rows = [
        (
            Part::All,
            false,
            vec![
                Format,
                Dependencies,
                Object,
                Lint,
                LintObject,
                Unit,
                Doc,
                Deploy,
                Live,
                Gateways,
                Scenarios,
                Machines,
            ],
        ),
        (
            Part::Native,
            false,
            vec![
                Format,
                Dependencies,
                Object,
                Lint,
                LintObject,
                Unit,
                Doc,
                Deploy,
                Live,
                Gateways,
                Scenarios,
            ],
        ),
        (
            Part::Unit,
            false,
            vec![Format, Dependencies, Object, Lint, LintObject, Unit, Doc],
        ),
        (Part::Live, false, vec![Object, Live, Gateways, Scenarios]),
        (Part::Vm, false, vec![Object, Machines]),
        (Part::Packages, false, vec![Object, Packages]),
        (
            Part::All,
            true,
            vec![Object, Unit, Deploy, Live, Gateways, Scenarios],
        ),
        (Part::Unit, true, vec![Object, Unit]),
        (
            Part::Native,
            true,
            vec![Object, Unit, Deploy, Live, Gateways, Scenarios],
        ),
        (Part::Live, true, vec![Object, Live, Gateways, Scenarios]),
        (Part::Vm, true, vec![Object, Machines]),
    ];
    for (part, filtered, expected) in rows {
        assert_eq!(stages(part, filtered), expected, "{part:?} {filtered}");
    }
}

#[test]
fn the_summary_names_what_did_not_pass() {
    let done = |stage, outcome| Finished {
        stage,
        outcome,
        took: Duration::from_secs(12),
    };
    let passed = done(Stage::Unit, Outcome::Passed(counts(3, 0, 0).to_string()));
    let quiet = done(Stage::Format, Outcome::Passed(String::new()));
    assert_eq!(
        summary(&[quiet, passed]),
        "format             ok         12 s\n\
         unit tests         ok         12 s  3 passed, 0 failed, 0 skipped\n\
         all stages passed"
    );
    let failed = done(Stage::Object, Outcome::Failed("why".to_owned()));
    let not_run = done(Stage::Live, Outcome::NotRun("because".to_owned()));
    assert_eq!(
        summary(&[failed, not_run]),
        "eBPF build         FAILED     12 s  why\n\
         live-kernel tests  not run    12 s  because\n\
         not passed: eBPF build, live-kernel tests"
    );
}

#[test]
fn finds_integration_tests_but_not_their_helpers() {
    let root = std::env::temp_dir().join(format!("xtask-tests-{}", std::process::id()));
    let tests = root.join("resetmon/tests");
    std::fs::create_dir_all(tests.join("live")).unwrap();
    std::fs::create_dir_all(tests.join("fixtures")).unwrap();
    for file in ["live/main.rs", "offsets.rs", "fixtures/a.rs", "data.json"] {
        std::fs::write(tests.join(file), "").unwrap();
    }
    assert_eq!(integration_tests(&root).unwrap(), ["live", "offsets"]);
    std::fs::remove_dir_all(&root).unwrap();
}

#[test]
fn the_summary_repeats_no_command_line() {
    let ended = || Invocation::new("false").run().unwrap_err();
    let rows = [
        (ended(), "see above"),
        (ended().context("1 passed"), "1 passed"),
        (anyhow!("they need root"), "they need root"),
    ];
    for (error, expected) in rows {
        assert_eq!(in_brief(&error), expected);
    }
}
