//! What makes fields a message: RFC 9113 section 8, as strictly as Envoy takes it.

use dragoman_types::{HeaderId, Headers, Version, id};

use super::hpack::Field;
use crate::message::{Framing, Limits};
use crate::scan::is_token;

/// What a block of fields is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Request {
        /// Extended CONNECT (RFC 8441) is taken.
        extended: bool,
    },
    /// `to_head`: of a request by HEAD, so its length tells of another body.
    Response {
        to_head: bool,
    },
    Trailers,
}

/// Why a block of fields isn't what it is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum BadHead {
    /// Envoy's name for the fault.
    Malformed(&'static str),
    TooLarge,
    TooMany,
}

pub(super) const INVALID_FIELD: BadHead = BadHead::Malformed("http2.invalid.header.field");
pub(super) const VIOLATION: BadHead = BadHead::Malformed("http2.violation.of.messaging.rule");

/// A message's head.
#[derive(Debug, Default)]
pub struct Head {
    pub headers: Headers,
    /// Of a response.
    pub status: u16,
    /// No body follows.
    pub end: bool,
    /// The body's length, as far as it is told.
    pub length: Option<u64>,
    /// Bytes of names and values.
    pub bytes: u64,
}

impl Head {
    pub(super) fn clear(&mut self) {
        self.headers.clear();
        (self.status, self.end, self.length, self.bytes) = (0, false, None, 0);
    }

    pub fn framing(&self) -> Framing {
        match self.length {
            _ if self.end => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        }
    }

    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status)
    }
}

/// Takes the fields of one block in.
pub(super) struct Taking<'h> {
    head: &'h mut Head,
    part: Part,
    limits: Limits,
    /// Crumbs of the cookie (RFC 9113 section 8.2.3).
    cookie: Vec<u8>,
    protocol: Option<Vec<u8>>,
    hosts: u32,
    fields: usize,
    /// A field came that isn't a pseudo-header: none of them may follow.
    regular: bool,
    bad: Option<BadHead>,
}

impl<'h> Taking<'h> {
    /// `head` is empty.
    pub(super) fn new(head: &'h mut Head, part: Part, limits: Limits) -> Taking<'h> {
        Taking {
            head,
            part,
            limits,
            cookie: Vec::new(),
            protocol: None,
            hosts: 0,
            fields: 0,
            regular: false,
            bad: None,
        }
    }

    /// A field. What is there after the first fault is not kept.
    pub(super) fn field(&mut self, field: Field<'_>) {
        if self.bad.is_none() {
            self.bad = self.take(field).err();
        }
    }

    fn take(&mut self, field: Field<'_>) -> Result<(), BadHead> {
        let Field { id, name, value, sound } = field;
        self.fields += 1;
        self.head.bytes += (name.len() + value.len()) as u64;
        if self.head.bytes > self.limits.head_bytes as u64 {
            return Err(BadHead::TooLarge);
        }
        if !sound {
            return Err(INVALID_FIELD);
        }
        if let Some(pseudo) = name.strip_prefix(b":") {
            return if self.regular { Err(INVALID_FIELD) } else { self.pseudo(id, pseudo, value) };
        }
        self.regular = true;
        match id {
            id::CONTENT_LENGTH => {
                let told = self.head.length.replace(number(value).ok_or(INVALID_FIELD)?);
                if told.is_some() || self.part == Part::Trailers {
                    return Err(INVALID_FIELD);
                }
            }
            id::CONNECTION
            | id::KEEP_ALIVE
            | id::PROXY_CONNECTION
            | id::TRANSFER_ENCODING
            | id::UPGRADE => return Err(INVALID_FIELD),
            id::TE if value != b"trailers" => return Err(INVALID_FIELD),
            id::COOKIE => {
                let between: &[u8] = if self.cookie.is_empty() { b"" } else { b"; " };
                self.cookie.extend_from_slice(between);
                self.cookie.extend_from_slice(value);
                return Ok(());
            }
            id::HOST if self.part != Part::Trailers => return self.host(value),
            _ => {}
        }
        match id {
            id::OTHER => self.head.headers.append(name, value),
            known => self.head.headers.append(known, value),
        }
        Ok(())
    }

    fn host(&mut self, value: &[u8]) -> Result<(), BadHead> {
        self.hosts += 1;
        if self.hosts > 1 || !is_authority(value) {
            return Err(INVALID_FIELD);
        }
        if !self.head.headers.contains(id::AUTHORITY) {
            self.head.headers.append(id::AUTHORITY, value);
        }
        Ok(())
    }

    fn pseudo(&mut self, id: HeaderId, name: &[u8], value: &[u8]) -> Result<(), BadHead> {
        let extended = match self.part {
            Part::Trailers => return Err(INVALID_FIELD),
            Part::Response { .. } => {
                let digits = number(value).filter(|_| value.len() == 3 && name == b"status");
                let status = digits.filter(|_| self.head.status == 0).ok_or(INVALID_FIELD)?;
                self.head.status = status as u16;
                return if status < 100 { Err(INVALID_FIELD) } else { Ok(()) };
            }
            Part::Request { extended } => extended,
        };
        let fine = match id {
            id::METHOD => !value.is_empty() && is_token(value),
            id::SCHEME => is_scheme(value),
            id::AUTHORITY => is_authority(value),
            id::PATH => is_path(value),
            _ if name == b"protocol" && extended && self.protocol.is_none() => {
                self.protocol = Some(value.to_vec());
                return if is_token(value) { Ok(()) } else { Err(INVALID_FIELD) };
            }
            _ => false,
        };
        if id == id::PATH && !matches!(value.first(), Some(b'/' | b'*')) {
            return Err(VIOLATION);
        }
        if !fine || self.head.headers.contains(id) {
            return Err(INVALID_FIELD);
        }
        self.head.headers.append(id, value);
        Ok(())
    }

    /// All fields came. `end`: no body follows.
    pub(super) fn finish(mut self, end: bool) -> Result<(), BadHead> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        self.head.end = end;
        if !self.cookie.is_empty() {
            self.head.headers.append(id::COOKIE, &self.cookie);
        }
        match self.part {
            Part::Request { .. } => self.finish_request()?,
            Part::Response { to_head } => {
                let status = self.head.status;
                if status == 0 || (self.head.is_interim() && end) || status == 101 {
                    return Err(VIOLATION);
                }
                if self.head.is_interim() || to_head || matches!(status, 204 | 304) {
                    self.head.length = None;
                }
            }
            Part::Trailers if !end => return Err(VIOLATION),
            Part::Trailers => {}
        }
        // Envoy counts the names that a message has, not those that its crumbs had.
        if self.fields > self.limits.fields {
            return Err(BadHead::TooMany);
        }
        // A message that has ended has the length that it tells.
        if end && self.head.length.is_some_and(|length| length > 0) {
            return Err(VIOLATION);
        }
        Ok(())
    }

