//! Which kernels: the versions asked for, Debian's packages of them, and the unpacked trees.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};

use super::archive::{Archive, Mirror, Package};

/// The suites searched for kernels.
const SUITES: [&str; 3] = ["bookworm", "bookworm-backports", "sid"];

/// Debian's kernels for virtual machines.
const FLAVOUR: &str = "-cloud-amd64";

/// The two numbers of a kernel series, such as 6.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Series(pub(crate) u32, pub(crate) u32);

impl Series {
    /// The series of a release or version, such as `6.12.95+deb12-cloud-amd64`.
    pub(crate) fn of(version: &str) -> Option<Self> {
        let mut parts = version.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor: String = parts
            .next()?
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        Some(Self(major, minor.parse().ok()?))
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A kernel to test on, as one types it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The newest of a series.
    Series(Series),
    /// The newest of all.
    Newest,
}

/// The oldest kernel and the newest.
pub(crate) const ENDS: [Wanted; 2] = [Wanted::Series(Series(6, 1)), Wanted::Newest];

/// Every kernel of the matrix.
pub(crate) const ALL: [Wanted; 3] = [
    Wanted::Series(Series(6, 1)),
    Wanted::Series(Series(6, 12)),
    Wanted::Newest,
];

impl FromStr for Wanted {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "newest" {
            return Ok(Self::Newest);
        }
        let series = Series::of(text).filter(|series| series.to_string() == text);
        series
            .map(Self::Series)
            .ok_or_else(|| anyhow!("`{text}` is neither a series such as 6.12 nor `newest`"))
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Series(series) => series.fmt(f),
            Self::Newest => f.write_str("newest"),
        }
    }
}

impl Wanted {
    fn fits(self, kernel: Series) -> bool {
        match self {
            Self::Series(series) => series == kernel,
            Self::Newest => true,
        }
    }
}

/// An unpacked kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// What it calls itself (`uname -r`).
    pub(crate) release: String,
    /// The upstream version, such as `6.1.176`.
    pub(crate) version: String,
    /// The tree of its packages.
    pub(crate) root: PathBuf,
}

impl Kernel {
    /// Its series.
    ///
    /// # Errors
    /// When the version does not begin with two numbers.
    pub(crate) fn series(&self) -> Result<Series> {
        Series::of(&self.version)
            .with_context(|| format!("`{}` is not a kernel version", self.version))
    }

    /// The image to boot.
    ///
    /// # Errors
    /// When the packages have none.
    pub(crate) fn image(&self) -> Result<PathBuf> {
        self.first_of(&[
            format!("boot/vmlinuz-{}", self.release),
            format!("usr/lib/modules/{}/vmlinuz", self.release),
        ])
    }

    /// The folder of its modules.
    ///
    /// # Errors
    /// When the packages have none.
    pub(crate) fn modules(&self) -> Result<PathBuf> {
        self.first_of(&[
            format!("lib/modules/{}/kernel", self.release),
            format!("usr/lib/modules/{}/kernel", self.release),
        ])
    }

    fn first_of(&self, places: &[String]) -> Result<PathBuf> {
        places
            .iter()
            .map(|place| self.root.join(place))
            .find(|path| path.exists())
            .with_context(|| format!("{} has none of {}", self.root.display(), places.join(", ")))
    }
}

