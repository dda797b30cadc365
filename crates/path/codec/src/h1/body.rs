//! Body framing: where a body ends on the way in, how it is framed on the way out.

use dragoman_types::Headers;

use super::chunked::ChunkDecoder;
use super::error::ParseError;
use crate::message::{Framing, Limits};

/// One step through buffered input: drop `framing` bytes, then `data` bytes of body follow.
/// All zero and not done: more input is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Decoded {
    pub framing: usize,
    pub data: usize,
    /// The body ends behind these bytes.
    pub done: bool,
}

/// Finds body bytes in the input. Starts as [`BodyDecoder::default`] (no body).
#[derive(Debug, Default)]
pub enum BodyDecoder {
    #[default]
    Done,
    Length(u64),
    Chunked(Box<ChunkDecoder>),
    UntilClose,
}

impl BodyDecoder {
    pub fn new(framing: Framing, limits: Limits) -> BodyDecoder {
        match framing {
            Framing::None | Framing::Length(0) => BodyDecoder::Done,
            Framing::Length(length) => BodyDecoder::Length(length),
            Framing::Chunked => BodyDecoder::Chunked(Box::new(ChunkDecoder::new(limits))),
            Framing::UntilClose => BodyDecoder::UntilClose,
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self, BodyDecoder::Done)
    }

    /// Looks at `input` (what is buffered now). The caller drops the framing bytes, takes the data
    /// bytes, and calls again with what is left.
    ///
    /// # Errors
    /// [`ParseError`] for malformed chunks or trailers.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, ParseError> {
        match self {
            BodyDecoder::Done => Ok(Decoded { framing: 0, data: 0, done: true }),
            BodyDecoder::UntilClose => Ok(Decoded { framing: 0, data: input.len(), done: false }),
            BodyDecoder::Length(left) => {
                let data = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= data as u64;
                let done = *left == 0;
                if done {
                    *self = BodyDecoder::Done;
                }
                Ok(Decoded { framing: 0, data, done })
            }
            BodyDecoder::Chunked(chunks) => chunks.decode(input),
        }
    }

    /// The trailers of a chunked body that is done.
    pub fn trailers(&self) -> Option<&Headers> {
        match self {
            BodyDecoder::Chunked(chunks) => chunks.trailers(),
            _ => None,
        }
    }
}

/// Frames body bytes on their way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyEncoder {
    None,
    /// Bytes still owed.
    Length(u64),
    Chunked,
    UntilClose,
}

impl BodyEncoder {
    pub fn new(framing: Framing) -> BodyEncoder {
        match framing {
            Framing::None => BodyEncoder::None,
            Framing::Length(length) => BodyEncoder::Length(length),
            Framing::Chunked => BodyEncoder::Chunked,
            Framing::UntilClose => BodyEncoder::UntilClose,
        }
    }

    /// Whether every announced byte was written.
    pub fn is_complete(&self) -> bool {
        !matches!(self, BodyEncoder::Length(owed) if *owed > 0)
    }
}
