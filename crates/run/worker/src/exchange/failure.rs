//! What ends an attempt, and what the client learns of it.

use dragoman_codec::h2;
use dragoman_types::{Flags, LocalReply};

use super::patience::Expired;
use super::replies::{TRY_IDLE_TIMEOUT, TRY_TIMEOUT};
use super::{Exchange, Stop, replies};
use crate::lease::Leased;
use crate::stream::StreamError;
use crate::upstream::Gone;

/// What ended it.
#[derive(Debug)]
pub(super) enum Failure {
    Upstream(StreamError),
    /// No connection to the host could be opened.
    Unconnected(Box<LocalReply>),
    /// The host closed within its head.
    HalfHead,
    /// Status 101 where no upgrade was asked for, or a flood of interim responses.
    Unasked,
    ClientGone,
    Client(dragoman_codec::h1::ParseError),
    /// A filter answers in the middle of the request.
    Answered,
    /// A filter waits for the whole response, which is longer than what is kept.
    TooLarge,
    Expired(Expired),
    /// What ends the request in any case.
    Stopped(Stop),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Failure {
        Failure::Stopped(stop)
    }
}

impl Failure {
    /// The host closed without a byte of an answer.
    pub(super) fn is_unanswered_close(&self, leased: &Leased) -> bool {
        let closed = matches!(self, Failure::Upstream(StreamError::Closed | StreamError::Io));
        closed && !leased.is_answered()
    }

    /// The host's connection ended before the host had looked at the request.
    pub(super) fn is_unseen(&self) -> bool {
        matches!(self, Failure::Upstream(StreamError::Unseen))
    }
}

