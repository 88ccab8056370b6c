//! Debian's archive through apt, with lists and sources of our own: the machine's are only read.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::Invocation;

/// The keys of Debian's archive, where newer releases keep them only here.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What apt is asked of each index that the machine's sources name.
const TARGET: &str = "$(ORIGIN)|$(LABEL)|$(CODENAME)|$(REPO_URI)";

/// A Debian mirror, as the machine's own sources name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// Where it is.
    pub(crate) uri: String,
    /// The release that the machine follows, such as `bookworm`.
    pub(crate) codename: String,
}

impl Mirror {
    /// The mirror that the machine's own sources name.
    ///
    /// Who it belongs to stands in apt's lists. Container images come without them; they are then
    /// fetched into `scratch`, which needs no root.
    ///
    /// # Errors
    /// When apt cannot be asked, or names none.
    pub(crate) fn of_this_machine(scratch: &Path, log: &Path) -> Result<Self> {
        let apt = Invocation::new("apt-get").env("LC_ALL", "C");
        if let Some(mirror) = parse_mirror(&Self::asked(&apt).read()?) {
            return Ok(mirror);
        }
        let lists = make_lists(&scratch.join("machine"))?;
        let apt = apt.args(["-o", &option("Dir::State::lists", &lists)]);
        println!("vm: apt has no package lists: fetching those of this machine's sources");
        apt.clone().arg("update").run_logged(log)?;
        parse_mirror(&Self::asked(&apt).read()?).context(
            "apt's sources name no Debian mirror: kernels for the tests come from one; add it, for \
             instance as `deb http://deb.debian.org/debian bookworm main` in a file under \
             /etc/apt/sources.list.d",
        )
    }

    /// The call that names the mirrors that `apt` knows.
    fn asked(apt: &Invocation) -> Invocation {
        apt.clone()
            .args(["indextargets", "--format", TARGET, "Created-By: Packages"])
    }
}

/// One of apt's settings, for its option `-o`.
fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// The folder of apt's lists in `dir`, made when missing.
fn make_lists(dir: &Path) -> Result<PathBuf> {
    let lists = dir.join("lists");
    let partial = lists.join("partial");
    std::fs::create_dir_all(&partial)
        .with_context(|| format!("cannot make the folder {}", partial.display()))?;
    Ok(lists)
}

/// Reads apt's answer to [`TARGET`]: the first of Debian's own, without its security updates.
fn parse_mirror(text: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let mut fields = line.split('|');
        let (origin, label) = (fields.next()?, fields.next()?);
        let (codename, uri) = (fields.next()?, fields.next()?);
        let whole = !codename.is_empty() && uri.contains("://");
        (origin == "Debian" && label == "Debian" && whole).then(|| Mirror {
            uri: uri.to_owned(),
            // The updates and backports of a release have its name in front.
            codename: codename.split('-').next().unwrap_or(codename).to_owned(),
        })
    })
}

/// A package of a certain version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version, with Debian's revision.
    pub(crate) version: String,
}

/// Some suites of a mirror, with apt's state in a folder of their own.
#[derive(Debug)]
pub(crate) struct Archive {
    dir: PathBuf,
    log: PathBuf,
}

impl Archive {
    /// The suites `suites` of `mirror`, with lists fetched anew into `dir`.
    ///
    /// # Errors
    /// When the folder cannot be written or apt fails.
    pub(crate) fn open(mirror: &Mirror, suites: &[&str], dir: &Path, log: &Path) -> Result<Self> {
        let archive = Self {
            dir: dir.to_owned(),
            log: log.to_owned(),
        };
        make_lists(dir)?;
        let cache = dir.join("cache/archives/partial");
        std::fs::create_dir_all(&cache)
            .with_context(|| format!("cannot make the folder {}", cache.display()))?;
        let keyring = Path::new(KEYRING).is_file().then_some(KEYRING);
        let sources = archive.sources();
        std::fs::write(&sources, sources_list(mirror, suites, keyring))
            .with_context(|| format!("cannot write {}", sources.display()))?;
        archive.apt("apt-get").arg("update").run_logged(log)?;
        Ok(archive)
    }

    fn sources(&self) -> PathBuf {
        self.dir.join("sources.list")
    }

