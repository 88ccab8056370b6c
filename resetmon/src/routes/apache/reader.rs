//! From Apache httpd's files to directives: lines, sections, includes, conditions, macros.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::condition::{self, Version};
use super::lines::{directive, lines, substitute};
use crate::routes::directive::{Directive, Place, SyntaxError};
use crate::routes::files::Files;
use crate::routes::include::{self, MAX_BYTES, nested};
use crate::routes::notes::Notes;

/// Deepest nesting of sections.
const MAX_DEPTH: usize = 64;
/// Most lines of all files and macros together.
const MAX_LINES: usize = 500_000;

/// What a configuration depends on besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Where relative paths begin, until `ServerRoot` says otherwise.
    pub server_root: PathBuf,
    /// Names that `-D` defines.
    pub defines: Vec<String>,
    /// Environment variables, `NAME=value`.
    pub environment: Vec<String>,
    /// Modules that are part of the program, as `mod_so.c`.
    pub modules: Vec<String>,
    /// Its version; `None`: any recent one.
    pub version: Option<Version>,
    /// Directives of `-C`, read before the file.
    pub before: Vec<String>,
    /// Directives of `-c`, read after the file.
    pub after: Vec<String>,
}

/// Reads one configuration.
pub(super) struct Reader<'a> {
    files: Option<&'a Files>,
    notes: &'a mut Notes,
    server_root: PathBuf,
    /// `Define` and `-D`, by name.
    defines: HashMap<String, Option<String>>,
    environment: HashMap<&'a str, &'a str>,
    /// By symbol (`ssl_module`) and by source (`mod_ssl.c`).
    modules: HashSet<String>,
    version: Option<Version>,
    macros: HashMap<String, Macro>,
    lines: usize,
    bytes: usize,
    sections: usize,
}

/// What `<Macro>` keeps until it is used.
#[derive(Clone, Debug)]
struct Macro {
    /// Longest first: where two fit, the longer one is meant.
    parameters: Vec<(usize, String)>,
    lines: Arc<[(Place, String)]>,
}