    fn finish_request(&mut self) -> Result<(), BadHead> {
        let headers = &mut self.head.headers;
        let method = headers.get(id::METHOD).ok_or(VIOLATION)?;
        let (is_connect, is_options) = (method == b"CONNECT", method == b"OPTIONS");
        if self.protocol.is_some() && !is_connect {
            return Err(INVALID_FIELD);
        }
        let plain_connect = is_connect && self.protocol.is_none();
        let has_target = headers.contains(id::PATH) && headers.contains(id::SCHEME);
        let has_part = headers.contains(id::PATH) || headers.contains(id::SCHEME);
        if !headers.contains(id::AUTHORITY) || (plain_connect && has_part) {
            return Err(VIOLATION);
        }
        if !plain_connect && !has_target {
            return Err(VIOLATION);
        }
        if headers.get(id::PATH) == Some(b"*") && !is_options {
            return Err(VIOLATION);
        }
        // Inside, it is the upgrade that it would be in HTTP/1: who decides about upgrades knows one form.
        if let Some(protocol) = self.protocol.take() {
            headers.remove(id::CONTENT_LENGTH);
            self.head.length = None;
            headers.set(id::METHOD, b"GET");
            headers.append(id::CONNECTION, b"upgrade");
            headers.append(id::UPGRADE, &protocol);
        }
        Ok(())
    }
}

/// Digits alone: `parse` would take a sign too.
fn number(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()
}

/// RFC 3986 section 3.1.
fn is_scheme(value: &[u8]) -> bool {
    let [first, rest @ ..] = value else { return false };
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    first.is_ascii_alphabetic() && rest.iter().all(inner)
}

/// RFC 3986 section 3.2, without a user's name.
fn is_authority(value: &[u8]) -> bool {
    let may_stand = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
            )
            || matches!(byte, b';' | b'=' | b':' | b'[' | b']' | b'%')
    };
    !value.is_empty() && value.iter().all(may_stand)
}

/// More than RFC 3986 allows: what HTTP/1 brings unescaped too.
fn is_path(value: &[u8]) -> bool {
    value == b"*"
        || (value.starts_with(b"/") && value.iter().all(|byte| *byte > b' ' && *byte != 0x7f))
}

/// A head's version, for whoever takes it over.
pub const VERSION: Version = Version::Http2;
