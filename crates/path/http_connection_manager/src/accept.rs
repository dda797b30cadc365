//! A request head on its way from the codec to the filters, step by step in Envoy's order.
//!
//! The first steps are those of Envoy's HTTP/1 codec: where they refuse, the log shows no request
//! (the head is emptied) and the answer carries the status' own phrase. The later ones are the
//! connection manager's: they answer with an empty body.

use dragoman_types::grpc::is_grpc;
use dragoman_types::headers::HeaderName;
use dragoman_types::{
    Connection, Flags, HeaderId, IdSet, LocalReply, RequestHead, StreamInfo, Version, id,
};

use crate::config::{Config, Underscores};
use crate::ids::{Seen, join_repeated};
use crate::path::{BadPath, Outcome};
use crate::target::{self, BadTarget};
use crate::{hop_by_hop, host, sanitize};

/// What surrounds a request when it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub connection: &'a Connection,
    /// The first address of an interface that isn't a loopback one, in text: what Envoy shows in
    /// `x-forwarded-for` for loopback clients. `None`: 127.0.0.1.
    pub local_interface: Option<&'a str>,
    /// `RouteConfiguration.internal_only_headers`.
    pub internal_only_headers: &'a [HeaderName],
}

/// What the driver must know of a request that was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Accepted {
    /// From an address of `internal_address_config`.
    pub internal: bool,
    /// The client waits for `100 Continue` and we shall send it.
    pub send_100_continue: bool,
    /// The client asks for an upgrade or a CONNECT tunnel: see [`Config::check_upgrade`].
    pub upgrade: bool,
    /// Fields dropped for their underscores (`http1.dropped_headers_with_underscores`).
    pub dropped_underscores: u32,
}

/// Buffers that one worker reuses for all its requests.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    a: Vec<u8>,
    b: Vec<u8>,
}

impl Scratch {
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.a
    }
}

/// Repeated fields that Envoy's header table joins with commas. Cookies and what is only known in
/// responses stay apart.
const JOINED: IdSet = {
    let apart = IdSet::of(&[
        id::OTHER,
        id::COOKIE,
        id::SET_COOKIE,
        id::LOCATION,
        id::ETAG,
        id::DATE,
        id::SERVER,
        id::VARY,
        id::LAST_MODIFIED,
        id::GRPC_STATUS,
        id::GRPC_MESSAGE,
        id::TRAILER,
        id::X_ENVOY_OVERLOADED,
        id::X_ENVOY_DEGRADED,
    ]);
    IdSet::ALL.without(apart)
};

impl Config {
    /// Takes a request in, or answers it.
    ///
    /// # Errors
    /// The answer that the proxy gives itself; no filter sees the request.
    pub fn accept(
        &self,
        head: &mut RequestHead,
        arrival: &Arrival<'_>,
        info: &mut StreamInfo,
        random: &mut impl FnMut() -> u64,
        scratch: &mut Scratch,
    ) -> Result<Accepted, LocalReply> {
        info.version = Some(head.version);
        info.grpc = is_grpc(&head.headers);
        let mut seen = Seen::in_request(&head.headers);
        let mut accepted = Accepted::default();
        if let Err(reply) = self.as_codec(head, arrival, &mut seen, &mut accepted, scratch) {
            // Envoy's codec refuses before it hands anything on: no log shows such a request.
            head.clear();
            info.version = Some(Version::Http11);
            return Err(reply);
        }
        accepted.send_100_continue = self.expect(head, &seen);
        self.require_host(head)?;
        self.require_path(head)?;
        self.require_query_type(head)?;
        self.normalize_path(head, scratch)?;
        self.normalize_host(head, arrival, scratch);
        self.mutate(head, arrival, info, &seen, &mut accepted, random, scratch);
        Ok(accepted)
    }

