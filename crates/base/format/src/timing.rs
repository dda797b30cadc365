//! Durations between the points that a request passes.

use std::time::Duration;

use dragoman_types::{Facts, Moment, StreamInfo};

/// The durations that have an operator of their own; all in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Span {
    /// From the first byte until the end, or until now.
    Whole,
    Request,
    RequestTx,
    Response,
    ResponseTx,
    PoolReady,
}

impl Span {
    pub(crate) fn millis(self, info: &StreamInfo, now: Moment) -> Option<u64> {
        let phases = &info.phases;
        let span = match self {
            Span::Whole => info.since_start(Some(info.end.unwrap_or(now))),
            Span::Request => info.since_start(phases.request_end),
            Span::RequestTx => info.since_start(phases.upstream_request_end),
            Span::Response => info.since_start(phases.upstream_response_begin),
            Span::ResponseTx => between(phases.upstream_response_begin, phases.response_end),
            Span::PoolReady => between(phases.upstream_connect_begin, phases.upstream_connect_end),
        };
        span.map(|d| d.as_millis() as u64)
    }
}

/// `None` while one of them isn't reached, or if they lie the other way round.
fn between(from: Option<Moment>, to: Option<Moment>) -> Option<Duration> {
    to?.checked_since(from?)
}

/// The points of `%COMMON_DURATION%`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Point {
    ConnectionBegin,
    RequestBegin,
    RequestEnd,
    UpstreamConnectBegin,
    UpstreamConnectEnd,
    UpstreamRequestBegin,
    UpstreamRequestEnd,
    UpstreamResponseBegin,
    UpstreamResponseEnd,
    ResponseBegin,
    ResponseEnd,
    /// Never reached: handshakes of a connection without TLS, and names that nothing ever sets.
    Never,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Point {
    /// `Err`: a point that Envoy knows and this proxy doesn't record.
    pub(crate) fn parse(name: &str) -> Result<Point, String> {
        Ok(match name {
            "DS_CX_BEG" => Point::ConnectionBegin,
            "DS_RX_BEG" => Point::RequestBegin,
            "DS_RX_END" => Point::RequestEnd,
            "US_CX_BEG" => Point::UpstreamConnectBegin,
            "US_CX_END" => Point::UpstreamConnectEnd,
            "US_TX_BEG" => Point::UpstreamRequestBegin,
            "US_TX_END" => Point::UpstreamRequestEnd,
            "US_RX_BEG" => Point::UpstreamResponseBegin,
            "US_RX_END" => Point::UpstreamResponseEnd,
            "DS_TX_BEG" => Point::ResponseBegin,
            "DS_TX_END" => Point::ResponseEnd,
            "DS_RX_HDR_END" | "US_RX_BODY_BEG" | "DS_CX_END" => {
                return Err(format!("the time point {name} isn't recorded"));
            }
            _ => Point::Never,
        })
    }

    fn instant(self, facts: &Facts<'_>) -> Option<Moment> {
        let phases = &facts.info.phases;
        match self {
            Point::ConnectionBegin => Some(facts.connection.accepted_at),
            Point::RequestBegin => Some(facts.info.start),
            Point::RequestEnd => phases.request_end,
            Point::UpstreamConnectBegin => phases.upstream_connect_begin,
            Point::UpstreamConnectEnd => phases.upstream_connect_end,
            Point::UpstreamRequestBegin => phases.upstream_request_begin,
            Point::UpstreamRequestEnd => phases.upstream_request_end,
            Point::UpstreamResponseBegin => phases.upstream_response_begin,
            Point::UpstreamResponseEnd => phases.upstream_response_end,
            Point::ResponseBegin => phases.response_begin,
            Point::ResponseEnd => phases.response_end,
            Point::Never => None,
        }
    }
}

pub(crate) fn common(from: Point, to: Point, unit: Unit, facts: &Facts<'_>) -> Option<u64> {
    let span = between(from.instant(facts), to.instant(facts))?;
    Some(match unit {
        Unit::Millis => span.as_millis() as u64,
        Unit::Micros => span.as_micros() as u64,
        Unit::Nanos => span.as_nanos() as u64,
    })
}
