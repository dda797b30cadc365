//! The process's open log files: the same path is the same file, however many access logs name it.

use std::io;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::sink::{FileStats, Sink, Target};

/// One per process. A file is closed once no configuration and no worker's buffer needs it.
#[derive(Debug, Default)]
pub struct LogSinks {
    open: Mutex<Vec<Weak<Sink>>>,
    stats: Arc<FileStats>,
}

impl LogSinks {
    pub fn new() -> LogSinks {
        LogSinks::default()
    }

    pub fn stats(&self) -> &FileStats {
        &self.stats
    }

    /// The sink of a path; opens the file if it isn't open.
    pub fn file(&self, path: &Path) -> io::Result<Arc<Sink>> {
        self.get(Target::Path(path.to_owned()))
    }

    pub fn stdout(&self) -> io::Result<Arc<Sink>> {
        self.get(Target::Stdout)
    }

    pub fn stderr(&self) -> io::Result<Arc<Sink>> {
        self.get(Target::Stderr)
    }

    fn get(&self, target: Target) -> io::Result<Arc<Sink>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|sink| sink.strong_count() > 0);
        if let Some(sink) = open.iter().filter_map(Weak::upgrade).find(|s| s.target == target) {
            return Ok(sink);
        }
        let sink = Arc::new(Sink::open(target, Arc::clone(&self.stats))?);
        open.push(Arc::downgrade(&sink));
        Ok(sink)
    }

    fn all(&self) -> Vec<Arc<Sink>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().filter_map(Weak::upgrade).collect()
    }

    /// Opens every path anew (SIGUSR1, `/reopen_logs`): what is written from now on goes to the new files.
    pub fn reopen(&self) {
        self.all().iter().for_each(|sink| sink.reopen());
    }

    /// Waits until what was handed over is written, or `limit` is over; tells which. For the process's
    /// end: it blocks, so it must not be called on a worker.
    pub fn drain(&self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let (answer, answers) = sync_channel(1);
        for sink in self.all() {
            while !sink.drained(answer.clone()) {
                if Instant::now() >= end {
                    return false;
                }
                thread::sleep(Duration::from_millis(1));
            }
            let left = end.saturating_duration_since(Instant::now());
            if answers.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                return false;
            }
        }
        true
    }
}
