use super::*;

fn run(version: &str, checks: &[(&str, Outcome)], scenarios: &[(&str, Outcome)]) -> Run {
    let owned = |(title, outcome): &(&str, Outcome)| ((*title).to_owned(), outcome.clone());
    Run {
        version: version.to_owned(),
        series: Series::of(version).unwrap(),
        transcript: Transcript {
            checks: checks.iter().map(owned).collect(),
            scenarios: scenarios.iter().map(owned).collect(),
            troubles: Vec::new(),
            tests_began: true,
            seconds: Some(41.7),
        },
        boots: 1,
    }
}

fn failed(why: &str) -> Outcome {
    Outcome::Failed(vec![why.to_owned()])
}

fn skipped() -> Outcome {
    Outcome::Skipped("not here".to_owned())
}

fn asked(list: &str) -> Vec<(String, Demand)> {
    parse_list(list).unwrap()
}

/// One of every kernel, on which all went well.
pub(crate) fn a_good_matrix() -> Matrix {
    let checks = |reasons: Outcome| {
        [
            ("kernel BTF", Outcome::Ok),
            ("kernel reset reasons", reasons),
            ("probes accept", Outcome::Ok),
            ("probes first_read", skipped()),
        ]
    };
    let scenarios = [("a v4", Outcome::Ok)];
    let runs = [
        run("6.1.176", &checks(failed("not given")), &scenarios),
        run("6.12.95", &checks(Outcome::Ok), &scenarios),
        run("7.2.13", &checks(Outcome::Ok), &scenarios),
    ];
    let matrix = Matrix::new(&asked("a v4"), &runs);
    assert!(matrix.is_good());
    matrix
}

#[test]
fn reads_what_is_asked() {
    let title = |title: &str, demand| (title.to_owned(), demand);
    assert_eq!(
        asked("a v4\nb v6 since 6.10\nc\nd v4 fallback\n"),
        [
            title("a v4", Demand::Everywhere),
            title("b v6", Demand::Since(Series(6, 10))),
            title("c", Demand::Everywhere),
            title("d v4", Demand::Nowhere),
        ]
    );
    assert!(parse_list("a v4 since ever").is_err());
}

#[test]
fn a_table_of_what_went_well() {
    let list = asked("a v4\na v6\nb v4 since 6.10\nc v4 fallback\nd\n");
    let checks = |reasons: Outcome| {
        [
            ("kernel BTF", Outcome::Ok),
            ("kernel reset reasons", reasons),
            ("probes accept", Outcome::Ok),
            ("probes first_read", skipped()),
        ]
    };
    let ok = Outcome::Ok;
    let scenarios = |b: Outcome| {
        [
            ("a v4", ok.clone()),
            ("a v6", ok.clone()),
            ("b v4", b),
            ("c v4", skipped()),
            ("d", ok.clone()),
        ]
    };
    let runs = [
        run(
            "6.1.176",
            &checks(failed("not given")),
            &scenarios(skipped()),
        ),
        run("7.2.13", &checks(Outcome::Ok), &scenarios(Outcome::Ok)),
    ];
    let matrix = Matrix::new(&list, &runs);
    assert_eq!(
        matrix.to_string(),
        "\
Linux                 6.1.176  7.2.13
kernel reset reasons  -        ok
probes accept         ok       ok
probes first_read     -        -
a                     ok       ok
b                     -        ok
c                     -        -
d                     ok       ok
scenarios passed      3 of 3   4 of 4
from start to end     42 s     42 s
"
    );
    assert!(matrix.is_good());
    assert_eq!(
        matrix.in_brief(),
        "Linux 6.1.176 3 of 3, 2 not for it; Linux 7.2.13 4 of 4, 1 not for it"
    );
}

#[test]
fn what_a_kernel_must_do_and_does_not_is_bad() {
    let list = asked("a v4\na v6 since 6.10\n");
    let fine = [("a v4", Outcome::Ok), ("a v6", Outcome::Ok)];
    let reasons = |outcome| [("kernel reset reasons", outcome)];
    let rows: [(Run, &str); 6] = [
        (
            run("6.10.1", &[], &[("a v4", Outcome::Ok), ("a v6", skipped())]),
            "6.10.1: a v6: SKIPPED\n6.10.1:     not here\n",
        ),
        (
            run("6.1.1", &[], &[("a v4", skipped()), ("a v6", skipped())]),
            "6.1.1: a v4: SKIPPED\n6.1.1:     not here\n",
        ),
        (
            run(
                "6.1.1",
                &[],
                &[("a v4", Outcome::Ok), ("a v6", failed("x"))],
            ),
            "6.1.1: a v6: FAILED\n6.1.1:     x\n",
        ),
        (
            run("6.1.1", &[], &[("a v4", Outcome::Ok)]),
            "6.1.1: a v6: NOT RUN\n",
        ),
        (
            run("6.12.1", &reasons(failed("not given")), &fine),
            "6.12.1: kernel reset reasons: NOT MET\n6.12.1:     not given\n",
        ),
        (
            run("6.1.1", &[("kernel BTF", failed("none"))], &fine),
            "6.1.1: kernel BTF: NOT MET\n6.1.1:     none\n",
        ),
    ];
    for (run, details) in rows {
        let matrix = Matrix::new(&list, &[run]);
        assert!(!matrix.is_good(), "{matrix}");
        assert!(matrix.to_string().ends_with(details), "{matrix}");
    }
}

#[test]
fn a_trouble_alone_is_bad() {
    let mut run = run("6.1.1", &[], &[("a v4", Outcome::Ok)]);
    run.transcript.troubles.push("it stopped".to_owned());
    run.boots = 2;
    let matrix = Matrix::new(&asked("a v4"), &[run]);
    assert!(!matrix.is_good());
    assert!(matrix.to_string().ends_with("6.1.1: it stopped\n"));
    assert_eq!(matrix.in_brief(), "Linux 6.1.1 1 of 1, booted 2 times");
}

#[test]
fn a_check_that_one_kernel_does_not_make_is_bad_there() {
    let runs = [
        run("6.12.1", &[("probes x", Outcome::Ok)], &[]),
        run("7.2.1", &[], &[]),
    ];
    let matrix = Matrix::new(&[], &runs);
    assert!(
        matrix.to_string().ends_with("7.2.1: probes x: NOT RUN\n"),
        "{matrix}"
    );
}

#[test]
fn families_share_a_row() {
    let list = asked("a v4\na v6\na mapped\nab v4\n");
    let runs = [run(
        "6.1.1",
        &[],
        &[
            ("a v4", Outcome::Ok),
            ("a v6", failed("x")),
            ("a mapped", skipped()),
            ("ab v4", Outcome::Ok),
        ],
    )];
    let text = Matrix::new(&list, &runs).to_string();
    assert!(
        text.contains("\na                  FAILED, SKIPPED\nab "),
        "{text}"
    );
}
