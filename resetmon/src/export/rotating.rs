//! A file that gets whole pieces, and makes room for new ones by moving on to another file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use super::background::{Store, Taken};

/// When to begin another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes that a file is not to exceed, unless one piece alone does.
    pub size: u64,
    /// Older files that are kept.
    pub count: u32,
}

/// A file at a path; where it is rotated, `path.1` is the one before it, `path.2` the one before
/// that.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    file: File,
    /// Bytes of whole pieces.
    len: u64,
    /// What was written of a piece that failed can be taken back.
    regular: bool,
    /// A part of a piece stands at the end and cannot be taken back.
    torn: bool,
    rotation: Option<Rotation>,
    /// Bytes from which on another file begins.
    full: u64,
}

impl Rotating {
    /// Opens the file at `path` to append to; it is made if it is not there.
    pub fn open(path: &Path, rotation: Option<Rotation>) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let data = file.metadata()?;
        let regular = data.is_file();
        Ok(Self {
            path: path.to_owned(),
            file,
            len: if regular { data.len() } else { 0 },
            regular,
            torn: false,
            rotation: rotation.filter(|_| regular),
            full: rotation.map_or(u64::MAX, |rotation| rotation.size),
        })
    }

    /// Standard output, which is not rotated.
    pub fn stdout() -> io::Result<Self> {
        let file = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self {
            path: PathBuf::from("standard output"),
            file: file.into(),
            len: 0,
            // What stands there before is not ours.
            regular: false,
            torn: false,
            rotation: None,
            full: u64::MAX,
        })
    }

    /// Empties it.
    pub fn clear(&mut self) -> io::Result<()> {
        if self.regular {
            self.file.set_len(0)?;
            self.len = 0;
        }
        Ok(())
    }

    /// Ends a last line that an earlier writer left without its end.
    pub fn end_line(&mut self) -> io::Result<()> {
        if !self.regular || self.len == 0 {
            return Ok(());
        }
        let mut last = [0];
        let mut reader = File::open(&self.path)?;
        reader.seek(SeekFrom::End(-1))?;
        reader.read_exact(&mut last)?;
        if last == *b"\n" {
            return Ok(());
        }
        self.write(b"\n")
    }

    /// Moves on to a new file if `bytes` more would be too many, and says whether it did.
    pub fn make_room(&mut self, bytes: usize) -> bool {
        let Some(rotation) = self.rotation else {
            return false;
        };
        let more = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.len == 0 || self.len.saturating_add(more) <= self.full {
            return false;
        }
        match self.rotate(rotation.count) {
            Ok(()) => {
                self.full = rotation.size;
                true
            }
            Err(error) => {
                let path = self.path.display();
                tracing::warn!("{path} cannot be rotated and grows on: {error}");
                self.full = self.len.saturating_add(rotation.size);
                false
            }
        }
    }

    fn rotate(&mut self, count: u32) -> io::Result<()> {
        for number in (1..count).rev() {
            moved(&self.numbered(number), &self.numbered(number + 1))?;
        }
        if count > 0 {
            moved(&self.path, &self.numbered(1))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        self.file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)?;
        self.len = self.file.metadata()?.len();
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Writes a piece, all of it or nothing.
    ///
    /// Errors: of the file; or a part of an earlier piece stands in a pipe or device.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.torn {
            self.take_back()?;
        }
        let mut rest = piece;
        while !rest.is_empty() {
            let error = match self.file.write(rest) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    rest = rest.get(count..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.torn = rest.len() < piece.len();
            if self.torn {
                // If not now, it is tried again before the next piece.
                let _ = self.take_back();
            }
            return Err(error);
        }
        self.len += u64::try_from(piece.len()).unwrap_or(0);
        Ok(())
    }

    fn take_back(&mut self) -> io::Result<()> {
        if !self.regular {
            return Err(io::Error::other(
                "it got a part of an event and would not take the rest",
            ));
        }
        self.file.set_len(self.len)?;
        self.torn = false;
        Ok(())
    }
}

/// A [`Rotating`] of lines.
#[derive(Debug)]
pub struct LineFile(Rotating);