    /// What Envoy's HTTP/1 codec does before the connection manager sees the head. Heads of other
    /// versions were checked by theirs.
    fn as_codec(
        &self,
        head: &mut RequestHead,
        arrival: &Arrival<'_>,
        seen: &mut Seen,
        accepted: &mut Accepted,
        scratch: &mut Scratch,
    ) -> Result<(), LocalReply> {
        let http1 = head.version <= Version::Http11;
        let connect = head.method() == b"CONNECT";
        if http1 && !connect && !target::is_well_formed(head.path()) {
            return Err(by_codec(400, BadTarget::Malformed.details()));
        }
        accepted.dropped_underscores = self.underscores(head)?;
        join_repeated(&mut head.headers, seen.twice, JOINED, &mut scratch.a);
        if !http1 {
            // Only an extended CONNECT has the field.
            accepted.upgrade = connect || seen.any.has(id::UPGRADE);
            return Ok(());
        }
        if seen.any.has(id::CONNECTION) {
            let asks = |head: &RequestHead| {
                seen.any.has(id::UPGRADE) && hop_by_hop::is_upgrade(&head.headers)
            };
            if asks(head) {
                hop_by_hop::ignore_h2c(&mut head.headers, &mut scratch.a);
            }
            accepted.upgrade = asks(head);
        }
        // An upgrade goes on with all that its `Connection` names.
        if seen.any.has(id::CONNECTION) && !accepted.upgrade {
            hop_by_hop::remove_nominated(&mut head.headers, &mut scratch.a, &mut scratch.b)
                .map_err(|_| by_codec(400, "http1.connection_header_rejected"))?;
        }
        self.http1_target(head, arrival, connect, scratch)?;
        if head.version == Version::Http10 && !self.http1.accept_http_10 {
            return Err(by_codec(426, "low_version").cause("accept_http_10 is false (default)"));
        }
        if !host::is_valid(head.authority()) {
            return Err(by_codec(400, "http.invalid_authority"));
        }
        accepted.upgrade |= connect;
        Ok(())
    }

    fn underscores(&self, head: &mut RequestHead) -> Result<u32, LocalReply> {
        if self.underscores == Underscores::Allow {
            return Ok(0);
        }
        // No interned name has an underscore.
        let odd = |(id, name, _): (HeaderId, &[u8], &[u8])| id == id::OTHER && name.contains(&b'_');
        if !head.headers.iter().any(odd) {
            return Ok(0);
        }
        if self.underscores == Underscores::Reject {
            let details = match head.version {
                Version::Http10 | Version::Http11 => "http1.unexpected_underscore",
                Version::Http2 => "http2.unexpected_underscore",
                Version::Http3 => "http3.unexpected_underscore",
            };
            return Err(
                by_codec(400, details).cause("headers_with_underscores_action is REJECT_REQUEST")
            );
        }
        let before = head.headers.len();
        head.headers.retain(|id, name, _| id != id::OTHER || !name.contains(&b'_'));
        Ok((before - head.headers.len()) as u32)
    }

    /// Absolute form becomes scheme, authority and path; CONNECT's target the authority.
    fn http1_target(
        &self,
        head: &mut RequestHead,
        arrival: &Arrival<'_>,
        connect: bool,
        scratch: &mut Scratch,
    ) -> Result<(), LocalReply> {
        let bad = |why: BadTarget| by_codec(400, why.details());
        let Scratch { a, b } = scratch;
        if connect {
            connect_body(head)?;
            target::connect_authority(head.path()).map_err(bad)?;
            a.clear();
            a.extend_from_slice(head.path());
            head.headers.remove(id::PATH);
            head.headers.set(id::AUTHORITY, a);
            return Ok(());
        }
        let path = head.path();
        let asterisk = path.starts_with(b"*") && head.method() == b"OPTIONS";
        if path.starts_with(b"/") || asterisk || !self.http1.allow_absolute_url {
            return Ok(());
        }
        let found = target::absolute(path).map_err(bad)?;
        // At the edge a client can't claim TLS for a connection that has none.
        if found.https
            && arrival.connection.tls.is_none()
            && self.client.use_remote_address
            && self.client.trusted_hops == 0
        {
            return Err(by_codec(403, "http1.https_url_on_plaintext_connection"));
        }
        a.clear();
        a.extend_from_slice(found.authority);
        b.clear();
        b.extend_from_slice(found.path);
        let scheme: &[u8] = if found.https { b"https" } else { b"http" };
        head.headers.set(id::AUTHORITY, a);
        head.headers.set(id::PATH, b);
        head.headers.set(id::SCHEME, scheme);
        Ok(())
    }

    /// Tells whether `100 Continue` shall be sent; then the origin isn't asked for it.
    fn expect(&self, head: &mut RequestHead, seen: &Seen) -> bool {
        if self.proxy_100_continue || !seen.any.has(id::EXPECT) {
            return false;
        }
        let expects = |value: &[u8]| value.eq_ignore_ascii_case(b"100-continue");
        head.headers.get(id::EXPECT).is_some_and(expects) && head.headers.remove(id::EXPECT)
    }

