//! A header table that allocates nothing in the steady state.
//!
//! Names that the proxy itself looks for are interned as [`HeaderId`]s, so a look-up compares small
//! numbers; every other byte lives in one arena that is cleared, not freed, between messages. Names
//! are stored lower-case, as HTTP/2 demands and Envoy does. HTTP/1's request line and `Host` are kept
//! as the pseudo-headers `:method`, `:path`, `:authority` and `:scheme`, so that matchers, formatters
//! and header edits have one place to look.

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
    X_FORWARDED_FOR = "x-forwarded-for",
    X_FORWARDED_PROTO = "x-forwarded-proto",
    X_FORWARDED_HOST = "x-forwarded-host",
    X_FORWARDED_PORT = "x-forwarded-port",
    X_FORWARDED_CLIENT_CERT = "x-forwarded-client-cert",
    X_REQUEST_ID = "x-request-id",
    X_CLIENT_TRACE_ID = "x-client-trace-id",
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

const LONGEST: usize = 48;
const _: () = assert!(NAMES.len() <= 128, "sets of ids are 128 bits wide");

/// For each name length, the ids of that length: `BY_LENGTH[len]` is a range of `ORDERED`.
const ORDERED: [u8; NAMES.len() - 1] = order_by_length();
const BY_LENGTH: [(u8, u8); LONGEST] = ranges_by_length();

const fn order_by_length() -> [u8; NAMES.len() - 1] {
    let mut out = [0u8; NAMES.len() - 1];
    let (mut len, mut at) = (0, 0);
    while len < LONGEST {
        let mut i = 1;
        while i < NAMES.len() {
            if NAMES[i].len() == len {
                out[at] = i as u8;
                at += 1;
            }
            i += 1;
        }
        len += 1;
    }
    assert!(at == out.len(), "a name is longer than LONGEST");
    out
}

const fn ranges_by_length() -> [(u8, u8); LONGEST] {
    let mut out = [(0u8, 0u8); LONGEST];
    let (mut len, mut at) = (0, 0u8);
    while len < LONGEST {
        let start = at;
        while (at as usize) < ORDERED.len() && NAMES[ORDERED[at as usize] as usize].len() == len {
            at += 1;
        }
        out[len] = (start, at);
        len += 1;
    }
    out
}

impl HeaderId {
    /// The id of `name` in any case, or [`id::OTHER`].
    #[inline]
    pub fn of(name: &[u8]) -> HeaderId {
        let Some(&(start, end)) = BY_LENGTH.get(name.len()) else { return id::OTHER };
        for &candidate in &ORDERED[start as usize..end as usize] {
            if NAMES[candidate as usize].eq_ignore_ascii_case(name) {
                return HeaderId(candidate);
            }
        }
        id::OTHER
    }

    /// The lower-case name; empty for [`id::OTHER`].
    #[inline]
    pub fn name(self) -> &'static [u8] {
        NAMES[self.0 as usize]
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

/// A place in the arena.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    at: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: HeaderId,
    name: Span,
    value: Span,
}

/// An ordered multimap of header fields. Names are lower-case; values are any bytes that the codec
/// let through. One message's fields together stay below 4 GiB (codecs limit them far lower).
#[derive(Clone, Debug, Default)]
pub struct Headers {
    arena: Vec<u8>,
    entries: Vec<Entry>,
}

/// Which fields a name means: an interned id, or a spelled name that has none.
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    Id(HeaderId),
    Other(&'a [u8]),
}

impl<'a> Name<'a> {
    /// Resolves a lower-case name once; keep the answer where a name is used per request.
    pub fn of(lower: &'a [u8]) -> Name<'a> {
        match HeaderId::of(lower) {
            id::OTHER => Name::Other(lower),
            known => Name::Id(known),
        }
    }
}

impl From<HeaderId> for Name<'_> {
    fn from(id: HeaderId) -> Self {
        Name::Id(id)
    }
}

impl<'a> From<&'a [u8]> for Name<'a> {
    fn from(lower: &'a [u8]) -> Self {
        Name::of(lower)
    }
}

impl<'a> From<&'a HeaderName> for Name<'a> {
    #[inline]
    fn from(name: &'a HeaderName) -> Self {
        match name.id {
            id::OTHER => Name::Other(&name.text),
            known => Name::Id(known),
        }
    }
}

