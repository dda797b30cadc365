//! HTTP/2 on the two sides of the benchmark, by the `h2` crate: the driver's streams, and an origin
//! that answers gRPC calls.

pub(crate) mod client;
pub(crate) mod server;

use std::io;

use bytes::Bytes;

use crate::body::pattern;

/// Larger than what is in flight, so that the windows of the two ends never hold the proxy up.
const WINDOW: u32 = 1 << 24;

/// A body of `length` bytes; for gRPC it is one message whose length prefix is part of them.
fn payload(length: usize, grpc: bool) -> Bytes {
    let mut body = pattern(length);
    if grpc && length >= 5 {
        body[..5].copy_from_slice(&[0; 5]);
        body[1..5].copy_from_slice(&((length - 5) as u32).to_be_bytes());
    }
    body.into()
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}