impl Exchange<'_> {
    /// The leg ended before an answer: counts it, and says what it was.
    pub(super) fn failed(&mut self, mut leased: Leased, failure: Failure) -> Failure {
        leased.fate = failure.fate();
        self.patience.attempt_over();
        let stats = &leased.host.cluster.stats;
        match &failure {
            Failure::Upstream(StreamError::Protocol(_)) | Failure::Unasked => {
                stats.upstream_cx_protocol_error.inc();
            }
            Failure::Upstream(StreamError::Reset) => stats.upstream_rq_rx_reset.inc(),
            Failure::Expired(which) => self.count_attempt_expired(*which),
            _ => {}
        }
        if matches!(failure, Failure::Upstream(_)) {
            leased.host.stats.rq_error.inc();
        }
        let partial = leased.is_answered();
        match failure {
            // Half a head is no head: the host broke the protocol rather than went away.
            Failure::Upstream(StreamError::Closed) if partial => {
                stats.upstream_cx_protocol_error.inc();
                Failure::HalfHead
            }
            other => other,
        }
    }

    pub(super) fn stop_for(&mut self, failure: Failure) -> Stop {
        if self.responded {
            return self.cut(failure);
        }
        let mut reply: LocalReply = match failure {
            Failure::Upstream(StreamError::Protocol(error)) => {
                replies::upstream_protocol(error.text())
            }
            Failure::Upstream(StreamError::Http2) => {
                replies::upstream_protocol("HTTP/2 doesn't allow what the host sent")
            }
            Failure::Upstream(StreamError::Broken(broken)) => LocalReply::new(502, broken.0),
            Failure::Upstream(StreamError::Refused | StreamError::Unseen) => {
                replies::reset_by_host("refused stream")
            }
            Failure::Upstream(StreamError::Reset) => replies::reset_by_host(""),
            Failure::Upstream(_) => replies::terminated(),
            Failure::Unconnected(reply) => *reply,
            Failure::HalfHead => replies::upstream_protocol("the connection ended within the head"),
            Failure::Stopped(stop) => return stop,
            Failure::Unasked => replies::upstream_protocol("101 without an upgrade"),
            Failure::ClientGone => return self.client_gone(),
            Failure::Client(error) => replies::malformed(error),
            Failure::Answered => {
                let answer = self.filtering.as_mut().and_then(|filtering| filtering.answer.take());
                answer.unwrap_or_else(|| LocalReply::new(500, "filter_answered_nothing"))
            }
            Failure::TooLarge => {
                self.manager.stats.rs_too_large.inc();
                let filtering = self.filtering.as_mut();
                let answer = filtering.and_then(|f| f.streams.response_too_large());
                answer.unwrap_or_else(|| LocalReply::new(500, "response_payload_too_large"))
            }
            Failure::Expired(which) => {
                self.count_expired(which);
                self.by_manager = !which.is_of_route();
                replies::expired(which, self.patience.is_request_ended())
            }
        };
        if self.info.attempts > 1 {
            replies::tell_of_retries(&mut reply, self.info.attempts);
        }
        reply.into()
    }

    /// The response can't be completed: only flags and the connection's end can say so.
    fn cut(&mut self, failure: Failure) -> Stop {
        let (flags, details) = match failure {
            Failure::Upstream(StreamError::Broken(broken)) => (Flags::NONE, broken.0),
            Failure::Upstream(StreamError::Reset) => {
                if let Some(cluster) = &self.cluster {
                    cluster.cells.stats.upstream_rq_rx_reset.inc();
                }
                let details = "upstream_reset_after_response_started{remote_reset}";
                (Flags::UPSTREAM_REMOTE_RESET, details)
            }
            Failure::Upstream(_)
            | Failure::Unconnected(_)
            | Failure::HalfHead
            | Failure::Unasked => (
                Flags::UPSTREAM_PROTOCOL_ERROR,
                "upstream_reset_after_response_started{protocol_error}",
            ),
            Failure::ClientGone => return self.client_gone(),
            Failure::Stopped(stop) => return stop,
            Failure::Answered | Failure::TooLarge => {
                (Flags::NONE, "local_reply_after_response_started")
            }
            Failure::Client(error) => (Flags::DOWNSTREAM_PROTOCOL_ERROR, error.details()),
            Failure::Expired(which) => {
                self.count_expired(which);
                self.count_attempt_expired(which);
                match which {
                    Expired::Route(_) => (Flags::UPSTREAM_REQUEST_TIMEOUT, "response_timeout"),
                    Expired::Try(_) => (Flags::UPSTREAM_REQUEST_TIMEOUT, TRY_TIMEOUT),
                    Expired::TryIdle(_) => (Flags::UPSTREAM_REQUEST_TIMEOUT, TRY_IDLE_TIMEOUT),
                    Expired::Idle(_) => (Flags::STREAM_IDLE_TIMEOUT, "stream_idle_timeout"),
                    Expired::Request(_) => (Flags::NONE, "request_overall_timeout"),
                    Expired::Stream(_) => (Flags::NONE, "max_duration_timeout"),
                }
            }
        };
        self.info.flags.insert(flags);
        self.info.details = Some(details.into());
        if flags == Flags::UPSTREAM_PROTOCOL_ERROR || flags == Flags::UPSTREAM_REMOTE_RESET {
            self.manager.stats.rq_reset_after_downstream_response_started.inc();
        }
        self.manager.stats.downstream_rq_tx_reset.inc();
        Stop::Cut
    }

    fn client_gone(&mut self) -> Stop {
        let (flags, details) = match self.server.why_gone() {
            Some(h2::Gone::Malformed(why) | h2::Gone::Fault(why)) => {
                (Flags::DOWNSTREAM_PROTOCOL_ERROR, why)
            }
            Some(h2::Gone::Reset(_) | h2::Gone::Refused | h2::Gone::Unseen) => {
                (Flags::DOWNSTREAM_REMOTE_RESET, "http2.remote_reset")
            }
            Some(h2::Gone::Closed | h2::Gone::Local) | None => {
                (Flags::DOWNSTREAM_CONNECTION_TERMINATION, "downstream_remote_disconnect")
            }
        };
        self.info.flags.insert(flags);
        self.info.details = Some(details.into());
        self.manager.stats.downstream_rq_rx_reset.inc();
        Stop::Gone
    }

    /// Counts a limit of the route's, or of one attempt, at whose host it is passed.
    fn count_attempt_expired(&self, which: Expired) {
        let Some(cluster) = self.cluster.as_ref().filter(|_| which.is_of_route()) else { return };
        let stats = &cluster.cells.stats;
        match which {
            Expired::Try(_) => stats.upstream_rq_per_try_timeout.inc(),
            Expired::TryIdle(_) => stats.upstream_rq_per_try_idle_timeout.inc(),
            _ => stats.upstream_rq_timeout.inc(),
        }
        if let Some(host) = &self.host {
            host.stats.rq_timeout.inc();
            if !self.responded {
                host.stats.rq_error.inc();
            }
        }
    }

    fn count_expired(&mut self, which: Expired) {
        let stats = &self.manager.stats;
        match which {
            Expired::Idle(_) => stats.downstream_rq_idle_timeout.inc(),
            Expired::Request(_) => stats.downstream_rq_timeout.inc(),
            Expired::Stream(_) => stats.downstream_rq_max_duration_reached.inc(),
            Expired::Route(_) | Expired::Try(_) | Expired::TryIdle(_) => {}
        }
    }
}

impl Failure {
    pub(super) fn fate(&self) -> Gone {
        match self {
            Failure::Upstream(StreamError::Closed | StreamError::Io) => Gone::RemoteActive,
            _ => Gone::LocalActive,
        }
    }
}
