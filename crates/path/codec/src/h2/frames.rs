//! The heads of frames in a stream of bytes, without their payloads (RFC 9113 section 4.1).

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Error codes (RFC 9113 section 7).
pub const PROTOCOL_ERROR: u32 = 1;
pub const REFUSED_STREAM: u32 = 7;

/// Of DATA and HEADERS.
pub const END_STREAM: u8 = 0x1;
/// Of HEADERS and CONTINUATION.
pub const END_HEADERS: u8 = 0x4;

const HEAD: usize = 9;
/// RST_STREAM's whole payload.
const CODE: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHead {
    /// Bytes of the payload.
    pub length: u32,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    /// Of RST_STREAM: why.
    pub code: u32,
}

/// Finds frame heads in bytes that come in any pieces.
#[derive(Clone, Debug)]
pub struct FrameHeads {
    head: [u8; HEAD + CODE],
    have: usize,
    /// Bytes to pass over before the next head.
    skip: usize,
    /// The last frame carried fields, and they go on in another.
    fields_go_on: bool,
    /// The last frame carries fields.
    of_fields: bool,
}

impl FrameHeads {
    /// `before`: bytes that precede the first frame.
    pub fn new(before: usize) -> FrameHeads {
        FrameHeads {
            head: [0; HEAD + CODE],
            have: 0,
            skip: before,
            fields_go_on: false,
            of_fields: false,
        }
    }

    /// Whether what came last are fields that haven't come whole.
    pub fn within_fields(&self) -> bool {
        self.fields_go_on || (self.of_fields && self.skip > 0)
    }

    /// The next head that is whole in `bytes`, which are moved on behind it; `None` once they are used
    /// up.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let skipped = self.skip.min(bytes.len());
        self.skip -= skipped;
        *bytes = &bytes[skipped..];
        if !self.fill(HEAD, bytes) {
            return None;
        }
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3, ..] = self.head;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        let with_code = kind == RST_STREAM && length as usize == CODE;
        if with_code && !self.fill(HEAD + CODE, bytes) {
            return None;
        }
        let [.., c0, c1, c2, c3] = self.head;
        let code = if with_code { u32::from_be_bytes([c0, c1, c2, c3]) } else { 0 };
        self.have = 0;
        self.skip = if with_code { 0 } else { length as usize };
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        self.of_fields = matches!(kind, HEADERS | CONTINUATION);
        self.fields_go_on = self.of_fields && flags & END_HEADERS == 0;
        Some(FrameHead { length, kind, flags, stream, code })
    }

    /// Whether so many bytes of the head are there, `bytes`' first among them.
    fn fill(&mut self, wanted: usize, bytes: &mut &[u8]) -> bool {
        let taken = wanted.saturating_sub(self.have).min(bytes.len());
        self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken;
        *bytes = &bytes[taken..];
        self.have >= wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_found_however_the_bytes_come() {
        let bytes = [
            b"PRI".as_slice(),
            b"\0\0\x05\x01\x05\x80\0\0\x01hello",
            b"\0\0\0\x04\x01\0\0\0\0",
            b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x08",
            b"\0\x01\0\0\0\0\0\0\x03",
            &[0; 256],
        ]
        .concat();
        let whole = {
            let (mut heads, mut rest, mut found) = (FrameHeads::new(3), &bytes[..], Vec::new());
            while let Some(head) = heads.next(&mut rest) {
                found.push(head);
            }
            found
        };
        assert_eq!(whole.len(), 4);
        let head =
            |length, kind, flags, stream, code| FrameHead { length, kind, flags, stream, code };
        assert_eq!(whole[0], head(5, HEADERS, 5, 1, 0));
        assert_eq!(whole[2], head(4, RST_STREAM, 0, 1, 8));
        assert_eq!(whole[3], head(256, DATA, 0, 3, 0));
        let (mut heads, mut found) = (FrameHeads::new(3), Vec::new());
        for byte in &bytes {
            found.extend(heads.next(&mut std::slice::from_ref(byte)));
        }
        assert_eq!(found, whole);
    }
}
