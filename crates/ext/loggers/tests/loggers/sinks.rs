//! Files that are healthy, full, moved, gone, or never read.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use crate::support::{Folder, LONG, Worker, compiled, file_log, flush, lines};
use dragoman_loggers::LogSinks;

const LINE: &str = "%REQ(:path)%\n";

#[test]
fn lines_reach_the_file_at_a_flush_and_are_appended() {
    let folder = Folder::new();
    let path = folder.path("a.log");
    fs::write(&path, "old\n").unwrap();
    let sinks = LogSinks::new();
    let logs = compiled(&[file_log(&path, LINE), file_log(&path, "2 %REQ(:path)%\n")], &sinks);
    let mut worker = Worker::new();
    worker.log(&logs[0], "/x");
    worker.log(&logs[1], "/y");
    assert_eq!(lines(&path), ["old"]);
    let stats = worker.buffers.stats();
    assert_eq!((stats.write_buffered, stats.waiting_bytes), (2, 8));
    flush(&mut worker, &sinks);
    assert_eq!(lines(&path), ["old", "/x", "2 /y"]);
    let stats = worker.buffers.stats();
    assert_eq!((stats.flushed_by_timer, stats.waiting_bytes, stats.dropped), (1, 0, 0));
    // One path is one file: both lines came in one buffer.
    assert_eq!(sinks.stats().write_completed.load(Ordering::Relaxed), 1);
    assert_eq!(sinks.stats().queued_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_new_file_is_readable_by_all() {
    let folder = Folder::new();
    let path = folder.path("new.log");
    let _logs = compiled(&[file_log(&path, LINE)], &LogSinks::new());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o133, 0, "{mode:o}");
    assert_eq!(mode & 0o600, 0o600, "{mode:o}");
}

#[test]
fn lines_of_many_threads_all_arrive_whole() {
    const WORKERS: usize = 4;
    const EACH: usize = 20_000;
    let folder = Folder::new();
    let path = folder.path("many.log");
    let sinks = LogSinks::new();
    let logs = Arc::new(compiled(&[file_log(&path, LINE)], &sinks));
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let logs = Arc::clone(&logs);
            thread::spawn(move || {
                let mut worker = Worker::new();
                for line in 0..EACH {
                    worker.log(&logs[0], &format!("/{number}/{line}/{}", "x".repeat(line % 50)));
                }
                worker.buffers.flush();
                worker.buffers.stats().dropped
            })
        })
        .collect();
    let dropped: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert!(sinks.drain(LONG));
    let written = lines(&path);
    assert_eq!(written.len() as u64 + dropped, (WORKERS * EACH) as u64);
    let mut last = [-1i64; WORKERS];
    for line in written {
        let parts: Vec<&str> = line.split('/').collect();
        let (worker, number): (usize, i64) = (parts[1].parse().unwrap(), parts[2].parse().unwrap());
        assert_eq!(parts[3], "x".repeat(number as usize % 50));
        assert!(number > last[worker], "a worker's lines stay in order");
        last[worker] = number;
    }
}

