//! Envoy's response flags: why a request ended otherwise than by its origin's answer.
//! Source: `%RESPONSE_FLAGS%` in Envoy's access-log documentation.

use std::fmt;

/// A set of response flags, printed in the order in which they came, as Envoy does.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    bits: u32,
    /// Five bits for each flag, the first lowest: its place in [`ALL`], from 1. A request that had more than
    /// twelve is none that there is.
    order: u64,
}

const PLACE_BITS: u32 = 5;

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
        pub const $head: Flags = Flags { bits: 1 << ($bit), order: ($bit) + 1 };
        flags!(@bits $bit + 1; $($tail)*);
    };
    (@bits $bit:expr;) => {};
}

flags! {
    FAILED_LOCAL_HEALTH_CHECK "LH" "FailedLocalHealthCheck"
    NO_HEALTHY_UPSTREAM "UH" "NoHealthyUpstream"
    UPSTREAM_REQUEST_TIMEOUT "UT" "UpstreamRequestTimeout"
    LOCAL_RESET "LR" "LocalReset"
    UPSTREAM_REMOTE_RESET "UR" "UpstreamRemoteReset"
    UPSTREAM_CONNECTION_FAILURE "UF" "UpstreamConnectionFailure"
    UPSTREAM_CONNECTION_TERMINATION "UC" "UpstreamConnectionTermination"
    UPSTREAM_OVERFLOW "UO" "UpstreamOverflow"
    NO_ROUTE_FOUND "NR" "NoRouteFound"
    DELAY_INJECTED "DI" "DelayInjected"
    FAULT_INJECTED "FI" "FaultInjected"
    RATE_LIMITED "RL" "RateLimited"
    UNAUTHORIZED_EXTERNAL_SERVICE "UAEX" "UnauthorizedExternalService"
    RATELIMIT_SERVICE_ERROR "RLSE" "RateLimitServiceError"
    DOWNSTREAM_CONNECTION_TERMINATION "DC" "DownstreamConnectionTermination"
    UPSTREAM_RETRY_LIMIT_EXCEEDED "URX" "UpstreamRetryLimitExceeded"
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
    pub const NONE: Flags = Flags { bits: 0, order: 0 };

    pub fn is_empty(self) -> bool {
        self.bits == 0
    }

    pub fn contains(self, other: Flags) -> bool {
        self.bits & other.bits == other.bits
    }

    pub fn intersects(self, other: Flags) -> bool {
        self.bits & other.bits != 0
    }

    /// Adds those of `other` that are new, in its order.
    pub fn insert(&mut self, other: Flags) {
        for place in other.places() {
            let bit = 1 << place;
            let shift = self.bits.count_ones() * PLACE_BITS;
            if self.bits & bit == 0 && shift + PLACE_BITS <= u64::BITS {
                self.order |= (place as u64 + 1) << shift;
                self.bits |= bit;
            }
        }
    }

    /// The flag whose short name this is.
    pub fn from_short(name: &str) -> Option<Flags> {
        let place = ALL.iter().position(|(short, _)| *short == name)?;
        Some(Flags { bits: 1 << place, order: place as u64 + 1 })
    }

    fn places(self) -> impl Iterator<Item = usize> {
        let at = move |nth| (self.order >> (nth * PLACE_BITS)) & ((1 << PLACE_BITS) - 1);
        (0..self.bits.count_ones()).map(move |nth| at(nth) as usize - 1)
    }

    /// (short, long) names of the flags that are set.
    pub fn names(self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        self.places().map(|place| &ALL[place])
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;
    fn bitor(mut self, other: Flags) -> Flags {
        self.insert(other);
        self
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
        let (limit, failure) =
            (Flags::UPSTREAM_RETRY_LIMIT_EXCEEDED, Flags::UPSTREAM_CONNECTION_FAILURE);
        assert_eq!((limit | failure | limit).to_string(), "URX,UF");
        assert_eq!((failure | limit).to_string(), "UF,URX");
        assert!((failure | limit).contains(limit) && !failure.intersects(limit));
        assert_eq!(Flags::from_short("UH"), Some(Flags::NO_HEALTHY_UPSTREAM));
        assert_eq!(Flags::from_short("??"), None);
    }

    #[test]
    fn the_last_of_them_has_its_place_too() {
        let last = Flags::UNCONDITIONAL_DROP_OVERLOAD;
        assert_eq!((Flags::LOCAL_RESET | last).to_string(), "LR,UDO");
        assert_eq!(Flags::from_short("UDO"), Some(last));
    }

    #[test]
    fn there_is_room_for_a_dozen() {
        let all = ALL.iter().filter_map(|(short, _)| Flags::from_short(short));
        let many = all.fold(Flags::NONE, |set, flag| set | flag);
        assert_eq!(many.names().count(), 12);
    }
}
