//! A place that lines go to, and the thread that writes there. Workers hand whole buffers to the thread
//! through a bounded channel; only the thread ever waits for the file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

/// Buffers that may wait for one file: with [`crate::buffers::FLUSH_AT`] that is some 4 MiB.
const WAITING: usize = 64;

/// What the writing threads counted, for all files together. Source: Envoy's `filesystem.` statistics.
#[derive(Debug, Default)]
pub struct FileStats {
    /// `filesystem.write_completed`: buffers that were written whole.
    pub write_completed: AtomicU64,
    /// `filesystem.write_failed`: buffers that weren't; their rest is lost.
    pub write_failed: AtomicU64,
    /// `filesystem.reopen_failed`.
    pub reopen_failed: AtomicU64,
    /// Bytes handed over and not yet written: the threads' share of `filesystem.write_total_buffered`.
    pub queued_bytes: AtomicU64,
}

/// Which file a sink writes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Path(PathBuf),
    Stdout,
    Stderr,
}

enum Message {
    Lines(Vec<u8>),
    /// Look at the reopen mark.
    Wake,
    /// Everything before this is written.
    Done(SyncSender<()>),
}

/// One open file. Dropping the last handle lets the thread write what waits and end.
#[derive(Debug)]
pub struct Sink {
    pub(crate) target: Target,
    sender: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
    stats: Arc<FileStats>,
}

/// Opens for appending, and creates as 0644. Reading too: a named pipe then opens without waiting for its
/// reader, as in Envoy.
fn open_path(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o644).open(path)
}

impl Target {
    fn open(&self) -> io::Result<File> {
        match self {
            Target::Path(path) => open_path(path),
            Target::Stdout => Ok(io::stdout().as_fd().try_clone_to_owned()?.into()),
            Target::Stderr => Ok(io::stderr().as_fd().try_clone_to_owned()?.into()),
        }
    }
}

impl Sink {
    pub(crate) fn open(target: Target, stats: Arc<FileStats>) -> io::Result<Sink> {
        let file = target.open()?;
        let (sender, receiver) = sync_channel(WAITING);
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            target: target.clone(),
            file,
            reopen: Arc::clone(&reopen),
            stats: Arc::clone(&stats),
        };
        thread::Builder::new().name("access-log".into()).spawn(move || writer.run(&receiver))?;
        Ok(Sink { target, sender, reopen, stats })
    }

    /// Hands over what is in `lines` and leaves it empty; `false`, and still empty, if the thread is too
    /// far behind.
    pub(crate) fn send(&self, lines: &mut Vec<u8>, next: usize) -> bool {
        let bytes = lines.len() as u64;
        let full = std::mem::replace(lines, Vec::with_capacity(next));
        // Before sending: the thread's subtraction must not come first.
        self.stats.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.sender.try_send(Message::Lines(full)) {
            Ok(()) => true,
            Err(TrySendError::Full(refused) | TrySendError::Disconnected(refused)) => {
                self.stats.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                if let Message::Lines(mut refused) = refused {
                    refused.clear();
                    *lines = refused;
                }
                false
            }
        }
    }

    /// Asks the thread to open the path anew before it writes on.
    pub(crate) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // A full channel needs no waking: the thread looks at the mark with every message.
        let _ = self.sender.try_send(Message::Wake);
    }

    /// Waits for a place in the channel; the answer comes once all before it is written.
    pub(crate) fn drained(&self, answer: SyncSender<()>) -> bool {
        self.sender.try_send(Message::Done(answer)).is_ok()
    }
}

struct Writer {
    target: Target,
    file: File,
    reopen: Arc<AtomicBool>,
    stats: Arc<FileStats>,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        while let Ok(message) = receiver.recv() {
            if self.reopen.swap(false, Ordering::AcqRel) {
                self.open_again();
            }
            match message {
                Message::Lines(lines) => self.write(&lines),
                Message::Wake => {}
                // Nobody may wait for the answer any more.
                Message::Done(answer) => drop(answer.send(())),
            }
        }
    }

    /// A file that can't be opened leaves the one that is open in use: better there than lost.
    fn open_again(&mut self) {
        match self.target.open() {
            Ok(file) => self.file = file,
            Err(_) => {
                self.stats.reopen_failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn write(&mut self, lines: &[u8]) {
        let counter = match self.write_all(lines) {
            Ok(()) => &self.stats.write_completed,
            Err(_) => &self.stats.write_failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.stats.queued_bytes.fetch_sub(lines.len() as u64, Ordering::Relaxed);
    }

    /// Standard output may have been made non-blocking by whoever shares it: then wait and try again.
    fn write_all(&mut self, mut lines: &[u8]) -> io::Result<()> {
        while !lines.is_empty() {
            match self.file.write(lines) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => lines = &lines[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
