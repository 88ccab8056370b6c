//! What can be wrong with a configuration.

use std::path::PathBuf;

use crate::yaml::{self, Problem};

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
    #[error("{}", yaml::listed(.name, .problems))]
    Invalid {
        /// What the text is called: its path.
        name: String,
        /// Everything found, in the order of the text.
        problems: Vec<Problem>,
    },
}
