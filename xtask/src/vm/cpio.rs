//! The archive that the kernel unpacks as its first file system: cpio's "newc" form
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

/// Type bits of `st_mode`.
mod kind {
    pub(super) const FOLDER: u32 = 0o040_000;
    pub(super) const FILE: u32 = 0o100_000;
    pub(super) const LINK: u32 = 0o120_000;
}

/// An archive being written.
#[derive(Debug, Default)]
pub(crate) struct Cpio {
    bytes: Vec<u8>,
    /// Names of the folders that are in it.
    folders: std::collections::BTreeSet<String>,
    entries: u32,
}

impl Cpio {
    /// Adds a folder, and those it lies in. `path` is absolute.
    pub(crate) fn folder(&mut self, path: &str) {
        let mut known = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !known.is_empty() {
                known.push('/');
            }
            known.push_str(part);
            if self.folders.insert(known.clone()) {
                self.entry(&known, kind::FOLDER | 0o755, b"");
            }
        }
    }

    /// Adds an executable file, and the folders it lies in. `path` is absolute.
    pub(crate) fn program(&mut self, path: &str, content: &[u8]) {
        self.parents(path);
        self.entry(path.trim_start_matches('/'), kind::FILE | 0o755, content);
    }

    /// Adds a symbolic link, and the folders it lies in. `path` is absolute.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entry(
            path.trim_start_matches('/'),
            kind::LINK | 0o777,
            target.as_bytes(),
        );
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, b"");
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder);
        }
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        // A 32-bit length: nothing here comes near it.
        let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
        let name_length = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
        // Inode, mode, user, group, links, time, length, device ×2, device of a node ×2, length
        // of the name with its NUL, checksum (unused).
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            length,
            0,
            0,
            0,
            0,
            name_length,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    /// Headers and contents begin at multiples of four.
    fn pad(&mut self) {
        while !self.bytes.len().is_multiple_of(4) {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, mode and content of each entry.
    fn read(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut at = 0;
        let mut entries = Vec::new();
        loop {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let field = |index: usize| {
                let from = at + 6 + 8 * index;
                let text = std::str::from_utf8(&bytes[from..from + 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, length, name_length) = (field(1), field(6) as usize, field(11) as usize);
            let name_at = at + 110;
            let name = std::str::from_utf8(&bytes[name_at..name_at + name_length - 1]).unwrap();
            let content_at = (name_at + name_length).next_multiple_of(4);
            if name == "TRAILER!!!" {
                assert_eq!(content_at, bytes.len());
                return entries;
            }
            let content = bytes[content_at..content_at + length].to_vec();
            entries.push((name.to_owned(), mode, content));
            at = (content_at + length).next_multiple_of(4);
        }
    }

    #[test]
    fn folders_come_once_and_before_what_lies_in_them() {
        let mut cpio = Cpio::default();
        cpio.program("/init", b"#!");
        cpio.program("/a/b/tool", b"12345");
        cpio.folder("/a/c/");
        cpio.link("/a/b/l", "tool");
        let entries = read(&cpio.finish());
        let rows: Vec<(&str, u32, &[u8])> = entries
            .iter()
            .map(|(name, mode, content)| (name.as_str(), *mode, content.as_slice()))
            .collect();
        assert_eq!(
            rows,
            [
                ("init", 0o100_755, b"#!".as_slice()),
                ("a", 0o040_755, b""),
                ("a/b", 0o040_755, b""),
                ("a/b/tool", 0o100_755, b"12345"),
                ("a/c", 0o040_755, b""),
                ("a/b/l", 0o120_777, b"tool"),
            ]
        );
    }

    #[test]
    fn an_empty_archive_has_only_its_end() {
        assert!(read(&Cpio::default().finish()).is_empty());
    }
}
