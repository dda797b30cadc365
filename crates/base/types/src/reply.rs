//! An answer that the proxy makes itself.

use std::borrow::Cow;

use crate::flags::Flags;
use crate::stream::Details;

/// A locally made answer: never sent twice, and nothing runs on after it.
#[derive(Clone, Debug)]
pub struct LocalReply {
    /// 200..=599.
    pub status: u16,
    pub body: Cow<'static, str>,
    pub flags: Flags,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: Details,
    /// Which rule or limit decided, its value, and whether it was set or a default; for `explain`.
    pub cause: Cow<'static, str>,
    /// Extra header fields (lower-case name, value), e.g. `location`.
    pub headers: Vec<(Cow<'static, str>, Vec<u8>)>,
    /// What a gRPC client is told, where it isn't what `status` maps to.
    pub grpc_status: Option<u8>,
    /// The connection can't be used for another request afterwards.
    pub close: bool,
}

impl LocalReply {
    pub fn new(status: u16, details: impl Into<Details>) -> LocalReply {
        LocalReply {
            status,
            body: Cow::Borrowed(""),
            flags: Flags::NONE,
            details: details.into(),
            cause: Cow::Borrowed(""),
            headers: Vec::new(),
            grpc_status: None,
            close: false,
        }
    }

    pub fn body(mut self, body: impl Into<Cow<'static, str>>) -> LocalReply {
        self.body = body.into();
        self
    }

    pub fn flags(mut self, flags: Flags) -> LocalReply {
        self.flags = flags;
        self
    }

    pub fn cause(mut self, cause: impl Into<Cow<'static, str>>) -> LocalReply {
        self.cause = cause.into();
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> LocalReply {
        self.headers.push((Cow::Borrowed(name), value.into()));
        self
    }

    pub fn grpc_status(mut self, status: u8) -> LocalReply {
        self.grpc_status = Some(status);
        self
    }

    pub fn close(mut self) -> LocalReply {
        self.close = true;
        self
    }
}
