//! What became of each request. Every started request ends in exactly one of these counts.

use std::collections::BTreeMap;
use std::io;

use crate::histogram::Histogram;

/// How one request ended. The order is the order of judgement: the first fault counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Ok,
    /// No connection to send it on.
    NotConnected,
    /// The connection ended before the answer did.
    Lost,
    /// No whole answer within the time limit.
    TimedOut,
    /// Bytes that are not HTTP, or bytes after the end of the answer.
    Malformed,
    WrongStatus,
    WrongLength,
    WrongBody,
    /// The answer of another request.
    WrongSerial,
    /// The origin did not get the whole upload.
    WrongUpload,
}

impl End {
    pub(crate) const ALL: [Self; 10] = [
        Self::Ok,
        Self::NotConnected,
        Self::Lost,
        Self::TimedOut,
        Self::Malformed,
        Self::WrongStatus,
        Self::WrongLength,
        Self::WrongBody,
        Self::WrongSerial,
        Self::WrongUpload,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotConnected => "not_connected",
            Self::Lost => "lost",
            Self::TimedOut => "timed_out",
            Self::Malformed => "malformed",
            Self::WrongStatus => "wrong_status",
            Self::WrongLength => "wrong_length",
            Self::WrongBody => "wrong_body",
            Self::WrongSerial => "wrong_serial",
            Self::WrongUpload => "wrong_upload",
        }
    }

    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData => Self::Malformed,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Lost,
        }
    }
}

pub(crate) struct Tally {
    pub(crate) started: u64,
    pub(crate) connections: u64,
    pub(crate) body_bytes: u64,
    pub(crate) latency: Histogram,
    pub(crate) statuses: BTreeMap<u16, u64>,
    ends: [u64; End::ALL.len()],
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            started: 0,
            connections: 0,
            body_bytes: 0,
            latency: Histogram::new(),
            statuses: BTreeMap::new(),
            ends: [0; End::ALL.len()],
        }
    }

    pub(crate) fn end(&mut self, end: End) {
        self.ends[end as usize] += 1;
    }

    pub(crate) fn count(&self, end: End) -> u64 {
        self.ends[end as usize]
    }

    /// Every request that did not end as it should.
    pub(crate) fn failures(&self) -> u64 {
        self.ends.iter().sum::<u64>() - self.count(End::Ok)
    }

    /// The law of this file; a run that breaks it has no result.
    pub(crate) fn check_invariants(&self) -> io::Result<()> {
        let ended: u64 = self.ends.iter().sum();
        if ended == self.started {
            return Ok(());
        }
        let text = format!("{} requests started, {ended} ended: miscounted", self.started);
        Err(io::Error::other(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_index_their_own_count() {
        for (index, end) in End::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, index);
        }
    }

    #[test]
    fn a_request_without_an_end_is_noticed() {
        let mut tally = Tally::new();
        tally.started = 2;
        tally.end(End::Ok);
        assert!(tally.check_invariants().is_err());
        tally.end(End::Lost);
        assert!(tally.check_invariants().is_ok());
        assert_eq!(tally.failures(), 1);
    }
}
