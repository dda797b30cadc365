//! Envoy's response flags: why a request ended otherwise than by its origin's answer.
//! Source: `%RESPONSE_FLAGS%` in Envoy's access-log documentation.

use std::fmt;

/// A set of response flags.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

macro_rules! flags {
    ($($name:ident $short:literal $long:literal)+) => {
        /// (short name, long name), by bit.
        pub const ALL: &[(&str, &str)] = &[$(($short, $long)),+];
        impl Flags {
            flags!(@bits 0; $($name)+);
        }
    };
    (@bits $bit:expr; $head:ident $($tail:ident)*) => {
        #[allow(missing_docs)]
        pub const $head: Flags = Flags(1 << ($bit));
        flags!(@bits $bit + 1; $($tail)*);
    };
    (@bits $bit:expr;) => {};
}

// In the order in which Envoy prints them: that of a request's way, on which retries end before what then failed
// is told.
flags! {
    UPSTREAM_RETRY_LIMIT_EXCEEDED "URX" "UpstreamRetryLimitExceeded"
    UPSTREAM_OVERFLOW "UO" "UpstreamOverflow"
    FAILED_LOCAL_HEALTH_CHECK "LH" "FailedLocalHealthCheck"
    NO_HEALTHY_UPSTREAM "UH" "NoHealthyUpstream"
    UPSTREAM_REQUEST_TIMEOUT "UT" "UpstreamRequestTimeout"
    LOCAL_RESET "LR" "LocalReset"
    UPSTREAM_REMOTE_RESET "UR" "UpstreamRemoteReset"
    UPSTREAM_CONNECTION_FAILURE "UF" "UpstreamConnectionFailure"
    UPSTREAM_CONNECTION_TERMINATION "UC" "UpstreamConnectionTermination"
    NO_ROUTE_FOUND "NR" "NoRouteFound"
    DELAY_INJECTED "DI" "DelayInjected"
    FAULT_INJECTED "FI" "FaultInjected"
    RATE_LIMITED "RL" "RateLimited"
    UNAUTHORIZED_EXTERNAL_SERVICE "UAEX" "UnauthorizedExternalService"
    RATELIMIT_SERVICE_ERROR "RLSE" "RateLimitServiceError"
    DOWNSTREAM_CONNECTION_TERMINATION "DC" "DownstreamConnectionTermination"
    STREAM_IDLE_TIMEOUT "SI" "StreamIdleTimeout"
    INVALID_ENVOY_REQUEST_HEADERS "IH" "InvalidEnvoyRequestHeaders"
    DOWNSTREAM_PROTOCOL_ERROR "DPE" "DownstreamProtocolError"
    UPSTREAM_MAX_STREAM_DURATION_REACHED "UMSDR" "UpstreamMaxStreamDurationReached"
    RESPONSE_FROM_CACHE_FILTER "RFCF" "ResponseFromCacheFilter"
    NO_FILTER_CONFIG_FOUND "NFCF" "NoFilterConfigFound"
    DURATION_TIMEOUT "DT" "DurationTimeout"
    UPSTREAM_PROTOCOL_ERROR "UPE" "UpstreamProtocolError"
    NO_CLUSTER_FOUND "NC" "NoClusterFound"
    OVERLOAD_MANAGER "OM" "OverloadManagerTerminated"
    DNS_RESOLUTION_FAILED "DF" "DnsResolutionFailed"
    DROP_OVERLOAD "DO" "DropOverload"
    DOWNSTREAM_REMOTE_RESET "DR" "DownstreamRemoteReset"
    UNCONDITIONAL_DROP_OVERLOAD "UDO" "UnconditionalDropOverload"
}

impl Flags {
    pub const NONE: Flags = Flags(0);

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    pub fn insert(&mut self, other: Flags) {
        self.0 |= other.0;
    }

    /// The flag whose short name this is.
    pub fn from_short(name: &str) -> Option<Flags> {
        ALL.iter().position(|(short, _)| *short == name).map(|bit| Flags(1 << bit))
    }

    /// (short, long) names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        ALL.iter().enumerate().filter(move |(bit, _)| self.0 & (1 << bit) != 0).map(|(_, n)| n)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// Short names joined by commas; `-` where none is set.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, (short, _)) in self.names().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(short)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_the_access_log_does() {
        assert_eq!(Flags::NONE.to_string(), "-");
        let both = Flags::UPSTREAM_RETRY_LIMIT_EXCEEDED | Flags::UPSTREAM_CONNECTION_FAILURE;
        assert_eq!(both.to_string(), "URX,UF");
        assert_eq!(Flags::from_short("UH"), Some(Flags::NO_HEALTHY_UPSTREAM));
        assert_eq!(Flags::from_short("??"), None);
    }
}