    /// A call of one of apt's programs that sees only this archive.
    fn apt(&self, program: &str) -> Invocation {
        let mut call = Invocation::new(program).env("LC_ALL", "C");
        for option in [
            option("Dir::Etc::sourcelist", &self.sources()),
            "Dir::Etc::sourceparts=-".to_owned(),
            option("Dir::State::lists", &self.dir.join("lists")),
            option("Dir::Cache", &self.dir.join("cache")),
            "Acquire::Retries=3".to_owned(),
            // A mirror that lags, or a snapshot, has lists that expired.
            "Acquire::Check-Valid-Until=false".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
        ] {
            call = call.args(["-o", &option]);
        }
        call
    }

    /// Every version of the packages whose names begin with one of `prefixes`.
    ///
    /// # Errors
    /// When apt fails.
    pub(crate) fn packages(&self, prefixes: &[&str]) -> Result<Vec<Package>> {
        let mut names = Vec::new();
        for prefix in prefixes {
            let text = self.apt("apt-cache").args(["pkgnames", prefix]).read()?;
            names.extend(text.lines().map(str::to_owned));
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        names.sort();
        let text = self.apt("apt-cache").arg("madison").args(&names).read()?;
        Ok(parse_madison(&text))
    }

    /// What installing `package` from `suite` would add to this machine or put in the place of an
    /// older version, `package` included.
    ///
    /// # Errors
    /// When apt finds no way to install it.
    pub(crate) fn closure(&self, package: &str, suite: &str) -> Result<Vec<Package>> {
        let text = self
            .apt("apt-get")
            .args(["--simulate", "--no-install-recommends"])
            .args(["--target-release", suite, "install", package])
            .read()?;
        Ok(parse_simulation(&text))
    }

    /// Fetches `packages` and unpacks them over each other into the new folder `into`.
    ///
    /// # Errors
    /// When apt or dpkg fails, or the folder cannot be made.
    pub(crate) fn unpack(&self, packages: &[Package], into: &Path) -> Result<()> {
        if packages.is_empty() {
            bail!("there is nothing to unpack into {}", into.display());
        }
        let fetched = self.dir.join("fetched");
        let partial = into.with_extension("partial");
        for folder in [&fetched, &partial] {
            remove_tree(folder)?;
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        self.apt("apt-get")
            .arg("download")
            .args(
                packages
                    .iter()
                    .map(|package| format!("{}={}", package.name, package.version)),
            )
            .dir(&fetched)
            .run_logged(&self.log)?;
        for entry in fetched
            .read_dir()
            .with_context(|| format!("cannot read {}", fetched.display()))?
        {
            Invocation::new("dpkg-deb")
                .arg("--extract")
                .arg(entry?.path())
                .arg(&partial)
                .run_logged(&self.log)?;
        }
        remove_tree(&fetched)?;
        remove_tree(into)?;
        std::fs::rename(&partial, into)
            .with_context(|| format!("cannot make the folder {}", into.display()))
    }
}

/// Removes a folder that may not be there.
fn remove_tree(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// apt's sources (`sources.list(5)`), a line a suite.
fn sources_list(mirror: &Mirror, suites: &[&str], keyring: Option<&str>) -> String {
    let options = keyring.map_or_else(String::new, |path| format!("[signed-by={path}] "));
    let line = |suite: &&str| format!("deb {options}{} {suite} main\n", mirror.uri);
    suites.iter().map(line).collect::<Vec<_>>().concat()
}

/// Reads the answer of `apt-cache madison`: a line a version.
fn parse_madison(text: &str) -> Vec<Package> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split('|').map(str::trim);
            let (name, version) = (fields.next()?, fields.next()?);
            // Sources are listed too, when the archive has them.
            let binary = fields.next()?.ends_with(" Packages");
            (binary && !name.is_empty() && !version.is_empty()).then(|| Package {
                name: name.to_owned(),
                version: version.to_owned(),
            })
        })
        .collect()
}

/// The C library: a newer one does not go with the machine's own loader.
const LIBC: &str = "libc6";

