//! Directives: what the configurations of nginx and of Apache httpd consist of.

use std::fmt;
use std::sync::Arc;

/// One directive, or a block with those inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: String,
    /// What stands behind the name, without quotes.
    pub arguments: Vec<String>,
    /// Where it stands.
    pub place: Place,
    /// What stands inside, for a block.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    /// The argument at `index`, or nothing.
    #[must_use]
    pub fn argument(&self, index: usize) -> &str {
        self.arguments.get(index).map_or("", String::as_str)
    }

    /// What stands inside; nothing if it is no block.
    #[must_use]
    pub fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// As an operator would write it, without what stands inside.
impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as the gateway sees it.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Text that is no valid configuration; the place, then what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct SyntaxError {
    /// Where.
    pub place: Place,
    /// What.
    pub reason: String,
}
