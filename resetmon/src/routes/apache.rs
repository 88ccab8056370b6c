//! Apache httpd: routes from its configuration files.
//!
//! A route is the path of a `ProxyPass`, a section or a `RewriteRule` with `[P]`, called by the
//! `ServerName` and the path as written: `shop.example.com/api`, `shop.example.com ~ ^/v[0-9]`; the
//! server's name is left out if only one name has upstreams. An upstream is called as its
//! `balancer://`, else by host and port as written.
//!
//! Files are read as they are now, when httpd has new child processes. It has them after a restart,
//! graceful or not, but also when load makes it start more, and nothing tells the one from the
//! other: an edit that no restart followed then counts. What the balancer manager changes at run
//! time is not seen.

use std::path::{Path, PathBuf};

pub use self::condition::Version;
pub use self::reader::Surroundings;
use self::upstream::Upstreams;
use super::directive::SyntaxError;
use super::files::Files;
use super::instance::Instance;
use super::naming::{routes, without_only_name};
use super::source::{Reading, ReadingFuture, Source, SourceError};

mod condition;
mod lines;
mod reader;
mod site;
mod upstream;

/// File names of the executables.
const PROGRAMS: [&str; 6] = [
    "apache2",
    "httpd",
    "httpd.worker",
    "httpd.event",
    "httpd2",
    "httpd-prefork",
];
/// Options of calls that end at once.
const CALLS: &str = "tSvVlLMh";
/// Options with a value.
const VALUED: &str = "DCcdEefkR";
/// Where the configuration usually is: the server's root, and the file below it.
const USUAL: [(&str, &str); 5] = [
    ("/etc/apache2", "apache2.conf"),
    ("/etc/httpd", "conf/httpd.conf"),
    ("/usr/local/apache2", "conf/httpd.conf"),
    ("/etc/apache2", "httpd.conf"),
    ("/usr/local/etc/apache24", "httpd.conf"),
];

/// The source for Apache httpd.
#[derive(Clone, Copy, Debug, Default)]
pub struct Apache;

impl Source for Apache {
    fn kind(&self) -> &'static str {
        "apache"
    }

    fn claims(&self, instance: &Instance) -> bool {
        if !PROGRAMS.contains(&instance.program()) {
            return false;
        }
        let options = options(&instance.arguments);
        !options
            .iter()
            .any(|(letter, value)| CALLS.contains(*letter) || *letter == 'k' && *value != "start")
    }

    fn read<'a>(&'a self, instance: &'a Instance) -> ReadingFuture<'a> {
        Box::pin(async move { read(instance) })
    }
}

fn read(instance: &Instance) -> Result<Reading, SourceError> {
    let files = instance.files()?;
    let (path, surroundings) = configuration(instance, &files)?;
    let text = files.read(&path)?;
    reading(&text, &path, &surroundings, Some(&files))
        .map_err(|error| SourceError::Invalid(error.to_string()))
}

/// What the configuration `text`, which stands at `path`, says; includes are read from `files`.
///
/// Errors: the text is no httpd configuration.
pub fn reading(
    text: &str,
    path: &Path,
    surroundings: &Surroundings,
    files: Option<&Files>,
) -> Result<Reading, SyntaxError> {
    let mut upstreams = Upstreams::default();
    let mut notes = std::mem::take(&mut upstreams.notes);
    let mut reader = reader::Reader::new(surroundings, files, &mut notes);
    let mut tree = reader.file(&surroundings.before.join("\n"), Path::new("-C"), 0)?;
    tree.append(&mut reader.file(text, path, 0)?);
    tree.append(&mut reader.file(&surroundings.after.join("\n"), Path::new("-c"), 0)?);
    let listeners = site::listeners(&tree, &mut notes);
    upstreams.notes = notes;
    let mut drafts = site::drafts(&tree, &listeners, &mut upstreams);
    without_only_name(&mut drafts);
    upstreams.finish();
    Ok(Reading {
        name: None,
        listeners,
        routes: routes(drafts),
        upstreams: upstreams.backends.into_upstreams(),
        name_servers: Vec::new(),
        not_understood: upstreams.notes.into_lines(),
        origin: path.display().to_string(),
    })
}

