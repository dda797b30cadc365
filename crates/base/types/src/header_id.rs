//! Names that the proxy itself looks for, interned: a look-up compares small numbers.

/// An interned header name; [`id::OTHER`] stands for every name that isn't.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HeaderId(u8);

macro_rules! interned {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// The interned names.
        pub mod id {
            use super::HeaderId;
            /// Any name that isn't interned.
            pub const OTHER: HeaderId = HeaderId(0);
            interned!(@consts 1u8; $($name)+);
        }
        const NAMES: &[&[u8]] = &[b"", $($text.as_bytes()),+];
        /// The same as HTTP/1 begins their lines.
        const LINE_STARTS: &[&[u8]] = &[b"", $(concat!($text, ": ").as_bytes()),+];
    };
    (@consts $n:expr; $head:ident $($tail:ident)*) => {
        #[allow(missing_docs)]
        pub const $head: HeaderId = HeaderId($n);
        interned!(@consts $n + 1u8; $($tail)*);
    };
    (@consts $n:expr;) => {};
}

interned! {
    METHOD = ":method",
    PATH = ":path",
    AUTHORITY = ":authority",
    SCHEME = ":scheme",
    PROTOCOL = ":protocol",
    HOST = "host",
    CONNECTION = "connection",
    CONTENT_LENGTH = "content-length",
    CONTENT_TYPE = "content-type",
    TRANSFER_ENCODING = "transfer-encoding",
    UPGRADE = "upgrade",
    KEEP_ALIVE = "keep-alive",
    PROXY_CONNECTION = "proxy-connection",
    TE = "te",
    TRAILER = "trailer",
    EXPECT = "expect",
    USER_AGENT = "user-agent",
    ACCEPT = "accept",
    ACCEPT_ENCODING = "accept-encoding",
    COOKIE = "cookie",
    SET_COOKIE = "set-cookie",
    AUTHORIZATION = "authorization",
    REFERER = "referer",
    ORIGIN = "origin",
    CACHE_CONTROL = "cache-control",
    DATE = "date",
    SERVER = "server",
    LOCATION = "location",
    VIA = "via",
    ETAG = "etag",
    LAST_MODIFIED = "last-modified",
    VARY = "vary",
    GRPC_TIMEOUT = "grpc-timeout",
    GRPC_STATUS = "grpc-status",
    GRPC_MESSAGE = "grpc-message",
    GRPC_ACCEPT_ENCODING = "grpc-accept-encoding",
    X_FORWARDED_FOR = "x-forwarded-for",
    X_FORWARDED_PROTO = "x-forwarded-proto",
    X_FORWARDED_HOST = "x-forwarded-host",
    X_FORWARDED_PORT = "x-forwarded-port",
    X_FORWARDED_CLIENT_CERT = "x-forwarded-client-cert",
    X_REQUEST_ID = "x-request-id",
    X_CLIENT_TRACE_ID = "x-client-trace-id",
    TRACEPARENT = "traceparent",
    TRACESTATE = "tracestate",
    X_B3_TRACEID = "x-b3-traceid",
    X_B3_SPANID = "x-b3-spanid",
    X_B3_PARENTSPANID = "x-b3-parentspanid",
    X_ENVOY_INTERNAL = "x-envoy-internal",
    X_ENVOY_EXTERNAL_ADDRESS = "x-envoy-external-address",
    X_ENVOY_ORIGINAL_PATH = "x-envoy-original-path",
    X_ENVOY_ORIGINAL_HOST = "x-envoy-original-host",
    X_ENVOY_ORIGINAL_URL = "x-envoy-original-url",
    X_ENVOY_DECORATOR_OPERATION = "x-envoy-decorator-operation",
    X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER = "x-envoy-downstream-service-cluster",
    X_ENVOY_DOWNSTREAM_SERVICE_NODE = "x-envoy-downstream-service-node",
    X_ENVOY_EXPECTED_RQ_TIMEOUT_MS = "x-envoy-expected-rq-timeout-ms",
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS = "x-envoy-upstream-rq-timeout-ms",
    X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS = "x-envoy-upstream-rq-per-try-timeout-ms",
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE = "x-envoy-upstream-rq-timeout-alt-response",
    X_ENVOY_UPSTREAM_STREAM_DURATION_MS = "x-envoy-upstream-stream-duration-ms",
    X_ENVOY_UPSTREAM_ALT_STAT_NAME = "x-envoy-upstream-alt-stat-name",
    X_ENVOY_UPSTREAM_SERVICE_TIME = "x-envoy-upstream-service-time",
    X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER = "x-envoy-upstream-healthchecked-cluster",
    X_ENVOY_UPSTREAM_CANARY = "x-envoy-upstream-canary",
    X_ENVOY_MAX_RETRIES = "x-envoy-max-retries",
    X_ENVOY_RETRY_ON = "x-envoy-retry-on",
    X_ENVOY_RETRY_GRPC_ON = "x-envoy-retry-grpc-on",
    X_ENVOY_RETRIABLE_STATUS_CODES = "x-envoy-retriable-status-codes",
    X_ENVOY_RETRIABLE_HEADER_NAMES = "x-envoy-retriable-header-names",
    X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT = "x-envoy-hedge-on-per-try-timeout",
    X_ENVOY_ATTEMPT_COUNT = "x-envoy-attempt-count",
    X_ENVOY_IS_TIMEOUT_RETRY = "x-envoy-is-timeout-retry",
    X_ENVOY_DEGRADED = "x-envoy-degraded",
    X_ENVOY_OVERLOADED = "x-envoy-overloaded",
    X_ENVOY_LOCAL_OVERLOADED = "x-envoy-local-overloaded",
    X_ENVOY_RATELIMITED = "x-envoy-ratelimited",
    X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL = "x-envoy-immediate-health-check-fail",
    X_ENVOY_FORCE_TRACE = "x-envoy-force-trace",
    X_ENVOY_IP_TAGS = "x-envoy-ip-tags",
}

