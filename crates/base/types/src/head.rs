//! Message heads as every codec gives and takes them.

use crate::header_id::{HeaderId, id};
use crate::headers::Headers;

/// The version a message arrived in, or is to be written in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Version {
    Http10,
    #[default]
    Http11,
    Http2,
    Http3,
}

impl Version {
    /// As `%PROTOCOL%` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
            Version::Http3 => "HTTP/3",
        }
    }
}

/// A request's head. Method, path, authority and scheme are pseudo-headers in `headers`.
#[derive(Clone, Debug, Default)]
pub struct RequestHead {
    pub version: Version,
    pub headers: Headers,
}

impl RequestHead {
    pub fn clear(&mut self) {
        self.version = Version::Http11;
        self.headers.clear();
    }

    fn pseudo(&self, which: HeaderId) -> &[u8] {
        self.headers.get(which).unwrap_or_default()
    }

    pub fn method(&self) -> &[u8] {
        self.pseudo(id::METHOD)
    }

    /// Path with query, as it now stands (after rewrites).
    pub fn path(&self) -> &[u8] {
        self.pseudo(id::PATH)
    }

    /// `Host` or `:authority`; empty where the request had none.
    pub fn authority(&self) -> &[u8] {
        self.pseudo(id::AUTHORITY)
    }

    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }
}

/// A response's head.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    pub version: Version,
    pub status: u16,
    pub headers: Headers,
}

impl ResponseHead {
    pub fn clear(&mut self) {
        self.version = Version::Http11;
        self.status = 0;
        self.headers.clear();
    }
}