/// Reads what `apt-get --simulate install` would install or upgrade.
fn parse_simulation(text: &str) -> Vec<Package> {
    text.lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
            // An upgrade has the version installed in brackets before the new one.
            let (_, new) = rest.split_once('(')?;
            let version = new.split(' ').next()?;
            (name != LIBC).then(|| Package {
                name: name.to_owned(),
                version: version.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn the_mirror_is_debians_own() {
        let mirror = |uri: &str, codename: &str| {
            Some(Mirror {
                uri: uri.to_owned(),
                codename: codename.to_owned(),
            })
        };
        let rows = [
            (
                "Debian|Debian|bookworm|http://m/debian/",
                mirror("http://m/debian/", "bookworm"),
            ),
            (
                "Debian|Debian|trixie-updates|http://m/d/",
                mirror("http://m/d/", "trixie"),
            ),
            (
                "x|Debian|bookworm|http://a/\nDebian|Debian-Security|bookworm-security|http://b/\n\
                 Debian|Debian|bookworm|http://c/",
                mirror("http://c/", "bookworm"),
            ),
            ("Ubuntu|Ubuntu|noble|http://u/", None),
            ("Debian|Debian||http://m/", None),
            ("Debian|Debian|bookworm|", None),
            ("Debian|Debian|bookworm", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse_mirror(text), expected, "{text}");
        }
    }

    #[test]
    fn sources_name_the_keys_where_they_are_known() {
        let mirror = Mirror {
            uri: "http://m/debian/".to_owned(),
            codename: "bookworm".to_owned(),
        };
        assert_eq!(
            sources_list(&mirror, &["bookworm", "sid"], None),
            "deb http://m/debian/ bookworm main\ndeb http://m/debian/ sid main\n"
        );
        assert_eq!(
            sources_list(&mirror, &["sid"], Some("/k.gpg")),
            "deb [signed-by=/k.gpg] http://m/debian/ sid main\n"
        );
    }

    #[test]
    fn reads_versions() {
        let text = "\
linux-image-6.1.0-50-cloud-amd64 |  6.1.176-1 | http://m/debian bookworm/main amd64 Packages
linux-signed-amd64 | 6.1.176+1 | http://m/debian bookworm/main Sources
N: Unable to locate package x
 | 1 | http://m/debian bookworm/main amd64 Packages
";
        assert_eq!(
            parse_madison(text),
            [package("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1")]
        );
    }

    #[test]
    fn reads_a_simulation() {
        let text = "\
The following NEW packages will be installed:
Inst libfdt1 (1.6.1-4+b1 Debian:12.15/oldstable [amd64])
Inst libc6 [2.36-9] (2.36-10 Debian:12.15/oldstable [amd64])
Inst qemu-system-data [1:7.2+dfsg-7] (1:10.0.2+ds-2~bpo12+1 Debian Backports:oldstable-backports [all])
Inst qemu-system-x86 (1:10.0.2+ds-2~bpo12+1 Debian Backports:oldstable-backports [amd64]) []
Conf libfdt1 (1.6.1-4+b1 Debian:12.15/oldstable [amd64])
";
        assert_eq!(
            parse_simulation(text),
            [
                package("libfdt1", "1.6.1-4+b1"),
                package("qemu-system-data", "1:10.0.2+ds-2~bpo12+1"),
                package("qemu-system-x86", "1:10.0.2+ds-2~bpo12+1"),
            ]
        );
    }

    #[test]
    fn apt_sees_nothing_of_the_machines_sources() {
        let archive = Archive {
            dir: PathBuf::from("/vm/apt"),
            log: PathBuf::from("/vm/log"),
        };
        let line = archive.apt("apt-get").arg("update").to_string();
        for part in [
            "-o Dir::Etc::sourcelist=/vm/apt/sources.list",
            "-o Dir::Etc::sourceparts=- ",
            "-o Dir::State::lists=/vm/apt/lists",
            "-o Dir::Cache=/vm/apt/cache",
            "-o Acquire::Check-Valid-Until=false",
        ] {
            assert!(line.contains(part), "{line}");
        }
    }

    #[test]
    fn nothing_to_unpack_is_an_error() {
        let archive = Archive {
            dir: PathBuf::from("/nonexistent"),
            log: PathBuf::from("/nonexistent/log"),
        };
        assert!(archive.unpack(&[], Path::new("/nonexistent/x")).is_err());
    }
}