/// An owned header name, resolved at configuration time: lower-case and interned where possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName {
    id: HeaderId,
    text: Box<[u8]>,
}

impl HeaderName {
    /// Any case is taken; `host` means `:authority`, as everywhere in Envoy's configuration.
    pub fn new(name: &str) -> HeaderName {
        let text = name.to_ascii_lowercase().into_bytes();
        match HeaderId::of(&text) {
            id::HOST => HeaderName { id: id::AUTHORITY, text: b":authority"[..].into() },
            id => HeaderName { id, text: text.into() },
        }
    }

    pub fn id(&self) -> HeaderId {
        self.id
    }

    /// The lower-case name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

impl Headers {
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Forgets all fields; keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
    }

    /// Gives memory back if a large message made it grow past `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        if self.arena.capacity() > bytes {
            self.arena = Vec::new();
            self.entries = Vec::new();
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes of names and values as HTTP/2 counts them, without per-field overhead.
    pub fn byte_size(&self) -> u64 {
        self.iter().map(|(_, name, value)| (name.len() + value.len()) as u64).sum()
    }

    fn store(&mut self, bytes: &[u8]) -> Span {
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        Span { at, len: bytes.len() as u32 }
    }

    fn store_lower(&mut self, bytes: &[u8]) -> Span {
        let span = self.store(bytes);
        self.arena[span.at as usize..].make_ascii_lowercase();
        span
    }

    #[inline]
    fn bytes(&self, span: Span) -> &[u8] {
        &self.arena[span.at as usize..(span.at + span.len) as usize]
    }

    #[inline]
    fn name_of(&self, entry: &Entry) -> &[u8] {
        if entry.id == id::OTHER { self.bytes(entry.name) } else { entry.id.name() }
    }

    #[inline]
    fn is(&self, entry: &Entry, name: Name<'_>) -> bool {
        match name {
            Name::Id(id) => entry.id == id,
            Name::Other(text) => entry.id == id::OTHER && self.bytes(entry.name) == text,
        }
    }

