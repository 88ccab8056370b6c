//! Lines to a file or to standard output, without ever holding the agent up: what a reader is too
//! slow for is lost, and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::background::{Background, Closed, Store, Taken};

/// Lines that wait for the writer at most.
const QUEUE: usize = 16_384;

/// Writes lines in the background.
#[derive(Debug)]
pub struct LineWriter(Background<String>);

impl LineWriter {
    /// To standard output.
    pub fn stdout() -> io::Result<Self> {
        Self::new("standard output".to_owned(), io::stdout())
    }

    /// Opens the file at `path` to append to; it is made if it is not there.
    pub fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().create(true).append(true).open(path)
    }

    /// Appends to `file`, which was opened at `path`.
    pub fn file(path: &Path, file: File) -> io::Result<Self> {
        Self::new(path.display().to_string(), file)
    }

    fn new(name: String, target: impl Write + Send + 'static) -> io::Result<Self> {
        let out = Buffered(BufWriter::new(target));
        Ok(Self(Background::new(name, QUEUE, out)?))
    }

    /// Queues one line, without its end; a full queue counts it as lost.
    pub fn write(&self, line: String) {
        self.0.put(line);
    }

    /// Writes what is queued, for at most `within`; what is then still not written is lost.
    #[must_use]
    pub fn close(self, within: Duration) -> Closed {
        self.0.close(within)
    }

    /// Lines that could not be written so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.0.lost()
    }

    /// A handle to the count of lost lines.
    #[must_use]
    pub fn lost_handle(&self) -> Arc<AtomicU64> {
        self.0.lost_handle()
    }
}

/// Many lines with few calls of the system.
struct Buffered<W: Write>(BufWriter<W>);

impl<W: Write + Send + 'static> Store for Buffered<W> {
    type Item = String;

    fn take(&mut self, lines: &mut dyn Iterator<Item = String>) -> Taken {
        let (mut batch, mut result) = (0, Ok(()));
        for line in lines {
            batch += 1;
            result = result.and_then(|()| put(&mut self.0, &line));
        }
        match result.and_then(|()| self.0.flush()) {
            Ok(()) => Taken {
                written: batch,
                ..Taken::default()
            },
            // Which of the batch arrived is not known; none is promised.
            Err(error) => Taken {
                lost: batch,
                error: Some(error),
                ..Taken::default()
            },
        }
    }
}

fn put(out: &mut impl Write, line: &str) -> io::Result<()> {
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    #[test]
    fn lines_are_appended_in_order_and_complete_at_the_end() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, "before\n").expect("write");
        let file = LineWriter::open(&path).expect("open");
        let writer = LineWriter::file(&path, file).expect("thread");
        for number in 0..1000 {
            writer.write(format!("line {number}"));
        }
        assert_eq!(writer.lost(), 0);
        drop(writer);
        let text = std::fs::read_to_string(&path).expect("read");
        let expected: String = std::iter::once("before\n".to_owned())
            .chain((0..1000).map(|number| format!("line {number}\n")))
            .collect();
        assert_eq!(text, expected);
    }

    #[test]
    fn what_a_full_disk_refuses_is_counted() {
        let path = Path::new("/dev/full");
        let file = LineWriter::open(path).expect("open");
        let writer = LineWriter::file(path, file).expect("thread");
        let lost = writer.lost_handle();
        for _ in 0..10 {
            writer.write("x".to_owned());
        }
        drop(writer);
        assert_eq!(lost.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_not_time() {
        struct Stuck(Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = sync_channel(0);
        let writer = LineWriter::new("stuck".to_owned(), Stuck(stuck)).expect("thread");
        let sent = QUEUE * 3;
        for _ in 0..sent {
            writer.write("a line of some length, so that the buffer fills".to_owned());
        }
        assert!(writer.lost() > 0 && writer.lost() < sent as u64);
        drop(release);
    }
}