const _: () = assert!(NAMES.len() <= 128, "sets of ids are 128 bits wide");

/// Where names are looked for: open addressing, 0 is an empty slot.
const SLOTS: usize = 256;
const TABLE: [u8; SLOTS] = {
    let mut table = [0u8; SLOTS];
    let mut at = 1;
    while at < NAMES.len() {
        let mut slot = slot_of(NAMES[at]);
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = at as u8;
        at += 1;
    }
    table
};

/// The first slot of a name. Length and three letters tell nearly all names apart; bit 5 is the case.
#[inline]
const fn slot_of(name: &[u8]) -> usize {
    let len = name.len();
    if len == 0 {
        return 0;
    }
    let (last, middle, late) = (name[len - 1], name[len / 2], name[len * 3 / 4]);
    let key = u32::from_le_bytes([len as u8, last | 0x20, middle | 0x20, late | 0x20]);
    (key.wrapping_mul(0x9e37_79b1) >> 24) as usize
}

impl HeaderId {
    /// The id of `name` in any case, or [`id::OTHER`].
    #[inline]
    pub fn of(name: &[u8]) -> HeaderId {
        find(name, <[u8]>::eq_ignore_ascii_case)
    }

    /// The id of a lower-case `name`, or [`id::OTHER`].
    #[inline]
    pub fn of_lower(name: &[u8]) -> HeaderId {
        find(name, |known, name| known == name)
    }

    /// The lower-case name; empty for [`id::OTHER`].
    #[inline]
    pub fn name(self) -> &'static [u8] {
        NAMES[usize::from(self.0)]
    }

    /// How HTTP/1 begins a line of this name: nothing for pseudo-headers, `host` for the authority.
    #[inline]
    pub fn line_start(self) -> &'static [u8] {
        match self {
            id::AUTHORITY => b"host: ",
            pseudo if pseudo.is_pseudo() => b"",
            known => LINE_STARTS[usize::from(known.0)],
        }
    }

    /// The id of that number; `None` beyond the last.
    pub fn from_index(index: u8) -> Option<HeaderId> {
        (usize::from(index) < NAMES.len()).then_some(HeaderId(index))
    }

    /// A number below 128, for sets of ids.
    #[inline]
    pub const fn index(self) -> u8 {
        self.0
    }

    /// `:method` and its kind: never written as a header field of HTTP/1.
    #[inline]
    pub fn is_pseudo(self) -> bool {
        self.0 >= id::METHOD.0 && self.0 <= id::PROTOCOL.0
    }
}

#[inline]
fn find(name: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> HeaderId {
    let mut slot = slot_of(name);
    loop {
        match TABLE[slot] {
            0 => return id::OTHER,
            known if same(NAMES[usize::from(known)], name) => return HeaderId(known),
            _ => slot = (slot + 1) % SLOTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interned_name_finds_itself_in_any_case() {
        for (index, name) in NAMES.iter().enumerate().skip(1) {
            assert_eq!(HeaderId::of(name), HeaderId(index as u8));
            assert_eq!(HeaderId::of_lower(name), HeaderId(index as u8));
            assert_eq!(HeaderId::of(&name.to_ascii_uppercase()).name(), *name);
        }
        assert_eq!(HeaderId::of(b""), id::OTHER);
        assert_eq!(HeaderId::of(&[b'x'; 4000]), id::OTHER);
        assert_eq!(HeaderId::of(b"x-unknown"), id::OTHER);
        assert_eq!(HeaderId::of_lower(b"Host"), id::OTHER);
    }
}
