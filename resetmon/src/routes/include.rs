//! Files that configurations of nginx and of Apache httpd take in: which, how deep, how much.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directive::{Directive, Place, SyntaxError};
use super::files::Files;
use super::notes::Notes;

/// Deepest nesting of includes and macros.
const MAX_NESTING: usize = 16;
/// Most bytes of all files and macros together.
pub(super) const MAX_BYTES: usize = 64 << 20;

/// The files that `include` names, which stands `depth` includes deep; patterns begin in
/// `directory`. `None`: there is nothing to read, which is noted.
///
/// Errors: it stands too deep.
pub(super) fn paths<'a>(
    files: Option<&'a Files>,
    directory: &Path,
    (include, depth): (&Directive, usize),
    notes: &mut Notes,
) -> Result<Option<(&'a Files, Vec<PathBuf>)>, SyntaxError> {
    let Some(files) = files else {
        notes.add(&include.place, format_args!("{include}: not read"));
        return Ok(None);
    };
    nested(depth, include)?;
    let pattern = directory.join(include.argument(0));
    match files.glob(&pattern.to_string_lossy()) {
        Ok(paths) => Ok(Some((files, paths))),
        Err(error) => {
            notes.add(&include.place, error);
            Ok(None)
        }
    }
}

/// Errors: `directive` stands too deep for another include or macro.
pub(super) fn nested(depth: usize, directive: &Directive) -> Result<(), SyntaxError> {
    if depth < MAX_NESTING {
        return Ok(());
    }
    Err(SyntaxError {
        place: directive.place.clone(),
        reason: "too many includes or macros inside each other".to_owned(),
    })
}

/// Adds `more` bytes of `file` to those read so far.
///
/// Errors: they are too many.
pub(super) fn count(bytes: &mut usize, more: usize, file: &Arc<str>) -> Result<(), SyntaxError> {
    *bytes = bytes.saturating_add(more);
    if *bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(SyntaxError {
        place: Place {
            file: Arc::clone(file),
            line: 1,
        },
        reason: format!("the files are larger than {} MiB together", MAX_BYTES >> 20),
    })
}