    fn require_host(&self, head: &mut RequestHead) -> Result<(), LocalReply> {
        if head.headers.contains(id::AUTHORITY) {
            return Ok(());
        }
        if head.version == Version::Http10 && !self.http1.default_host_for_http_10.is_empty() {
            head.headers.append(id::AUTHORITY, &self.http1.default_host_for_http_10);
            return Ok(());
        }
        Err(self.by_manager(400, "missing_host_header"))
    }

    fn require_path(&self, head: &RequestHead) -> Result<(), LocalReply> {
        match head.headers.get(id::PATH) {
            None if head.method() == b"CONNECT" => Ok(()),
            Some([b'/', ..]) => Ok(()),
            None | Some([]) => Err(self.by_manager(404, "missing_path_rejected")),
            Some(_) => Err(self.by_manager(404, "absolute_path_rejected")),
        }
    }

    /// QUERY has a body, and it must say of what kind.
    fn require_query_type(&self, head: &RequestHead) -> Result<(), LocalReply> {
        if head.method() == b"QUERY" && !head.headers.contains(id::CONTENT_TYPE) {
            return Err(self.by_manager(400, "query_missing_content_type"));
        }
        Ok(())
    }

    fn normalize_path(
        &self,
        head: &mut RequestHead,
        scratch: &mut Scratch,
    ) -> Result<(), LocalReply> {
        let Some(path) = head.headers.get(id::PATH) else { return Ok(()) };
        let Scratch { a, b } = scratch;
        let refuse = |cause: &'static str| {
            Err(self.by_manager(400, "path_normalization_failed").cause(cause))
        };
        match self.path.apply(path, a, b) {
            Ok(Outcome::Unchanged) => Ok(()),
            Ok(Outcome::Changed) => {
                head.headers.set(id::PATH, a);
                Ok(())
            }
            Ok(Outcome::Redirect) => {
                head.headers.set(id::PATH, a);
                if is_grpc(&head.headers) {
                    return refuse("gRPC isn't redirected");
                }
                let cause = "path_with_escaped_slashes_action is UNESCAPE_AND_REDIRECT";
                Err(LocalReply::new(307, "path_normalization_failed")
                    .header("location", a.as_slice())
                    .cause(cause))
            }
            Err(BadPath::Fragment) => refuse("the path has a #fragment"),
            Err(BadPath::EscapedSlash) => {
                head.headers.set(id::PATH, a);
                refuse("path_with_escaped_slashes_action is REJECT_REQUEST")
            }
            Err(BadPath::Invalid) => refuse("the path can't be normalised"),
        }
    }

    fn normalize_host(&self, head: &mut RequestHead, arrival: &Arrival<'_>, scratch: &mut Scratch) {
        if self.host.is_idle() {
            return;
        }
        let local = arrival.connection.local.port();
        if self.host.apply(head.authority(), local, &mut scratch.a) {
            head.headers.set(id::AUTHORITY, &scratch.a);
        }
    }

    /// An answer of the connection manager itself.
    fn by_manager(&self, status: u16, details: &'static str) -> LocalReply {
        let reply = LocalReply::new(status, details);
        if status == 400 && !self.stream_error_on_invalid_message { reply.close() } else { reply }
    }
}

/// What follows a CONNECT is the tunnel's: it has no body (RFC 9110 section 9.3.6).
fn connect_body(head: &mut RequestHead) -> Result<(), LocalReply> {
    if head.headers.contains(id::TRANSFER_ENCODING) {
        return Err(by_codec(501, "http1.invalid_transfer_encoding"));
    }
    match head.headers.get(id::CONTENT_LENGTH) {
        None => Ok(()),
        Some(b"0") => {
            head.headers.remove(id::CONTENT_LENGTH);
            Ok(())
        }
        Some(_) => Err(by_codec(400, "http1.body_disallowed")),
    }
}

/// An answer of the codec: the phrase as body, and the connection ends.
fn by_codec(status: u16, details: &'static str) -> LocalReply {
    let body = match status {
        403 => "Forbidden",
        426 => "Upgrade Required",
        501 => "Not Implemented",
        _ => "Bad Request",
    };
    LocalReply::new(status, details).body(body).flags(Flags::DOWNSTREAM_PROTOCOL_ERROR).close()
}

/// Fields that [`Config::mutate`] takes off by what they are.
pub(crate) fn is_dropped(drop: IdSet, id: HeaderId) -> bool {
    id != id::OTHER && drop.has(id)
}

pub(crate) const CANDIDATES: IdSet = sanitize::ALWAYS
    .union(sanitize::EXTERNAL)
    .union(sanitize::EDGE)
    .union(hop_by_hop::REQUEST)
    .union(hop_by_hop::NOT_UPGRADE);
