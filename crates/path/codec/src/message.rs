//! What every codec says of a message besides its head.

/// How a body is delimited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Responses only: the end of the connection is the end of the body.
    UntilClose,
}

/// What a request head said to the codec; the rest went into the [`RequestHead`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Bytes of the head on the connection; 0 where its codec has counted them.
    pub consumed: usize,
    pub framing: Framing,
    /// The client lets the connection serve another request.
    pub keep_alive: bool,
    pub expect_continue: bool,
    pub upgrade: bool,
    /// Bytes of its fields as Envoy counts them.
    pub field_bytes: u64,
}

/// What a response head said to the codec; the rest went into the [`ResponseHead`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response {
    /// Bytes of the head.
    pub consumed: usize,
    pub framing: Framing,
    /// The origin lets the connection serve another request.
    pub keep_alive: bool,
    /// 1xx: another head follows.
    pub interim: bool,
    /// Bytes of its fields as Envoy counts them.
    pub field_bytes: u64,
}

/// Limits on one head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes from the first to the final CRLF.
    pub head_bytes: usize,
    pub fields: usize,
}
