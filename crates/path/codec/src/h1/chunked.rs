//! The chunked transfer coding (RFC 9112 section 7.1), read strictly.
//!
//! Extensions are allowed, bounded, and dropped: they are hop-by-hop. Each line ends with CRLF and
//! holds no other CR or LF.

use dragoman_types::Headers;

use super::body::Decoded;
use super::error::ParseError;
use super::head::{find_end, from_httparse};
use crate::message::Limits;

/// Bytes of one chunk-size line with its extensions.
const MAX_LINE: usize = 4096;
/// Bytes of extensions in one body: a peer that sends more of them than data is not a client.
const MAX_EXTENSIONS: usize = 16 << 10;
const MAX_TRAILERS: usize = 64;

#[derive(Debug)]
enum State {
    /// Before a chunk-size line.
    Size,
    /// This many bytes of the chunk are still to come.
    Data(u64),
    /// Before the CRLF that ends a chunk's data.
    DataEnd,
    Trailers,
    Done,
}

/// Reads one chunked body.
#[derive(Debug)]
pub struct ChunkDecoder {
    state: State,
    limits: Limits,
    extensions: usize,
    scanned: usize,
    trailers: Headers,
}

impl ChunkDecoder {
    pub fn new(limits: Limits) -> ChunkDecoder {
        let trailers = Headers::new();
        ChunkDecoder { state: State::Size, limits, extensions: 0, scanned: 0, trailers }
    }

    pub(super) fn trailers(&self) -> Option<&Headers> {
        (matches!(self.state, State::Done) && !self.trailers.is_empty()).then_some(&self.trailers)
    }

    /// See [`super::body::BodyDecoder::decode`].
    pub(super) fn decode(&mut self, input: &[u8]) -> Result<Decoded, ParseError> {
        let mut framing = 0;
        loop {
            let rest = &input[framing..];
            match self.state {
                State::Done => return Ok(Decoded { framing, data: 0, done: true }),
                State::Size => match self.size_line(rest)? {
                    None => return Ok(Decoded { framing, data: 0, done: false }),
                    Some(line) => framing += line,
                },
                State::Data(left) => {
                    let data = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let left = left - data as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Decoded { framing, data, done: false });
                }
                State::DataEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        framing += 2;
                        self.state = State::Size;
                    }
                    [] | [b'\r'] => return Ok(Decoded { framing, data: 0, done: false }),
                    _ => return Err(ParseError::Chunk),
                },
                State::Trailers => match self.trailer_section(rest)? {
                    None => return Ok(Decoded { framing, data: 0, done: false }),
                    Some(section) => framing += section,
                },
            }
        }
    }

    /// Takes a chunk-size line: its length, or `None` for "need more".
    fn size_line(&mut self, input: &[u8]) -> Result<Option<usize>, ParseError> {
        let window = &input[..input.len().min(MAX_LINE)];
        let Some(lf) = memchr::memchr(b'\n', window) else {
            check_partial_line(window)?;
            return if input.len() >= MAX_LINE { Err(ParseError::Chunk) } else { Ok(None) };
        };
        let line = window[..lf].strip_suffix(b"\r").ok_or(ParseError::Chunk)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let size = hex(&line[..digits])?;
        let extension = &line[digits..];
        check_extension(extension)?;
        self.extensions += extension.len();
        if self.extensions > MAX_EXTENSIONS {
            return Err(ParseError::Chunk);
        }
        self.state = if size == 0 { State::Trailers } else { State::Data(size) };
        Ok(Some(lf + 1))
    }

    fn trailer_section(&mut self, input: &[u8]) -> Result<Option<usize>, ParseError> {
        match input {
            [b'\r', b'\n', ..] => {
                self.state = State::Done;
                return Ok(Some(2));
            }
            [] | [b'\r'] => return Ok(None),
            _ => {}
        }
        let Some(end) = find_end(input, &mut self.scanned, &self.limits)? else { return Ok(None) };
        let mut table = [httparse::EMPTY_HEADER; MAX_TRAILERS];
        match httparse::parse_headers(&input[..end], &mut table).map_err(from_httparse)? {
            httparse::Status::Complete((n, fields)) if n == end => {
                for field in fields {
                    self.trailers.push(field.name.as_bytes(), field.value);
                }
            }
            _ => return Err(ParseError::Trailer),
        }
        self.state = State::Done;
        Ok(Some(end))
    }
}