/// A section that is open.
enum Open {
    /// A condition that holds; its inside belongs to the section around.
    Condition(String),
    /// A section, and what stood before it.
    Section(Directive, Vec<Directive>),
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        surroundings: &'a Surroundings,
        files: Option<&'a Files>,
        notes: &'a mut Notes,
    ) -> Self {
        let environment = surroundings.environment.iter();
        let defines = surroundings.defines.iter();
        Self {
            files,
            notes,
            server_root: surroundings.server_root.clone(),
            defines: defines.map(|name| (name.clone(), None)).collect(),
            environment: environment
                .filter_map(|entry| entry.split_once('='))
                .collect(),
            modules: surroundings
                .modules
                .iter()
                .flat_map(|source| names_of(source))
                .collect(),
            version: surroundings.version,
            macros: HashMap::new(),
            lines: 0,
            bytes: 0,
            sections: 0,
        }
    }

    /// The directives of `text`, which stands in the file `path`.
    pub(super) fn file(
        &mut self,
        text: &str,
        path: &Path,
        depth: usize,
    ) -> Result<Vec<Directive>, SyntaxError> {
        let file: Arc<str> = path.to_string_lossy().into();
        self.take(text.len(), &file)?;
        self.directives(&lines(text, &file), depth)
    }

    fn take(&mut self, bytes: usize, file: &Arc<str>) -> Result<(), SyntaxError> {
        include::count(&mut self.bytes, bytes, file)
    }

    /// The directives of these lines, whose sections end where they end.
    fn directives(
        &mut self,
        lines: &[(Place, String)],
        depth: usize,
    ) -> Result<Vec<Directive>, SyntaxError> {
        let mut current = Vec::new();
        let mut open: Vec<Open> = Vec::new();
        let mut rest = lines.iter();
        while let Some((place, line)) = rest.next() {
            let error = |reason: String| SyntaxError {
                place: place.clone(),
                reason,
            };
            self.lines += 1;
            if self.lines > MAX_LINES {
                return Err(error(format!("more than {MAX_LINES} lines")));
            }
            let line = self.with_variables(line, place);
            self.take(0, &place.file)?;
            if let Some(name) = line.strip_prefix("</") {
                let name = name.trim_end_matches('>').trim().to_ascii_lowercase();
                let stray = || error(format!("</{name}> without its <{name}>"));
                match open.pop().ok_or_else(stray)? {
                    Open::Condition(opened) if opened == name => {}
                    Open::Section(mut section, around) if section.name == name => {
                        self.sections -= 1;
                        section.block = Some(std::mem::replace(&mut current, around));
                        current.push(section);
                    }
                    Open::Condition(opened) => {
                        return Err(error(format!("</{name}> ends <{opened}>")));
                    }
                    Open::Section(section, _) => {
                        return Err(error(format!("</{name}> ends <{}>", section.name)));
                    }
                }
            } else if let Some(inside) = line.strip_prefix('<') {
                let inside = inside.trim_end();
                let inside = inside.strip_suffix('>').unwrap_or(inside);
                let section = directive(inside, place);
                if section.name == "macro" {
                    let lines = skip(&mut rest, &section)?;
                    self.define_macro(&section, lines);
                } else if let Some(holds) = self.condition(&section) {
                    if holds {
                        open.push(Open::Condition(section.name));
                    } else {
                        skip(&mut rest, &section)?;
                    }
                } else {
                    self.sections += 1;
                    if self.sections > MAX_DEPTH {
                        return Err(error("too many sections inside each other".to_owned()));
                    }
                    open.push(Open::Section(section, std::mem::take(&mut current)));
                }
            } else {
                self.directive(directive(&line, place), depth, &mut current)?;
            }
            if open.len() > MAX_DEPTH {
                return Err(error("too many sections inside each other".to_owned()));
            }
        }
        match open.pop() {
            None => Ok(current),
            Some(Open::Section(section, _)) => Err(unclosed(&section)),
            Some(Open::Condition(name)) => {
                let place = lines.last().map(|(place, _)| place.clone());
                Err(SyntaxError {
                    place: place.unwrap_or(Place {
                        file: "".into(),
                        line: 1,
                    }),
                    reason: format!("<{name}> has no </{name}>"),
                })
            }
        }
    }

    /// Whether a condition holds; `None` for another section.
    fn condition(&mut self, section: &Directive) -> Option<bool> {
        let text = section.arguments.join(" ");
        let (wanted, name) = match text.strip_prefix('!') {
            Some(name) => (false, name.trim()),
            None => (true, &*text),
        };
        let holds = match &*section.name {
            "ifmodule" => self.modules.contains(name),
            "ifdefine" => self.defines.contains_key(name),
            "ifversion" => {
                let holds = condition::version(&text, self.version);
                if holds.is_none() {
                    let what = format!("<IfVersion {text}>: taken as true");
                    self.notes.add(&section.place, what);
                }
                return Some(holds.unwrap_or(true));
            }
            "iffile" => {
                let path = self.server_root.join(name);
                self.files.is_none_or(|files| files.exists(&path))
            }
            "ifdirective" | "ifsection" => {
                let what = format!("<{section}>: taken as true");
                self.notes.add(&section.place, what);
                return Some(true);
            }
            _ => return None,
        };
        Some(holds == wanted)
    }

    /// Obeys a directive that is about reading, and keeps any other.
    fn directive(
        &mut self,
        directive: Directive,
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), SyntaxError> {
        let first = directive.argument(0);
        match &*directive.name {
            "include" | "includeoptional" => self.include(&directive, depth, into)?,
            "use" => self.use_macro(&directive, depth, into)?,
            "define" => {
                let value = directive.arguments.get(1).cloned();
                self.defines.insert(first.to_owned(), value);
            }
            "undefine" => {
                self.defines.remove(first);
            }
            "undefmacro" => {
                self.macros.remove(&first.to_ascii_lowercase());
            }
            "serverroot" => self.server_root = first.into(),
            "loadmodule" => {
                self.modules.insert(first.to_owned());
                let path = Path::new(directive.argument(1));
                if let Some(stem) = path.file_stem() {
                    self.modules.insert(format!("{}.c", stem.to_string_lossy()));
                }
            }
            "" => {}
            _ => into.push(directive),
        }
        Ok(())
    }

    fn include(
        &mut self,
        include: &Directive,
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), SyntaxError> {
        let place = (include, depth);
        let found = include::paths(self.files, &self.server_root, place, self.notes)?;
        for (files, path) in found
            .into_iter()
            .flat_map(|(files, paths)| paths.into_iter().map(move |path| (files, path)))
        {
            self.included(files, &path, include, depth + 1, into)?;
        }
        Ok(())
    }

    /// A file, or every file below a directory.
    fn included(
        &mut self,
        files: &Files,
        path: &Path,
        include: &Directive,
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), SyntaxError> {
        nested(depth, include)?;
        if let Ok(names) = files.list(path) {
            for name in names {
                self.included(files, &path.join(name), include, depth + 1, into)?;
            }
            return Ok(());
        }
        match files.read(path) {
            Ok(text) => into.append(&mut self.file(&text, path, depth)?),
            Err(_) if include.name == "includeoptional" && !files.exists(path) => {}
            Err(error) => self.notes.add(&include.place, error),
        }
        Ok(())
    }

    fn define_macro(&mut self, section: &Directive, lines: &[(Place, String)]) {
        let mut arguments = section.arguments.iter();
        let Some(name) = arguments.next() else {
            return;
        };
        let mut parameters: Vec<_> = arguments.cloned().enumerate().collect();
        parameters.retain(|(_, name)| !name.is_empty());
        parameters.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        let defined = Macro {
            parameters,
            lines: lines.into(),
        };
        self.macros.insert(name.to_ascii_lowercase(), defined);
    }

    fn use_macro(
        &mut self,
        call: &Directive,
        depth: usize,
        into: &mut Vec<Directive>,
    ) -> Result<(), SyntaxError> {
        nested(depth, call)?;
        let Some(known) = self
            .macros
            .get(&call.argument(0).to_ascii_lowercase())
            .cloned()
        else {
            self.notes
                .add(&call.place, format_args!("{call}: no such macro"));
            return Ok(());
        };
        let values = call.arguments.get(1..).unwrap_or_default();
        let mut lines = Vec::with_capacity(known.lines.len());
        for (place, line) in known.lines.iter() {
            let line = substitute(line, &known.parameters, values);
            self.take(line.len() + 1, &place.file)?;
            lines.push((place.clone(), line));
        }
        into.append(&mut self.directives(&lines, depth + 1)?);
        Ok(())
    }

    /// `line` with the values of its `${NAME}`. One that nothing defines stays as it is.
    fn with_variables(&mut self, line: &str, place: &Place) -> String {
        let mut done = String::with_capacity(line.len());
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("${") {
            done.push_str(before);
            let Some((name, behind)) = after.split_once('}') else {
                done.push_str("${");
                rest = after;
                break;
            };
            let defined = self.defines.get(name).map(|value| value.as_deref());
            let from_outside = || self.environment.get(name).copied();
            if let Some(value) = defined.flatten().or_else(from_outside) {
                self.bytes = self.bytes.saturating_add(value.len());
                if self.bytes > MAX_BYTES {
                    break;
                }
                done.push_str(value);
            } else {
                // With a colon it is a map of mod_rewrite, which a request decides.
                if !name.contains(':') {
                    self.notes
                        .add(place, format_args!("${{{name}}} is not defined"));
                }
                done.push_str("${");
                done.push_str(name);
                done.push('}');
            }
            rest = behind;
        }
        done.push_str(rest);
        done
    }
}

/// Both names of a module that is part of the program: `mod_so.c` is `so_module`.
fn names_of(source: &str) -> impl Iterator<Item = String> {
    let stem = source
        .strip_prefix("mod_")
        .and_then(|name| name.strip_suffix(".c"));
    let symbol = stem.map(|stem| format!("{stem}_module"));
    std::iter::once(source.to_owned()).chain(symbol)
}

fn unclosed(section: &Directive) -> SyntaxError {
    SyntaxError {
        place: section.place.clone(),
        reason: format!("<{0}> has no </{0}>", section.name),
    }
}

/// Takes the lines of `section` and its end; the lines inside.
fn skip<'b>(
    rest: &mut std::slice::Iter<'b, (Place, String)>,
    section: &Directive,
) -> Result<&'b [(Place, String)], SyntaxError> {
    let lines = rest.as_slice();
    let mut depth = 1usize;
    for (index, (_, line)) in rest.by_ref().enumerate() {
        if line.starts_with("</") {
            depth -= 1;
        } else if line.starts_with('<') {
            depth += 1;
        }
        if depth == 0 {
            return Ok(&lines[..index]);
        }
    }
    Err(unclosed(section))
}

#[cfg(test)]
mod tests;
