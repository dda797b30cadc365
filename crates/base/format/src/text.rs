//! A format of text: pieces one after the other.

use dragoman_types::{Facts, Faults};

use crate::op::{Op, Wrote};
use crate::parse::{Piece, pieces};
use crate::scratch::Scratch;

/// The line that an access log without a format writes.
pub const DEFAULT_TEXT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n"
);

/// A compiled text format.
#[derive(Clone, Debug, PartialEq)]
pub struct Format {
    pieces: Box<[Piece]>,
    /// What stands for a value that is missing.
    missing: &'static [u8],
}

impl Format {
    /// For a header's value and everything else where a missing value is an empty one. There is no
    /// local reply's body for a header: it could hold newlines, and Envoy gives none either.
    pub fn parse(text: &str, faults: &mut Faults) -> Format {
        let mut pieces = pieces(text, faults);
        pieces.retain(|piece| !matches!(piece, Piece::Step(step) if step.op == Op::LocalReplyBody));
        Format { pieces: pieces.into(), missing: b"" }
    }

    /// For a line or a body: a missing value is `-`, or nothing with `omit_empty_values`.
    pub fn parse_line(text: &str, omit_empty_values: bool, faults: &mut Faults) -> Format {
        let missing: &[u8] = if omit_empty_values { b"" } else { b"-" };
        Format { pieces: pieces(text, faults).into(), missing }
    }

    /// The whole text, if no operator is in it: such a value needs no facts.
    pub fn as_literal(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(b""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text to `out`; tells whether that was a byte at all. Envoy adds a header only then,
    /// unless `keep_empty_value` is set.
    pub fn write(&self, facts: &Facts<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.extend_from_slice(text),
                Piece::Step(step) => {
                    if step.write(facts, scratch, out) == Wrote::Nothing {
                        out.extend_from_slice(self.missing);
                    }
                }
            }
        }
        out.len() > start
    }
}
