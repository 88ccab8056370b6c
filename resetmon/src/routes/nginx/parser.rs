//! From nginx's files to directives: blocks, includes, and Lua blocks, which are skipped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lexer::{Lexer, Token};
use crate::routes::directive::{Directive, Place, SyntaxError};
use crate::routes::files::Files;
use crate::routes::include;
use crate::routes::notes::Notes;

/// Deepest nesting of blocks in one file.
const MAX_DEPTH: usize = 64;
/// Most directives of all files together.
const MAX_DIRECTIVES: usize = 500_000;

/// The directives of `text`, which stands in the file `path`, with those of its includes.
///
/// Without `files` includes are only noted.
pub(super) fn parse(
    text: &str,
    path: &Path,
    files: Option<&Files>,
    notes: &mut Notes,
) -> Result<Vec<Directive>, SyntaxError> {
    let mut parser = Parser {
        files,
        directory: path.parent().unwrap_or(Path::new("/")).to_owned(),
        directives: 0,
        bytes: 0,
        notes,
    };
    parser.file(text, path, 0)
}

struct Parser<'a> {
    files: Option<&'a Files>,
    /// Of the main file: relative includes begin there.
    directory: PathBuf,
    directives: usize,
    bytes: usize,
    notes: &'a mut Notes,
}

impl Parser<'_> {
    fn file(
        &mut self,
        text: &str,
        path: &Path,
        includes: usize,
    ) -> Result<Vec<Directive>, SyntaxError> {
        let file: Arc<str> = path.to_string_lossy().into();
        let place = |line: usize| Place {
            file: Arc::clone(&file),
            line,
        };
        let error = |line: usize, reason: &str| SyntaxError {
            place: place(line),
            reason: reason.to_owned(),
        };
        include::count(&mut self.bytes, text.len(), &file)?;
        let mut lexer = Lexer::new(text);
        let mut current = Vec::new();
        let mut outer: Vec<(Directive, Vec<Directive>)> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut start = 1;
        while let Some(token) = lexer
            .token()
            .map_err(|reason| error(lexer.line(), reason))?
        {
            match token {
                Token::Word(word) => {
                    if words.is_empty() {
                        start = lexer.line();
                    }
                    words.push(word);
                }
                Token::Semicolon => {
                    let directive = self
                        .directive(&mut words, place(start))
                        .ok_or_else(|| error(lexer.line(), "a `;` without a directive"))??;
                    if directive.name == "include" {
                        self.include(&directive, includes, &mut current)?;
                    } else {
                        current.push(directive);
                    }
                }
                Token::Open => {
                    let directive = self
                        .directive(&mut words, place(start))
                        .ok_or_else(|| error(lexer.line(), "a `{` without a directive"))??;
                    if directive.name.ends_with("_by_lua_block") {
                        lexer
                            .skip_lua()
                            .map_err(|reason| error(directive.place.line, reason))?;
                        current.push(directive);
                        continue;
                    }
                    if outer.len() >= MAX_DEPTH {
                        return Err(error(lexer.line(), "too many blocks inside each other"));
                    }
                    outer.push((directive, std::mem::take(&mut current)));
                }
                Token::Close => {
                    if !words.is_empty() {
                        return Err(error(lexer.line(), "a `;` is missing before `}`"));
                    }
                    let (mut directive, around) = outer
                        .pop()
                        .ok_or_else(|| error(lexer.line(), "a `}` without its `{`"))?;
                    directive.block = Some(std::mem::replace(&mut current, around));
                    current.push(directive);
                }
            }
        }
        if let Some((directive, _)) = outer.last() {
            let reason = format!("`{}` has no closing `}}`", directive.name);
            return Err(error(directive.place.line, &reason));
        }
        if !words.is_empty() {
            return Err(error(start, "a `;` is missing at the end"));
        }
        Ok(current)
    }

    /// The directive of these words, which are taken.
    fn directive(
        &mut self,
        words: &mut Vec<String>,
        place: Place,
    ) -> Option<Result<Directive, SyntaxError>> {
        let mut words = std::mem::take(words).into_iter();
        let name = words.next()?;
        self.directives += 1;
        if self.directives > MAX_DIRECTIVES {
            let reason = format!("more than {MAX_DIRECTIVES} directives");
            return Some(Err(SyntaxError { place, reason }));
        }
        Some(Ok(Directive {
            name,
            arguments: words.collect(),
            place,
            block: None,
        }))
    }

    fn include(
        &mut self,
        include: &Directive,
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), SyntaxError> {
        let found = include::paths(self.files, &self.directory, (include, depth), self.notes)?;
        let Some((files, paths)) = found else {
            return Ok(());
        };
        for path in paths {
            match files.read(&path) {
                Ok(text) => into.append(&mut self.file(&text, &path, depth + 1)?),
                Err(error) => self.notes.add(&include.place, error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