    /// Appends a field whose name may be in any case.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let id = HeaderId::of(name);
        let name = if id == id::OTHER { self.store_lower(name) } else { Span::default() };
        let value = self.store(value);
        self.entries.push(Entry { id, name, value });
    }

    /// Appends a field.
    pub fn append<'a>(&mut self, name: impl Into<Name<'a>>, value: &[u8]) {
        let entry = match name.into() {
            Name::Id(id) => Entry { id, name: Span::default(), value: self.store(value) },
            Name::Other(text) => {
                let name = self.store(text);
                Entry { id: id::OTHER, name, value: self.store(value) }
            }
        };
        self.entries.push(entry);
    }

    /// Puts `value` into the first field of this name and drops the others, or appends one.
    pub fn set<'a>(&mut self, name: impl Into<Name<'a>>, value: &[u8]) {
        let name = name.into();
        match self.entries.iter().position(|e| self.is(e, name)) {
            Some(first) => {
                let span = self.store(value);
                self.entries[first].value = span;
                self.remove_after(first + 1, name);
            }
            None => self.append(name, value),
        }
    }

    /// Joins `value` to the first field of this name with `separator`, or appends a field.
    pub fn join<'a>(&mut self, name: impl Into<Name<'a>>, separator: &[u8], value: &[u8]) {
        let name = name.into();
        let Some(first) = self.entries.iter().position(|e| self.is(e, name)) else {
            return self.append(name, value);
        };
        let old = self.entries[first].value;
        let at = self.arena.len() as u32;
        self.arena.extend_from_within(old.at as usize..(old.at + old.len) as usize);
        self.arena.extend_from_slice(separator);
        self.arena.extend_from_slice(value);
        self.entries[first].value = Span { at, len: self.arena.len() as u32 - at };
    }

    fn remove_after(&mut self, from: usize, name: Name<'_>) -> bool {
        let arena = &self.arena;
        let before = self.entries.len();
        let mut index = 0;
        self.entries.retain(|entry| {
            index += 1;
            let matches = match name {
                Name::Id(id) => entry.id == id,
                Name::Other(text) => {
                    let at = entry.name.at as usize;
                    entry.id == id::OTHER && &arena[at..at + entry.name.len as usize] == text
                }
            };
            index <= from || !matches
        });
        before != self.entries.len()
    }

    /// Removes every field of this name; tells whether there was one.
    pub fn remove<'a>(&mut self, name: impl Into<Name<'a>>) -> bool {
        let name = name.into();
        if !self.contains(name) {
            return false;
        }
        self.remove_after(0, name)
    }

    /// Keeps the fields for which `keep(id, name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(HeaderId, &[u8], &[u8]) -> bool) {
        let arena = &self.arena;
        let text = |s: Span| &arena[s.at as usize..(s.at + s.len) as usize];
        self.entries.retain(|e| {
            let name = if e.id == id::OTHER { text(e.name) } else { e.id.name() };
            keep(e.id, name, text(e.value))
        });
    }

    #[inline]
    pub fn contains<'a>(&self, name: impl Into<Name<'a>>) -> bool {
        let name = name.into();
        self.entries.iter().any(|e| self.is(e, name))
    }

    /// The first field's value.
    #[inline]
    pub fn get<'a>(&self, name: impl Into<Name<'a>>) -> Option<&[u8]> {
        let name = name.into();
        self.entries.iter().find(|e| self.is(e, name)).map(|e| self.bytes(e.value))
    }

    /// Every value of this name, in order.
    pub fn get_all<'s, 'n: 's>(
        &'s self,
        name: impl Into<Name<'n>>,
    ) -> impl Iterator<Item = &'s [u8]> + 's {
        let name = name.into();
        self.entries.iter().filter(move |e| self.is(e, name)).map(|e| self.bytes(e.value))
    }

    /// All fields in order as (id, lower-case name, value), pseudo-headers included.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (HeaderId, &[u8], &[u8])> {
        self.entries.iter().map(|e| (e.id, self.name_of(e), self.bytes(e.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &Headers) -> Vec<(String, String)> {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        headers.iter().map(|(_, n, v)| (text(n), text(v))).collect()
    }

    #[test]
    fn every_interned_name_finds_itself_in_any_case() {
        for (index, name) in NAMES.iter().enumerate().skip(1) {
            assert_eq!(HeaderId::of(name), HeaderId(index as u8));
            assert_eq!(HeaderId::of(&name.to_ascii_uppercase()).name(), *name);
        }
        assert_eq!(HeaderId::of(b""), id::OTHER);
        assert_eq!(HeaderId::of(&[b'x'; 4000]), id::OTHER);
        assert_eq!(HeaderId::of(b"x-unknown"), id::OTHER);
    }

    #[test]
    fn set_replaces_the_first_and_drops_the_rest() {
        let mut h = Headers::new();
        h.push(b"X-A", b"1");
        h.push(b"Cookie", b"c");
        h.push(b"x-a", b"2");
        h.set(&b"x-a"[..], b"3");
        assert_eq!(pairs(&h), [("x-a".into(), "3".into()), ("cookie".into(), "c".into())]);
        h.set(id::COOKIE, b"d");
        assert_eq!(h.get(id::COOKIE), Some(&b"d"[..]));
        assert!(h.remove(id::COOKIE) && !h.remove(id::COOKIE));
    }

    #[test]
    fn join_appends_to_the_first_field() {
        let mut h = Headers::new();
        h.join(id::X_FORWARDED_FOR, b",", b"10.0.0.1");
        h.join(id::X_FORWARDED_FOR, b",", b"10.0.0.2");
        assert_eq!(h.get(id::X_FORWARDED_FOR), Some(&b"10.0.0.1,10.0.0.2"[..]));
        assert_eq!(h.len(), 1);
    }

    #[test]
    fn all_values_of_a_repeated_field_are_seen() {
        let mut h = Headers::new();
        h.push(b"x-a", b"1");
        h.push(b"X-A", b"2");
        let all: Vec<&[u8]> = h.get_all(&b"x-a"[..]).collect();
        assert_eq!(all, [b"1", b"2"]);
    }

    #[test]
    fn host_in_configuration_means_authority() {
        assert_eq!(HeaderName::new("Host").id(), id::AUTHORITY);
        assert_eq!(HeaderName::new("X-Thing").as_bytes(), b"x-thing");
    }
}
