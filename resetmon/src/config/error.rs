//! What can be wrong with a configuration.

use std::fmt::Write;
use std::path::PathBuf;

use crate::yaml::Problem;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}; check the path and its permissions", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that cannot be; one line a problem, as `name:line:column: what`.
    #[error("{}", listed(.name, .problems))]
    Invalid {
        /// What the text is called: its path.
        name: String,
        /// Everything found, in the order of the text.
        problems: Vec<Problem>,
    },
}

fn listed(name: &str, problems: &[Problem]) -> String {
    let mut lines = String::new();
    for problem in problems {
        let newline = if lines.is_empty() { "" } else { "\n" };
        let gap = if problem.place.is_none() { " " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(lines, "{newline}{name}:{gap}{problem}");
    }
    lines
}
