//! The elements of a JSON array that comes in pieces, and the messages of a gRPC body.

use crate::grpc::FRAME_HEAD;

/// Cuts an array into its elements as they come; what they are isn't looked at.
#[derive(Debug, Default)]
pub(super) struct Elements {
    /// Of an element that isn't whole.
    kept: Vec<u8>,
    state: State,
    /// Open brackets within the element.
    depth: usize,
    in_text: bool,
    escaped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    BeforeArray,
    /// Behind `[` or a comma.
    Between,
    Within,
    AfterArray,
}

/// What is wrong with an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct NoArray(pub(super) &'static str);

impl Elements {
    /// Takes a piece; `each` gets every element that is whole.
    ///
    /// # Errors
    /// It is no array, or `each` fails.
    pub(super) fn take<E: From<NoArray>>(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for byte in piece {
            if self.state == State::Within {
                let ends = self.depth == 0 && !self.in_text && matches!(byte, b',' | b']');
                if !ends {
                    self.inside(*byte);
                    continue;
                }
                each(&self.kept)?;
                self.kept.clear();
                self.state = if *byte == b',' { State::Between } else { State::AfterArray };
                continue;
            }
            if byte.is_ascii_whitespace() {
                continue;
            }
            self.state = match (self.state, byte) {
                (State::BeforeArray, b'[') => State::Between,
                (State::BeforeArray, _) => {
                    return Err(NoArray("Expected an array instead of an object").into());
                }
                // Also behind a comma, as in Envoy.
                (State::Between, b']') => State::AfterArray,
                (State::Between, b',') => {
                    return Err(NoArray("Expected an element before the comma.").into());
                }
                (State::Between, _) => {
                    self.inside(*byte);
                    State::Within
                }
                (State::AfterArray | State::Within, _) => {
                    return Err(NoArray("Parsing terminated before end of input.").into());
                }
            };
        }
        Ok(())
    }

    fn inside(&mut self, byte: u8) {
        self.kept.push(byte);
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' => self.in_text = !self.in_text,
            b'{' | b'[' if !self.in_text => self.depth += 1,
            b'}' | b']' if !self.in_text => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Bytes that wait for the rest of their element.
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// # Errors
    /// The array isn't whole.
    pub(super) fn end(&self) -> Result<(), NoArray> {
        match self.state {
            State::AfterArray => Ok(()),
            State::BeforeArray => Err(NoArray("Expected an array instead of an object")),
            _ => Err(NoArray("Unexpected end of string. Expected , or ] after array value.")),
        }
    }
}

/// Cuts a gRPC body that comes in pieces into its messages.
#[derive(Debug, Default)]
pub(super) struct Frames {
    kept: Vec<u8>,
    /// Bytes of it that were given out.
    given: usize,
}

/// Why a body is none of messages that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unreadable {
    Compressed,
    TooLarge,
}

impl Frames {
    pub(super) fn take(&mut self, piece: &[u8]) {
        self.kept.drain(..self.given);
        self.given = 0;
        self.kept.extend_from_slice(piece);
    }

    /// The next whole message, with no more than `most` bytes.
    pub(super) fn next(&mut self, most: usize) -> Result<Option<Vec<u8>>, Unreadable> {
        let left = &self.kept[self.given..];
        let Some((head, behind)) = left.split_first_chunk::<FRAME_HEAD>() else { return Ok(None) };
        let [flags, a, b, c, d] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > most {
            return Err(Unreadable::TooLarge);
        }
        if flags != 0 {
            return Err(Unreadable::Compressed);
        }
        let Some(message) = behind.get(..length).map(<[u8]>::to_vec) else { return Ok(None) };
        self.given += FRAME_HEAD + length;
        Ok(Some(message))
    }

    /// No message is incomplete.
    pub(super) fn is_complete(&self) -> bool {
        self.given == self.kept.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, size: usize) -> Result<Vec<String>, NoArray> {
        let (mut elements, mut found) = (Elements::default(), Vec::new());
        for piece in text.as_bytes().chunks(size) {
            elements.take(piece, |element| {
                found.push(String::from_utf8_lossy(element).into_owned());
                Ok::<_, NoArray>(())
            })?;
        }
        elements.end().map(|()| found)
    }

    #[test]
    fn arrays_are_cut_however_they_come() {
        let text = r#" [ {"a":"],[\"{"} ,{"b":[1,[2]]},3 ,"x"] "#;
        for size in 1..=text.len() {
            let found = cut(text, size).expect("an array");
            let trimmed: Vec<_> = found.iter().map(|element| element.trim()).collect();
            assert_eq!(trimmed, [r#"{"a":"],[\"{"}"#, r#"{"b":[1,[2]]}"#, "3", r#""x""#]);
        }
        assert_eq!(cut("[]", 1), Ok(vec![]));
        assert_eq!(cut("[1,]", 9), Ok(vec!["1".to_owned()]));
        for text in ["", "{}", "[", "[1", "[,1]", "[1]x", "[1][2]"] {
            assert!(cut(text, 1).is_err(), "{text}");
        }
    }

    #[test]
    fn messages_are_cut_however_they_come() {
        let body = b"\0\0\0\0\x02hi\0\0\0\0\0\0\0\0\0\x01x";
        for size in 1..=body.len() {
            let (mut frames, mut found) = (Frames::default(), Vec::new());
            for piece in body.chunks(size) {
                frames.take(piece);
                while let Some(message) = frames.next(2).expect("readable") {
                    found.push(message);
                }
            }
            assert_eq!(found, [b"hi".to_vec(), vec![], b"x".to_vec()]);
            assert!(frames.is_complete());
        }
        let mut frames = Frames::default();
        frames.take(b"\0\xff\xff\xff\xff");
        assert_eq!(frames.next(9), Err(Unreadable::TooLarge));
        let mut frames = Frames::default();
        frames.take(b"\x01\0\0\0\0");
        assert_eq!(frames.next(9), Err(Unreadable::Compressed));
    }
}
