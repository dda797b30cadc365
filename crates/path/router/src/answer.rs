//! Routes that answer themselves: `RedirectAction`, `DirectResponseAction`, and the redirect of
//! virtual hosts that demand TLS.

use dragoman_format::LogFormat;
use dragoman_types::{Facts, Headers, LocalReply, RequestHead, StreamInfo, id};

use crate::host::without_port;
use crate::path::PathMatcher;
use crate::rewrite::PathRewrite;
use dragoman_edits::Scratch;

const DETAILS: &str = "direct_response";

/// Redirects elsewhere.
#[derive(Debug)]
pub struct Redirect {
    pub(crate) status: u16,
    pub(crate) scheme: Option<Box<str>>,
    pub(crate) host: Option<Box<str>>,
    pub(crate) port: Option<u16>,
    pub(crate) path: RedirectPath,
    pub(crate) strip_query: bool,
}

#[derive(Debug)]
pub(crate) enum RedirectPath {
    /// The path as it came.
    Same,
    /// This path; its own query, if it has one, replaces the request's and is never stripped.
    Set(Box<str>),
    Rewrite(PathRewrite),
}

impl Redirect {
    /// The answer, with `location`. A rewritten path is also put into the request, where formatters
    /// and logs see it.
    pub(crate) fn reply(
        &self,
        matcher: &PathMatcher,
        request: &mut RequestHead,
        facts: &Facts<'_>,
        keep_original: bool,
        scratch: &mut Scratch,
    ) -> LocalReply {
        if let RedirectPath::Rewrite(rewrite) = &self.path {
            rewrite.apply(matcher, request, facts, keep_original, scratch);
        }
        LocalReply::new(self.status, DETAILS)
            .cause("the route redirects")
            .header("location", self.location(request))
    }

    fn location(&self, request: &RequestHead) -> Vec<u8> {
        let headers = &request.headers;
        let scheme = match &self.scheme {
            Some(scheme) => scheme.as_bytes(),
            None => headers.get(id::SCHEME).unwrap_or(b"http"),
        };
        let host = match &self.host {
            Some(host) => host.as_bytes(),
            None => request_host(headers, scheme, self.port.is_some()),
        };
        let mut out = Vec::with_capacity(64 + request.path().len());
        out.extend_from_slice(scheme);
        out.extend_from_slice(b"://");
        out.extend_from_slice(host);
        if let Some(port) = self.port {
            out.extend_from_slice(format!(":{port}").as_bytes());
        }
        self.write_path(request.path(), &mut out);
        out
    }

    fn write_path(&self, asked: &[u8], out: &mut Vec<u8>) {
        let (path, query) = match &self.path {
            RedirectPath::Set(set) if set.contains('?') => {
                return push_path(set.as_bytes(), out);
            }
            RedirectPath::Set(set) => (set.as_bytes(), from_query(asked)),
            RedirectPath::Same | RedirectPath::Rewrite(_) => {
                let query = from_query(asked);
                (&asked[..asked.len() - query.len()], query)
            }
        };
        push_path(path, out);
        if !self.strip_query {
            out.extend_from_slice(query);
        }
    }
}

fn push_path(path: &[u8], out: &mut Vec<u8>) {
    if path.first() != Some(&b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(path);
}

/// From the first `?` on.
fn from_query(path: &[u8]) -> &[u8] {
    &path[memchr::memchr(b'?', path).unwrap_or(path.len())..]
}

/// The request's host: its port goes where the redirect sets one, or where the scheme changes and it
/// was the old scheme's own.
fn request_host<'r>(headers: &'r Headers, scheme: &[u8], sets_port: bool) -> &'r [u8] {
    let host = headers.get(id::AUTHORITY).unwrap_or_default();
    let bare = without_port(host);
    let port = &host[bare.len()..];
    let before = headers.get(id::X_FORWARDED_PROTO).or(headers.get(id::SCHEME)).unwrap_or_default();
    let was_default = matches!((before, port), (b"http", b":80") | (b"https", b":443"));
    if sets_port || (scheme != before && was_default) { bare } else { host }
}

/// Answers with a fixed status and body.
#[derive(Debug)]
pub struct Direct {
    pub(crate) status: u16,
    pub(crate) body: Box<str>,
    /// Makes the body; `%LOCAL_REPLY_BODY%` is then `body`.
    pub(crate) format: Option<LogFormat>,
}

impl Direct {
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The answer; 201 and 3xx tell the request's own URL, as a real Envoy does.
    pub(crate) fn reply(
        &self,
        request: &RequestHead,
        facts: &Facts<'_>,
        scratch: &mut dragoman_format::Scratch,
    ) -> LocalReply {
        let mut reply = LocalReply::new(self.status, DETAILS).cause("the route answers itself");
        match &self.format {
            None => reply = reply.body(String::from(&*self.body)),
            Some(format) => {
                reply = reply.body(self.formatted(format, request, facts, scratch));
                if !reply.body.is_empty() {
                    reply = reply.header("content-type", format.content_type.as_bytes());
                }
            }
        }
        if self.status == 201 || self.status / 100 == 3 {
            let scheme = request.headers.get(id::SCHEME).unwrap_or(b"http");
            let url = [scheme, b"://", request.authority(), request.path()].concat();
            reply = reply.header("location", url);
        }
        reply
    }

    fn formatted(
        &self,
        format: &LogFormat,
        request: &RequestHead,
        facts: &Facts<'_>,
        scratch: &mut dragoman_format::Scratch,
    ) -> String {
        let body = Some(String::from(&*self.body).into());
        let details = Some(DETAILS.into());
        let info = StreamInfo { local_reply_body: body, details, ..facts.info.clone() };
        let facts = Facts { info: &info, request: Some(request), ..*facts };
        let mut out = Vec::new();
        format.line.write(&facts, scratch, &mut out);
        String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into())
    }
}

/// The answer where a virtual host demands TLS and the request came without.
pub fn answer_require_tls(request: &RequestHead) -> LocalReply {
    let location = [b"https://", request.authority(), request.path()].concat();
    LocalReply::new(301, DETAILS)
        .cause("the virtual host's require_tls redirects to https")
        .header("location", location)
}