/// The kernels kept in a folder.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    /// The kernels in `dir`.
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The kernel for each of `wanted`: those kept, or with `refresh` the archive's newest.
    ///
    /// # Errors
    /// When the archive has none that fits, or it cannot be fetched.
    pub(crate) fn provide(
        &self,
        wanted: &[Wanted],
        refresh: bool,
        scratch: &Path,
        log: &Path,
    ) -> Result<Vec<Kernel>> {
        let mut archive: Option<(Archive, Vec<Package>)> = None;
        let mut kernels: Vec<Kernel> = Vec::new();
        for wanted in wanted {
            let kept = if refresh { None } else { self.kept(*wanted)? };
            let kernel = if let Some(kernel) = kept {
                kernel
            } else {
                let (archive, packages) = if let Some(opened) = &mut archive {
                    opened
                } else {
                    archive.insert(open_archive(scratch, log)?)
                };
                self.fetch(*wanted, archive, packages)?
            };
            if !kernels.contains(&kernel) {
                kernels.push(kernel);
            }
        }
        Ok(kernels)
    }

    /// The kernel kept for `wanted`.
    fn kept(&self, wanted: Wanted) -> Result<Option<Kernel>> {
        let note = self.note(wanted);
        let text = match std::fs::read_to_string(&note) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", note.display()));
            }
        };
        Ok(text
            .split_once(' ')
            .map(|(release, version)| self.kernel(release, version.trim()))
            .filter(|kernel| kernel.root.is_dir()))
    }

    fn fetch(&self, wanted: Wanted, archive: &Archive, packages: &[Package]) -> Result<Kernel> {
        let found = choose(wanted, packages)?;
        let kernel = self.kernel(&found.release, upstream(&found.packages[0].version));
        if !kernel.root.is_dir() {
            println!("vm: fetching Linux {}", found.packages[0].version);
            std::fs::create_dir_all(&self.dir)
                .with_context(|| format!("cannot make the folder {}", self.dir.display()))?;
            archive.unpack(&found.packages, &kernel.root)?;
        }
        // Written last: a kernel without it is not taken for whole.
        let note = self.note(wanted);
        std::fs::write(&note, format!("{} {}\n", kernel.release, kernel.version))
            .with_context(|| format!("cannot write {}", note.display()))?;
        Ok(kernel)
    }

    /// The file that says which kernel is kept for `wanted`.
    fn note(&self, wanted: Wanted) -> PathBuf {
        self.dir.join(format!("{wanted}.kernel"))
    }

    fn kernel(&self, release: &str, version: &str) -> Kernel {
        Kernel {
            release: release.to_owned(),
            version: version.to_owned(),
            root: self.dir.join(format!("tree-{release}")),
        }
    }
}

/// The archive, and every package of a kernel in it.
fn open_archive(scratch: &Path, log: &Path) -> Result<(Archive, Vec<Package>)> {
    println!("vm: reading the package lists of {}", SUITES.join(", "));
    let mirror = Mirror::of_this_machine(scratch, log)?;
    let archive = Archive::open(&mirror, &SUITES, scratch, log)?;
    let packages = archive.packages(&["linux-image-", "linux-binary-", "linux-modules-"])?;
    Ok((archive, packages))
}

/// A kernel of the archive.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    release: String,
    /// What it comes in: never empty.
    packages: Vec<Package>,
}

/// The newest kernel that fits.
fn choose(wanted: Wanted, packages: &[Package]) -> Result<Found> {
    let newest = packages
        .iter()
        .filter_map(|package| {
            let release = package.name.strip_prefix("linux-image-")?;
            // Others are built for debugging, or depend on the newest.
            let series = Series::of(release).filter(|_| release.ends_with(FLAVOUR))?;
            let meta = release.strip_suffix(FLAVOUR) == Some(&series.to_string());
            (!meta && wanted.fits(series)).then_some((release, package))
        })
        .max_by_key(|(_, package)| numbers(&package.version));
    let Some((release, image)) = newest else {
        bail!(
            "{} of the Debian mirror have no kernel {wanted}; they have {}",
            SUITES.join(", "),
            series_of(packages)
        );
    };
    // Newer packagings have image and modules apart, under an empty linux-image.
    let part = |kind: &str| {
        packages.iter().find(|package| {
            package.version == image.version && package.name == format!("linux-{kind}-{release}")
        })
    };
    let packages = match (part("binary"), part("modules")) {
        (Some(binary), Some(modules)) => vec![binary.clone(), modules.clone()],
        _ => vec![image.clone()],
    };
    Ok(Found {
        release: release.to_owned(),
        packages,
    })
}

/// The series among `packages`, in order.
fn series_of(packages: &[Package]) -> String {
    let mut all: Vec<Series> = packages
        .iter()
        .filter_map(|package| package.name.strip_prefix("linux-image-"))
        .filter(|release| release.ends_with(FLAVOUR))
        .filter_map(Series::of)
        .collect();
    all.sort();
    all.dedup();
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    if all.is_empty() {
        "none at all".to_owned()
    } else {
        all.join(", ")
    }
}