/// The options of the command line with their values.
fn options(arguments: &[String]) -> Vec<(char, &str)> {
    let mut found = Vec::new();
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        let Some(letters) = argument.strip_prefix('-') else {
            continue;
        };
        for (index, letter) in letters.char_indices() {
            if VALUED.contains(letter) {
                let glued = &letters[index + 1..];
                let value = match glued {
                    "" => rest.next().map_or("", String::as_str),
                    glued => glued,
                };
                found.push((letter, value));
                break;
            }
            found.push((letter, ""));
        }
    }
    found
}

/// Path of the main configuration file, as the process sees it, and what else it depends on.
fn configuration(
    instance: &Instance,
    files: &Files,
) -> Result<(PathBuf, Surroundings), SourceError> {
    let options = options(&instance.arguments);
    let last = |wanted: char| {
        let found = options.iter().rev().find(|(letter, _)| *letter == wanted);
        found.map(|(_, value)| *value)
    };
    let all = |wanted: char| -> Vec<String> {
        let found = options.iter().filter(|(letter, _)| *letter == wanted);
        found.map(|(_, value)| (*value).to_owned()).collect()
    };
    // An executable that cannot be read tells nothing; the usual places are left.
    let compiled = files.read(&instance.exe).map(|text| Compiled::of(&text));
    let compiled = compiled.unwrap_or_default();
    let usual = || {
        USUAL
            .into_iter()
            .find(|(root, file)| files.exists(&Path::new(root).join(file)))
    };
    let root = last('d').map(|root| instance.directory.join(root));
    let operator = instance.config.as_ref().and_then(|path| path.to_str());
    let given = operator.or_else(|| last('f')).or(compiled.file.as_deref());
    let root = root
        .or_else(|| compiled.root.map(PathBuf::from))
        .or_else(|| usual().map(|(root, _)| root.into()));
    let file = given.or_else(|| usual().map(|(_, file)| file));
    let (root, file) = match (root, file) {
        (Some(root), Some(file)) => (root, file),
        (None, Some(file)) if file.starts_with('/') => (PathBuf::from("/"), file),
        _ => {
            let places = USUAL
                .map(|(root, file)| format!("{root}/{file}"))
                .join(", ");
            return Err(SourceError::NotFound(format!(
                "httpd, pid {}: neither its command line nor {} says where its configuration is, \
                 and it is not in {places}; give its path in the configuration of resetmon",
                instance.pid,
                instance.exe.display(),
            )));
        }
    };
    let surroundings = Surroundings {
        defines: all('D'),
        environment: instance.environment.clone(),
        modules: compiled.modules,
        version: compiled.version,
        before: all('C'),
        after: all('c'),
        server_root: root.clone(),
    };
    Ok((root.join(file), surroundings))
}

/// What httpd was compiled with, as its executable says (`httpd -V`, `httpd -l`).
#[derive(Debug, Default, PartialEq, Eq)]
struct Compiled {
    root: Option<String>,
    file: Option<String>,
    /// Modules that need no `LoadModule`.
    modules: Vec<String>,
    version: Option<Version>,
}

impl Compiled {
    /// From the bytes of the executable.
    fn of(executable: &str) -> Self {
        let value = |setting: &str| {
            let (_, after) = executable.split_once(setting)?;
            let (value, _) = after.split_once('"')?;
            (!value.is_empty() && !value.contains('\0')).then(|| value.to_owned())
        };
        let is_name = |text: &&str| {
            let stem = text.strip_suffix(".c");
            stem.is_some_and(|stem| {
                stem.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            })
        };
        let version = executable.match_indices("Apache/").find_map(|(at, start)| {
            let after = &executable[at + start.len()..];
            let end = after.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
            // Shorter ones are what `ServerTokens` may cut it down to.
            let version = &after[..end];
            (version.matches('.').count() == 2).then(|| condition::parse(version))?
        });
        Self {
            root: value("HTTPD_ROOT=\""),
            file: value("SERVER_CONFIG_FILE=\""),
            modules: executable
                .split('\0')
                .filter(is_name)
                .map(str::to_owned)
                .collect(),
            version,
        }
    }
}

#[cfg(test)]
mod tests;
