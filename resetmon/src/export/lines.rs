//! Lines to a file or to standard output, without ever holding the agent up.
//!
//! A thread of its own writes; a reader that is too slow costs lines, which are counted, not
//! resets.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Lines that wait for the writer at most.
const QUEUE: usize = 16_384;

/// Writes lines in the background.
#[derive(Debug)]
pub struct LineWriter {
    queue: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    lost: Arc<AtomicU64>,
}

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
        let (queue, lines) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&lost);
        let thread = std::thread::Builder::new()
            .name("lines".to_owned())
            .spawn(move || write_all(&name, target, &lines, &counter))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            lost,
        })
    }

    /// Queues one line, without its end; a full queue counts it as lost.
    pub fn write(&self, line: String) {
        let Some(queue) = &self.queue else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(line) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that could not be written so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// A handle to the count of lost lines.
    #[must_use]
    pub fn lost_handle(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }
}

impl Drop for LineWriter {
    /// Writes what is queued, then ends.
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
        }
    }
}

fn write_all(name: &str, target: impl Write, lines: &Receiver<String>, lost: &AtomicU64) {
    let mut out = BufWriter::new(target);
    let mut failing = false;
    while let Ok(first) = lines.recv() {
        let mut batch = 1;
        let mut result = put(&mut out, &first);
        for line in lines.try_iter() {
            batch += 1;
            result = result.and_then(|()| put(&mut out, &line));
        }
        result = result.and_then(|()| out.flush());
        match result {
            Ok(()) => failing = false,
            Err(error) => {
                // Which of the batch arrived is not known; none is promised.
                lost.fetch_add(batch, Ordering::Relaxed);
                if !failing {
                    tracing::warn!("lines to {name} are lost: {error}");
                }
                failing = true;
            }
        }
    }
}

fn put(out: &mut impl Write, line: &str) -> io::Result<()> {
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
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
