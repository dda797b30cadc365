//! Base64 (RFC 4648 section 4) of bodies that come in pieces.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Bytes of a group that are still to be completed.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    /// Adds what the whole groups of `piece` stand for. A group may be padded where one text ends and
    /// another begins.
    pub(super) fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
        self.rest.extend_from_slice(piece);
        let whole = self.rest.len() / 4 * 4;
        let mut texts = &self.rest[..whole];
        while !texts.is_empty() {
            let padded = texts.chunks(4).position(|group| group[3] == b'=');
            let (text, behind) = texts.split_at(padded.map_or(texts.len(), |at| (at + 1) * 4));
            STANDARD.decode_vec(text, out).map_err(|_| ())?;
            texts = behind;
        }
        self.rest.drain(..whole);
        Ok(())
    }

    /// No group is incomplete.
    pub(super) fn is_complete(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Adds `bytes` as a text of its own.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let text = STANDARD.encode(bytes);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_decoded_however_they_are_cut() {
        let (one, two) = (b"\0\0\0\0\x03abc".as_slice(), b"\xff".as_slice());
        let mut text = Vec::new();
        encode(one, &mut text);
        encode(two, &mut text);
        for size in 1..=text.len() {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            for piece in text.chunks(size) {
                decoder.decode(piece, &mut out).expect("base64");
            }
            assert!(decoder.is_complete());
            assert_eq!(out, [one, two].concat(), "pieces of {size}");
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for text in ["!!!!", "AA=A", "====", "A===", "AAAA\r\n\r\n", "AAA\u{e9}"] {
            assert!(Decoder::default().decode(text.as_bytes(), &mut Vec::new()).is_err(), "{text}");
        }
        let mut decoder = Decoder::default();
        decoder.decode(b"AAAAA", &mut Vec::new()).expect("so far");
        assert!(!decoder.is_complete());
    }
}