#[test]
fn a_full_disk_costs_lines_and_nothing_else() {
    let sinks = LogSinks::new();
    let logs = compiled(&[file_log("/dev/full".as_ref(), LINE)], &sinks);
    let mut worker = Worker::new();
    for round in 1..=3 {
        worker.log(&logs[0], "/lost");
        flush(&mut worker, &sinks);
        assert_eq!(sinks.stats().write_failed.load(Ordering::Relaxed), round);
    }
    assert_eq!(sinks.stats().write_completed.load(Ordering::Relaxed), 0);
    assert_eq!(sinks.stats().queued_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn reopening_goes_on_in_a_new_file() {
    let folder = Folder::new();
    let (path, moved) = (folder.path("r.log"), folder.path("r.log.1"));
    let sinks = LogSinks::new();
    let logs = compiled(&[file_log(&path, LINE)], &sinks);
    let mut worker = Worker::new();
    worker.log(&logs[0], "/before");
    flush(&mut worker, &sinks);
    fs::rename(&path, &moved).unwrap();
    worker.log(&logs[0], "/moved");
    flush(&mut worker, &sinks);
    sinks.reopen();
    worker.log(&logs[0], "/after");
    flush(&mut worker, &sinks);
    assert_eq!(lines(&moved), ["/before", "/moved"]);
    assert_eq!(lines(&path), ["/after"]);
    // Reopening without a line to write makes the file too.
    fs::remove_file(&path).unwrap();
    sinks.reopen();
    assert!(sinks.drain(LONG));
    assert!(path.exists());
    assert_eq!(sinks.stats().reopen_failed.load(Ordering::Relaxed), 0);
}

#[test]
fn a_path_that_cannot_be_reopened_keeps_the_old_file() {
    let folder = Folder::new();
    let (inner, moved) = (folder.path("in"), folder.path("moved"));
    fs::create_dir(&inner).unwrap();
    let sinks = LogSinks::new();
    let logs = compiled(&[file_log(&inner.join("k.log"), LINE)], &sinks);
    let mut worker = Worker::new();
    fs::rename(&inner, &moved).unwrap();
    sinks.reopen();
    worker.log(&logs[0], "/kept");
    flush(&mut worker, &sinks);
    assert_eq!(sinks.stats().reopen_failed.load(Ordering::Relaxed), 1);
    assert_eq!(lines(&moved.join("k.log")), ["/kept"]);
}

#[test]
fn a_vanished_file_is_written_to_until_it_is_reopened() {
    let folder = Folder::new();
    let path = folder.path("v.log");
    let sinks = LogSinks::new();
    let logs = compiled(&[file_log(&path, LINE)], &sinks);
    let mut worker = Worker::new();
    fs::remove_file(&path).unwrap();
    worker.log(&logs[0], "/gone");
    flush(&mut worker, &sinks);
    assert!(!path.exists());
    assert_eq!(sinks.stats().write_completed.load(Ordering::Relaxed), 1);
    sinks.reopen();
    worker.log(&logs[0], "/back");
    flush(&mut worker, &sinks);
    assert_eq!(lines(&path), ["/back"]);
}

#[test]
fn a_pipe_that_nobody_reads_stops_no_worker_and_no_other_file() {
    let folder = Folder::new();
    let (pipe, other) = (folder.path("pipe"), folder.path("other.log"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let sinks = LogSinks::new();
    let logs = compiled(&[file_log(&pipe, LINE), file_log(&other, LINE)], &sinks);
    let mut worker = Worker::new();
    // Some 16 MB: more than the pipe, the channel and the buffer hold.
    let path = format!("/{}", "x".repeat(1021));
    const LINES: u64 = 16 * 1024;
    for _ in 0..LINES {
        worker.log(&logs[0], &path);
    }
    let dropped = worker.buffers.stats().dropped;
    assert!(dropped > 0 && dropped < LINES, "{dropped} dropped");
    worker.log(&logs[1], "/other");
    worker.buffers.flush();
    let dropped = worker.buffers.stats().dropped;
    // The other file's line arrives while the pipe's thread still waits.
    let end = std::time::Instant::now() + LONG;
    while lines(&other).is_empty() && std::time::Instant::now() < end {
        thread::yield_now();
    }
    assert_eq!(lines(&other), ["/other"]);
    assert!(sinks.stats().queued_bytes.load(Ordering::Relaxed) > 4 << 20);
    // A reader frees it, and every line that wasn't dropped is in the pipe, whole.
    let reader = thread::spawn(move || {
        let mut file = fs::File::open(pipe).unwrap();
        let mut line = vec![0; path.len() + 1];
        for _ in 0..LINES - dropped {
            file.read_exact(&mut line).unwrap();
            assert_eq!(&line[..path.len()], path.as_bytes());
        }
    });
    reader.join().unwrap();
    assert!(sinks.drain(LONG));
    assert_eq!(sinks.stats().queued_bytes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_file_closes_once_nothing_needs_it() {
    let folder = Folder::new();
    let path = folder.path("c.log");
    let sinks = LogSinks::new();
    let logs = compiled(&[file_log(&path, LINE)], &sinks);
    let mut worker = Worker::new();
    worker.log(&logs[0], "/last");
    drop(logs);
    // The worker's buffer keeps the file until its line is out and a quiet interval has passed.
    flush(&mut worker, &sinks);
    assert_eq!(lines(&path), ["/last"]);
    worker.buffers.flush();
    let open = |path: &std::path::Path| {
        let entries = fs::read_dir("/proc/self/fd").unwrap();
        entries.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|to| to == path))
    };
    let end = std::time::Instant::now() + LONG;
    while open(&path) && std::time::Instant::now() < end {
        thread::yield_now();
    }
    assert!(!open(&path));
}
