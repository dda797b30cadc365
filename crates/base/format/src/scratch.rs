//! What a worker lends to every write: the time, the occasion, and memory that is used again.

use std::time::SystemTime;

use dragoman_types::Moment;

use crate::time::Calendar;

/// The occasion on which a format is written (`%ACCESS_LOG_TYPE%`).
/// Source: `envoy.data.accesslog.v3.AccessLogType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LogType {
    /// No log at all: a header value or a body.
    #[default]
    NotSet,
    DownstreamStart,
    DownstreamPeriodic,
    DownstreamEnd,
    TcpConnectionStart,
    TcpUpstreamConnected,
    TcpPeriodic,
    TcpConnectionEnd,
}

impl LogType {
    pub fn as_str(self) -> &'static str {
        match self {
            LogType::NotSet => "NotSet",
            LogType::DownstreamStart => "DownstreamStart",
            LogType::DownstreamPeriodic => "DownstreamPeriodic",
            LogType::DownstreamEnd => "DownstreamEnd",
            LogType::TcpConnectionStart => "TcpConnectionStart",
            LogType::TcpUpstreamConnected => "TcpUpstreamConnected",
            LogType::TcpPeriodic => "TcpPeriodic",
            LogType::TcpConnectionEnd => "TcpConnectionEnd",
        }
    }
}

/// One per worker. Set the two times (they may be cached ones) and the occasion before writing.
#[derive(Debug)]
pub struct Scratch {
    /// `%EMIT_TIME%`.
    pub wall: SystemTime,
    /// What `%DURATION%` counts to while the request still runs.
    pub instant: Moment,
    pub log_type: LogType,
    pub(crate) calendar: Calendar,
    pub(crate) value: Vec<u8>,
}

impl Scratch {
    pub fn new(wall: SystemTime, instant: Moment) -> Scratch {
        Scratch {
            wall,
            instant,
            log_type: LogType::NotSet,
            calendar: Calendar::default(),
            value: Vec::with_capacity(256),
        }
    }

    /// The times to write with from now on.
    pub fn set_now(&mut self, wall: SystemTime, instant: Moment) {
        self.wall = wall;
        self.instant = instant;
    }

    /// The wall clock's time of an earlier moment.
    pub(crate) fn wall_at(&self, at: Moment) -> SystemTime {
        self.wall - self.instant.since(at)
    }
}
