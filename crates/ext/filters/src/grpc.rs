//! What the filters of gRPC share: its methods, frames and statistics.
//! Source: grpc/doc/PROTOCOL-HTTP2.md.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dragoman_filter::{Means, Surroundings};
use dragoman_stats::{Counter, Histogram, Registry, Shard, Single, Unit};
use dragoman_types::RequestHead;

/// Service and method of a call's path; `None` for a path that names none.
pub(crate) fn method(request: &RequestHead) -> Option<(&str, &str)> {
    let path = std::str::from_utf8(request.path()).ok()?;
    let path = path.split('?').next()?;
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let named = !service.is_empty() && !method.is_empty() && !method.contains('/');
    named.then_some((service, method))
}

/// The head of a message: whether it is compressed, and its length.
pub(crate) const FRAME_HEAD: usize = 5;

/// Of one that isn't compressed.
pub(crate) fn frame_head(length: u32) -> [u8; FRAME_HEAD] {
    let [a, b, c, d] = length.to_be_bytes();
    [0, a, b, c, d]
}

/// Counts the messages in a body that comes in pieces: five bytes, of which four are the length, and
/// the message.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    head: [u8; 5],
    /// Bytes of the head that have come.
    filled: usize,
    /// Bytes of the message that are still to come.
    left: u64,
}

impl Messages {
    /// How many messages begin in `piece`.
    pub(crate) fn count(&mut self, piece: &[u8]) -> u64 {
        let (mut at, mut begun) = (0, 0);
        while at < piece.len() {
            let (taken, has_begun) = self.step(&piece[at..]);
            at += taken;
            begun += u64::from(has_begun);
        }
        begun
    }

    /// How many bytes of `piece` belong to the message that is being read.
    pub(crate) fn until_end(&mut self, piece: &[u8]) -> usize {
        let mut at = 0;
        while at < piece.len() {
            at += self.step(&piece[at..]).0;
            if self.left == 0 && self.filled == 0 {
                break;
            }
        }
        at
    }

    /// Takes a part of a head or of a message: how much, and whether a message begins behind it.
    fn step(&mut self, piece: &[u8]) -> (usize, bool) {
        if self.left > 0 {
            let passed = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= passed as u64;
            return (passed, false);
        }
        let taken = (5 - self.filled).min(piece.len());
        self.head[self.filled..self.filled + taken].copy_from_slice(&piece[..taken]);
        self.filled += taken;
        let whole = self.filled == 5;
        if whole {
            let [_, a, b, c, d] = self.head;
            self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
            self.filled = 0;
        }
        (taken, whole)
    }
}

/// Methods that a filter counts apart; calls of others aren't counted, for it is clients who say the names.
const MOST_METHODS: usize = 1000;

type Counted = Vec<(Box<str>, Shard<Single<Counter>>)>;

/// By prefix.
type Methods = HashMap<Box<str>, Counted>;

/// How long calls took, by prefix.
type Times = HashMap<Box<str>, Shard<Single<Histogram>>>;

/// Counters of methods that are named by requests: `<prefix><name>`, made when they first count.
#[derive(Debug)]
pub(crate) struct MethodStats {
    registry: Registry,
    workers: Box<[Mutex<Methods>]>,
    times: Box<[Mutex<Times>]>,
}

impl MethodStats {
    pub(crate) fn new(means: &Means<'_>) -> MethodStats {
        let workers = 0..means.registry.shards();
        MethodStats {
            registry: means.registry.clone(),
            workers: workers.clone().map(|_| Mutex::default()).collect(),
            times: workers.map(|_| Mutex::default()).collect(),
        }
    }

    /// Records `<prefix>upstream_rq_time`.
    pub(crate) fn took(&self, worker: usize, prefix: &str, time: Duration) {
        let mut times = self.times[worker].lock().unwrap_or_else(PoisonError::into_inner);
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if let Some(known) = times.get(prefix) {
            return known.record(ms);
        }
        if times.len() < MOST_METHODS {
            let name = format!("{prefix}upstream_rq_time");
            let histogram = self.registry.histogram(&name, Unit::Milliseconds).shard(worker);
            histogram.record(ms);
            times.insert(prefix.into(), histogram);
        }
    }

    /// `prefix` ends with a dot.
    pub(crate) fn add(&self, worker: usize, prefix: &str, name: &str, by: u64) {
        // Nobody else has this worker's.
        let mut methods = self.workers[worker].lock().unwrap_or_else(PoisonError::into_inner);
        if !methods.contains_key(prefix) {
            if methods.len() >= MOST_METHODS {
                return;
            }
            methods.insert(prefix.into(), Vec::new());
        }
        let Some(counted) = methods.get_mut(prefix) else { return };
        if let Some((_, counter)) = counted.iter().find(|(known, _)| **known == *name) {
            return counter.add(by);
        }
        let counter = self.registry.counter(&format!("{prefix}{name}")).shard(worker);
        counter.add(by);
        counted.push((name.into(), counter));
    }

    /// Counts a call by its outcome: `grpc-status` as it came, `success` or `failure`, `total`.
    pub(crate) fn outcome(&self, worker: usize, prefix: &str, status: &[u8]) {
        let Some(status) = std::str::from_utf8(status).ok().filter(|s| is_status(s)) else {
            return;
        };
        self.add(worker, prefix, status, 1);
        self.add(worker, prefix, if status == "0" { "success" } else { "failure" }, 1);
        self.add(worker, prefix, "total", 1);
    }
}

/// A status that gRPC has, or a number like it: hosts don't make names of statistics either.
fn is_status(text: &str) -> bool {
    text.parse::<u8>().is_ok_and(|number| number <= 16) && !text.starts_with('+')
}

/// `cluster.<name>.<protocol>.<service>.<method>.`; without a method where there is none.
pub(crate) fn prefix(
    around: &Surroundings<'_>,
    protocol: &str,
    named: Option<(&str, &str)>,
) -> String {
    let cluster = around.cluster.replace(':', "_");
    match named {
        Some((service, method)) => format!("cluster.{cluster}.{protocol}.{service}.{method}."),
        None => format!("cluster.{cluster}.{protocol}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragoman_types::id;

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let body = b"\0\0\0\0\x05hello\0\0\0\0\0\x01\0\0\0\x02hi";
        for size in 1..=body.len() {
            let mut messages = Messages::default();
            let counted: u64 = body.chunks(size).map(|piece| messages.count(piece)).sum();
            assert_eq!(counted, 3, "pieces of {size}");
        }
        assert_eq!(Messages::default().count(b"\0\xff\xff\xff\xffx"), 1);
        let (mut messages, mut ends, mut at) = (Messages::default(), Vec::new(), 0);
        while at < body.len() {
            at += messages.until_end(&body[at..]);
            ends.push(at);
        }
        assert_eq!(ends, [10, 15, body.len()]);
    }

    #[test]
    fn a_path_names_a_method_or_none() {
        let of = |path: &str| {
            let mut head = RequestHead::default();
            head.headers.set(id::PATH, path.as_bytes());
            method(&head).map(|(service, method)| format!("{service} {method}"))
        };
        assert_eq!(of("/a.b.C/Do?x=/y").as_deref(), Some("a.b.C Do"));
        for path in ["", "/", "/a", "/a/", "//b", "/a/b/c", "a/b"] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
