//! HTTP/1.1 (RFC 9112).
//!
//! Laws of this folder:
//! 1. A message that two implementations might frame differently is an error, never a guess.
//! 2. Lines end with CRLF. A bare CR or LF anywhere in a head, chunk line or trailer is an error.
//! 3. Nothing is allocated for a message before its size passed the limits.
//! 4. Feeding bytes one by one, or all at once with a tail, gives the same result.

pub mod body;
pub mod chunked;
pub mod error;
pub mod head;
mod plain;
pub mod request;
pub mod response;
pub mod write;

pub use body::{BodyDecoder, BodyEncoder, Decoded};
pub use error::ParseError;
pub use request::parse_request;
pub use response::parse_response;