impl LineFile {
    /// Goes on with the lines in `file`.
    ///
    /// Errors: of the file.
    pub fn begin(mut file: Rotating) -> io::Result<Self> {
        file.end_line()?;
        Ok(Self(file))
    }
}

impl Store for LineFile {
    type Item = String;

    fn take(&mut self, lines: &mut dyn Iterator<Item = String>) -> Taken {
        let mut taken = Taken::default();
        for mut line in lines {
            line.push('\n');
            self.0.make_room(line.len());
            taken.count(self.0.write(line.as_bytes()));
        }
        taken
    }
}

/// Renames, if there is something to rename.
fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files at `path`, the oldest first, by their contents.
    fn contents(path: &Path, count: u32) -> Vec<String> {
        let numbered = (1..=count).rev().map(|number| {
            let name = format!("{}.{number}", path.display());
            PathBuf::from(name)
        });
        numbered
            .chain([path.to_owned()])
            .filter_map(|path| fs::read_to_string(path).ok())
            .collect()
    }

    #[test]
    fn sizes_and_count_are_kept_and_no_line_is_split_or_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let rotation = Rotation {
            size: 100,
            count: 9,
        };
        let mut file = Rotating::open(&path, Some(rotation)).unwrap();
        let lines: Vec<String> = (0..60)
            .map(|n| format!("line {n}{}\n", "x".repeat(n % 7)))
            .collect();
        for line in &lines {
            file.make_room(line.len());
            file.write(line.as_bytes()).unwrap();
        }
        let files = contents(&path, 20);
        assert!(files.len() > 5 && files.len() <= 10, "{}", files.len());
        assert_eq!(files.concat(), lines.concat());
        for text in &files {
            assert!(text.len() <= 100 && text.ends_with('\n'), "{text:?}");
        }
        for text in &files[..files.len() - 1] {
            // No further line had fitted.
            assert!(text.len() > 100 - 14, "{text:?}");
        }
    }

    #[test]
    fn only_so_many_old_files_are_kept() {
        for count in [0, 1, 3] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("f");
            let mut file = Rotating::open(&path, Some(Rotation { size: 4, count })).unwrap();
            for piece in [
                "one\n",
                "two\n",
                "a piece longer than the size\n",
                "4\n",
                "5\n",
                "6\n",
            ] {
                file.make_room(piece.len());
                file.write(piece.as_bytes()).unwrap();
            }
            let all = [
                "one\n",
                "two\n",
                "a piece longer than the size\n",
                "4\n5\n",
                "6\n",
            ];
            let kept = all.len() - 1 - count as usize;
            assert_eq!(contents(&path, 9), all[kept..], "{count}");
        }
    }

    #[test]
    fn a_file_that_is_there_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        for (before, after) in [("", "x\n"), ("a\n", "a\nx\n"), ("a\ntorn", "a\ntorn\nx\n")] {
            fs::write(&path, before).unwrap();
            let mut file = Rotating::open(&path, None).unwrap();
            file.end_line().unwrap();
            file.write(b"x\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
        }
        // Its length counts.
        let rotation = Rotation { size: 8, count: 1 };
        let mut file = Rotating::open(&path, Some(rotation)).unwrap();
        assert!(file.make_room(1));
        assert!(!file.make_room(100), "an empty file has room");
    }

    #[test]
    fn what_cannot_be_rotated_grows_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut file = Rotating::open(&path, Some(Rotation { size: 4, count: 1 })).unwrap();
        file.write(b"abc\n").unwrap();
        // A folder with something in it stands where the old file is to go.
        fs::create_dir_all(dir.path().join("f.1/x")).unwrap();
        for _ in 0..3 {
            assert!(!file.make_room(2));
            file.write(b"d\n").unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "abc\nd\nd\nd\n");
    }

    #[test]
    fn a_part_that_was_written_is_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut file = Rotating::open(&path, None).unwrap();
        file.write(b"whole\n").unwrap();
        file.file.write_all(b"par").unwrap();
        file.torn = true;
        file.write(b"next\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nnext\n");
        // A device takes nothing back, and is not asked to before it got something.
        let mut full = Rotating::open(Path::new("/dev/full"), None).unwrap();
        for _ in 0..2 {
            let error = full.write(b"x").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        }
    }
}