/// 1..=16 hexadecimal digits.
fn hex(digits: &[u8]) -> Result<u64, ParseError> {
    if digits.is_empty() || digits.len() > 16 {
        return Err(ParseError::Chunk);
    }
    let size =
        digits.iter().fold(0u64, |n, d| n << 4 | (*d as char).to_digit(16).unwrap_or(0) as u64);
    // Lengths above i64 are an overflow trap for whoever reads the body after us.
    if size > i64::MAX as u64 { Err(ParseError::Chunk) } else { Ok(size) }
}

fn check_extension(extension: &[u8]) -> Result<(), ParseError> {
    // Blanks before it are allowed by the grammar and a classic of request smuggling.
    let starts_well = extension.is_empty() || extension.starts_with(b";");
    let clean = extension.iter().all(|b| *b == b'\t' || (*b >= 0x20 && *b != 0x7f));
    if starts_well && clean { Ok(()) } else { Err(ParseError::Chunk) }
}

/// Refuses a line that can't become good any more, so that its sender isn't waited for.
fn check_partial_line(line: &[u8]) -> Result<(), ParseError> {
    let body = line.strip_suffix(b"\r").unwrap_or(line);
    let digits = body.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 && !line.is_empty() || digits > 16 {
        return Err(ParseError::Chunk);
    }
    check_extension(&body[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { head_bytes: 4096, fields: 64 };

    /// Decodes `input` handed over in pieces of `step` bytes; returns (body, bytes left over).
    fn decode(input: &[u8], step: usize) -> Result<(Vec<u8>, Vec<u8>), ParseError> {
        let mut decoder = ChunkDecoder::new(LIMITS);
        let (mut body, mut buffered) = (Vec::new(), Vec::new());
        let mut pieces = input.chunks(step);
        loop {
            let got = decoder.decode(&buffered)?;
            body.extend_from_slice(&buffered[got.framing..got.framing + got.data]);
            buffered.drain(..got.framing + got.data);
            if got.done {
                buffered.extend(pieces.flatten());
                return Ok((body, buffered));
            }
            if got.framing + got.data == 0 {
                buffered.extend_from_slice(pieces.next().ok_or(ParseError::Trailer)?);
            }
        }
    }

    #[test]
    fn pieces_do_not_matter() {
        let input = b"5;ext=\"1\"\r\nhello\r\n1\r\n!\r\n0\r\nx-t: 1\r\n\r\ntail";
        for step in 1..input.len() {
            let (body, left) = decode(input, step).unwrap();
            assert_eq!(
                (body.as_slice(), left.as_slice()),
                (&b"hello!"[..], &b"tail"[..]),
                "{step}"
            );
        }
    }

    #[test]
    fn trailers_are_kept() {
        let mut decoder = ChunkDecoder::new(LIMITS);
        let got = decoder.decode(b"0\r\nX-T: 1\r\n\r\n").unwrap();
        assert!(got.done);
        assert_eq!(decoder.trailers().and_then(|t| t.get(&b"x-t"[..])), Some(&b"1"[..]));
    }

    /// Hostile inputs A 6-8.
    #[test]
    fn malformed_chunks_are_refused() {
        for bad in [
            &b"g\r\n"[..],
            b"0x5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"5 \r\nhello\r\n",
            b"\r\nhello",
            b"5Z\r\nhello",
            b"5\nhello\r\n",
            b"5\rXhello",
            b"5;a\rb\r\nhello\r\n",
            b"5;a\nhello\r\n",
            b"5\r\nhelloXX",
            b"5\r\nhello\n",
            b"ffffffffffffffff\r\n",
            b"11111111111111111\r\n",
            b"0\r\nx : 1\r\n\r\n",
            b"0\r\nx: 1\n\r\n",
            b"0\r\n x: 1\r\n\r\n",
        ] {
            for step in [1, 3, bad.len()] {
                assert!(decode(bad, step).is_err(), "accepted {:?}", String::from_utf8_lossy(bad));
            }
        }
        let flood = [b"1;".as_slice(), &vec![b'a'; MAX_LINE], b"\r\nx\r\n"].concat();
        assert_eq!(decode(&flood, 100), Err(ParseError::Chunk));
        let many = [b"1;".as_slice(), &vec![b'a'; 2000], b"\r\nx\r\n"].concat().repeat(10);
        assert_eq!(decode(&many, 5000), Err(ParseError::Chunk));
    }
}
