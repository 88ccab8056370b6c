//! The README's table of kernels: written from a run, and held against what is declared.

use std::path::Path;

use anyhow::{Context, Result};

use super::matrix::Matrix;

/// The lines around the table.
const BEGIN: &str = "<!-- written by: cargo xtask vm --all --readme -->\n";
const END: &str = "<!-- end -->\n";

/// Puts the table of `matrix` in the place of the one in the file `readme`.
///
/// # Errors
/// When the file cannot be read or written, or has no place for the table.
pub(super) fn write(readme: &Path, matrix: &Matrix) -> Result<()> {
    let text = std::fs::read_to_string(readme)
        .with_context(|| format!("cannot read {}", readme.display()))?;
    let (before, _, after) = parts(&text).with_context(|| {
        format!(
            "{} has no place for the table: put the lines `{}` and `{}` there",
            readme.display(),
            BEGIN.trim_end(),
            END.trim_end()
        )
    })?;
    let text = [before, BEGIN, &table(matrix), END, after].concat();
    std::fs::write(readme, text).with_context(|| format!("cannot write {}", readme.display()))
}

/// What stands before the table, the table, and what stands after it.
fn parts(readme: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = readme.split_once(BEGIN)?;
    let (table, after) = rest.split_once(END)?;
    Some((before, table, after))
}

/// The table in Markdown: what each kernel gives. A matrix from which it is written has nothing
/// that went wrong, so the last row needs no figures.
fn table(matrix: &Matrix) -> String {
    let line = |first: &str, cells: Vec<String>| format!("| {first} | {} |\n", cells.join(" | "));
    let series = matrix.series();
    let names = series.iter().map(ToString::to_string).collect();
    let mut text = line("Linux", names);
    text.push_str(&"|---".repeat(1 + series.len()));
    text.push_str("|\n");
    for (title, given) in matrix.checks() {
        let cells = given.iter().map(|given| said(*given).to_owned()).collect();
        text.push_str(&line(title, cells));
    }
    text.push_str(&line("live tests", vec!["passed".to_owned(); series.len()]));
    text
}

/// A cell of the table.
fn said(given: bool) -> &'static str {
    if given { "yes" } else { "–" }
}

#[cfg(test)]
mod tests {
    use super::super::kernel::{ALL, Series, Wanted};
    use super::super::matrix::{CHECKS_SINCE, tests::a_good_matrix};
    use super::*;

    /// What is wrong with a table: its kernels are not those of the whole matrix, or it contradicts
    /// a declaration.
    fn contradictions(table: &str) -> Vec<String> {
        let mut rows = table.lines().map(|line| {
            let cells = line.trim_matches('|').split('|').map(str::trim);
            cells.collect::<Vec<_>>()
        });
        let mut wrong = Vec::new();
        let head = rows.next().unwrap_or_default();
        let series: Vec<Series> = head.iter().filter_map(|cell| Series::of(cell)).collect();
        let fits = |(wanted, series): (&Wanted, &Series)| match wanted {
            Wanted::Series(wanted) => wanted == series,
            Wanted::Newest => true,
        };
        if series.len() != ALL.len() || !ALL.iter().zip(&series).all(fits) || !series.is_sorted() {
            wrong.push(format!("kernels: {head:?}"));
        }
        let rows: Vec<Vec<&str>> = rows.skip(1).collect();
        for (name, first) in CHECKS_SINCE {
            let expected = series.iter().map(|series| said(*series >= first));
            let row = std::iter::once(name).chain(expected).collect::<Vec<_>>();
            if !rows.contains(&row) {
                wrong.push(format!("no row {row:?}"));
            }
        }
        for row in rows {
            let known = |cell: &&str| ["yes", "–", "passed"].contains(cell);
            if row.len() != 1 + series.len() || !row[1..].iter().all(known) {
                wrong.push(format!("row {row:?}"));
            }
        }
        wrong
    }

    #[test]
    fn the_readme_says_what_is_declared() {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let text = std::fs::read_to_string(readme).unwrap();
        let (_, table, _) = parts(&text).expect("the README has a table of kernels");
        assert_eq!(contradictions(table), Vec::<String>::new(), "{table}");
    }

    #[test]
    fn a_table_of_a_good_run() {
        let text = table(&a_good_matrix());
        assert_eq!(
            text,
            "\
| Linux | 6.1 | 6.12 | 7.2 |
|---|---|---|---|
| kernel reset reasons | – | yes | yes |
| probes accept | yes | yes | yes |
| probes first_read | – | – | – |
| live tests | passed | passed | passed |
"
        );
        assert_eq!(contradictions(&text), Vec::<String>::new());
        let wrong = [
            ("| 6.12 | 7.2 |\n|---", "| 7.2 |\n|---"),
            ("| Linux | 6.1 |", "| Linux | 6.2 |"),
            ("reasons | – | yes", "reasons | yes | yes"),
            ("reasons | – | yes", "reasons | – | –"),
            ("kernel reset reasons", "reasons"),
            ("accept | yes | yes | yes", "accept | yes | yes"),
            ("accept | yes", "accept | perhaps"),
        ];
        for (from, to) in wrong {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            assert_ne!(contradictions(&changed), Vec::<String>::new(), "{changed}");
        }
    }

    #[test]
    fn the_table_is_put_in_its_place() {
        let file = std::env::temp_dir().join(format!("xtask-readme-{}", std::process::id()));
        std::fs::write(&file, format!("before\n{BEGIN}old\n{END}after\n")).unwrap();
        let matrix = a_good_matrix();
        for _ in 0..2 {
            write(&file, &matrix).unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            assert_eq!(
                text,
                format!("before\n{BEGIN}{}{END}after\n", table(&matrix))
            );
        }
        std::fs::write(&file, "nothing").unwrap();
        let error = write(&file, &matrix).unwrap_err().to_string();
        assert!(error.contains("has no place for the table"), "{error}");
        std::fs::remove_file(&file).unwrap();
    }
}