/// The numbers in a version, in order: kernels are ordered by them.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// A version without Debian's revision.
fn upstream(version: &str) -> &str {
    version.split('-').next().unwrap_or(version)
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

    /// As Debian has them.
    fn archive() -> Vec<Package> {
        vec![
            package("linux-image-cloud-amd64", "6.12.117-1"),
            package("linux-image-6.1-cloud-amd64", "6.1.999-1"),
            package("linux-image-6.1.0-9-cloud-amd64", "6.1.99-1"),
            package("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1"),
            package("linux-image-6.1.0-50-amd64", "6.1.177-1"),
            package("linux-image-6.1.0-50-cloud-amd64-dbg", "6.1.178-1"),
            package("linux-image-6.12.90+deb12-cloud-amd64", "6.12.90-1~bpo12+1"),
            package(
                "linux-image-6.12.90+deb12.1-cloud-amd64",
                "6.12.90-2~bpo12+1",
            ),
            package("linux-image-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            package("linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            package("linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            package("linux-modules-6.1.0-50-cloud-amd64", "6.1.1-1"),
        ]
    }

    #[test]
    fn chooses_the_newest_that_fits() {
        let newest = vec![
            package("linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            package("linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
        ];
        let rows = [
            (
                "6.1",
                "6.1.0-50-cloud-amd64",
                vec![package("linux-image-6.1.0-50-cloud-amd64", "6.1.176-1")],
            ),
            (
                "6.12",
                "6.12.90+deb12.1-cloud-amd64",
                vec![package(
                    "linux-image-6.12.90+deb12.1-cloud-amd64",
                    "6.12.90-2~bpo12+1",
                )],
            ),
            ("7.2", "7.2.13+deb14-cloud-amd64", newest.clone()),
            ("newest", "7.2.13+deb14-cloud-amd64", newest),
        ];
        for (wanted, release, packages) in rows {
            let found = choose(wanted.parse().unwrap(), &archive()).unwrap();
            assert_eq!(found.release, release, "{wanted}");
            assert_eq!(found.packages, packages, "{wanted}");
        }
    }

    #[test]
    fn a_series_that_is_not_there_is_named_with_those_that_are() {
        let error = choose(Wanted::Series(Series(7, 3)), &archive()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("no kernel 7.3; they have 6.1, 6.12, 7.2"),
            "{text}"
        );
        let error = choose(Wanted::Newest, &[]).unwrap_err().to_string();
        assert!(error.ends_with("they have none at all"), "{error}");
    }

    #[test]
    fn reads_what_is_wanted() {
        let rows = [
            ("6.1", Some(Wanted::Series(Series(6, 1)))),
            ("6.12", Some(Wanted::Series(Series(6, 12)))),
            ("newest", Some(Wanted::Newest)),
            ("6", None),
            ("6.1.176", None),
            ("6.x", None),
            ("06.1", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<Wanted>().ok(), expected, "{text}");
        }
    }

    #[test]
    fn reads_the_series_of_a_version() {
        let rows = [
            ("6.1.176", Some(Series(6, 1))),
            ("6.12.95+deb12-cloud-amd64", Some(Series(6, 12))),
            ("7.2-rc1", Some(Series(7, 2))),
            ("6", None),
            ("6.", None),
            ("x.1", None),
        ];
        for (text, expected) in rows {
            assert_eq!(Series::of(text), expected, "{text}");
        }
        assert!(Series(6, 9) < Series(6, 10));
    }

    #[test]
    fn revision_is_left_off() {
        for (version, short) in [
            ("6.1.176-1", "6.1.176"),
            ("6.12.95-1~bpo12+1", "6.12.95"),
            ("7.2.13", "7.2.13"),
        ] {
            assert_eq!(upstream(version), short);
        }
    }

    #[test]
    fn a_kernel_is_kept_only_with_its_tree() {
        let dir = std::env::temp_dir().join(format!("xtask-kernels-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let store = Store::new(dir.clone());
        assert_eq!(store.kept(Wanted::Newest).unwrap(), None);
        std::fs::write(dir.join("newest.kernel"), "7.2.13-x 7.2.13\n").unwrap();
        assert_eq!(store.kept(Wanted::Newest).unwrap(), None);
        std::fs::create_dir(dir.join("tree-7.2.13-x")).unwrap();
        let kernel = store.kept(Wanted::Newest).unwrap().unwrap();
        assert_eq!(
            (kernel.release.as_str(), kernel.version.as_str()),
            ("7.2.13-x", "7.2.13")
        );
        assert_eq!(kernel.series().unwrap(), Series(7, 2));
        assert!(
            kernel
                .image()
                .unwrap_err()
                .to_string()
                .contains("boot/vmlinuz-7.2.13-x")
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
