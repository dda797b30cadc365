//! TLS records to the first handshake message: RFC 8446 sections 4 and 5.1, RFC 5246 section 6.2.1.
//!
//! The message may be cut into records, and the records into reads, anywhere. A record is only looked at
//! when it is whole, and only once: `Progress` keeps where the next one begins (`at`) and how many bytes
//! of the message stand before it (`found`), so dripping in bytes costs a header look at a time.

use std::borrow::Cow;

use dragoman_listener::Progress;

use super::failure;

/// Type, version, length.
const HEADER: usize = 5;
const HANDSHAKE: u8 = 22;
/// The types of records.
const KINDS: std::ops::RangeInclusive<u8> = 20..=23;
const CLIENT_HELLO: u8 = 1;
/// Type and length of a handshake message.
const MESSAGE_HEADER: usize = 4;
/// A record with what encryption may add: BoringSSL holds the first one to nothing less.
const MAX_RECORD: usize = (1 << 14) + 2048;
/// BoringSSL takes no longer message before the handshake is through.
const MAX_MESSAGE: usize = 1 << 14;

#[derive(Debug)]
pub(super) enum Gathered<'a> {
    /// So many bytes must be there first.
    More(usize),
    /// The body of a ClientHello.
    Hello(Cow<'a, [u8]>),
    /// Not the beginning of TLS, and how that shows.
    Other(&'static str),
}

/// What stands where a record should begin.
enum Record {
    /// So many bytes of it are needed.
    More(usize),
    /// A handshake record with its payload's length.
    Handshake(usize),
    Other(&'static str),
}

pub(super) fn gather<'a>(data: &'a [u8], progress: &mut Progress) -> Gathered<'a> {
    loop {
        let rest = &data[progress.at..];
        let length = match record(rest) {
            Record::Handshake(length) => length,
            Record::More(until) => return Gathered::More(progress.at + until),
            Record::Other(failure) => return Gathered::Other(failure),
        };
        if rest.len() < HEADER + length {
            return Gathered::More(progress.at + HEADER + length);
        }
        progress.at += HEADER + length;
        progress.found += length;
        if progress.found < MESSAGE_HEADER {
            continue;
        }
        let length = match message_length(data) {
            Ok(length) => length,
            Err(failure) => return Gathered::Other(failure),
        };
        if progress.found >= MESSAGE_HEADER + length {
            return Gathered::Hello(body(data, length));
        }
    }
}

/// A record without payload is refused (RFC 8446 section 5.1 forbids it; BoringSSL takes 32 in a row):
/// it would cost a look for nothing.
fn record(rest: &[u8]) -> Record {
    let [kind, more @ ..] = rest else { return Record::More(1) };
    if !KINDS.contains(kind) {
        return no_record(rest);
    }
    match more.first() {
        None => return Record::More(2),
        Some(3) if *kind == HANDSHAKE => {}
        Some(3) => return Record::Other(failure::UNEXPECTED_RECORD),
        Some(_) => return Record::Other(failure::WRONG_VERSION),
    }
    let Some(length) = rest.get(3..HEADER) else { return Record::More(HEADER) };
    match usize::from(u16::from_be_bytes([length[0], length[1]])) {
        0 => Record::Other(failure::EMPTY_RECORD),
        length if length > MAX_RECORD => Record::Other(failure::LONG_RECORD),
        length => Record::Handshake(length),
    }
}

/// Tells HTTP from the rest, which may take five bytes.
fn no_record(rest: &[u8]) -> Record {
    const WORDS: [(&[u8], &str); 5] = [
        (b"GET ", failure::HTTP_REQUEST),
        (b"POST ", failure::HTTP_REQUEST),
        (b"HEAD ", failure::HTTP_REQUEST),
        (b"PUT ", failure::HTTP_REQUEST),
        (b"CONNE", failure::PROXY_REQUEST),
    ];
    for (word, failure) in WORDS {
        if rest.starts_with(word) {
            return Record::Other(failure);
        }
        if word.starts_with(rest) {
            return Record::More(rest.len() + 1);
        }
    }
    Record::Other(failure::WRONG_VERSION)
}

/// The payloads of whole records.
fn payloads(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let Record::Handshake(length) = record(rest) else { return None };
        let payload = rest.get(HEADER..HEADER + length)?;
        rest = &rest[HEADER + length..];
        Some(payload)
    })
}

/// The ClientHello's length, once its header is there. Reads four records at most.
fn message_length(data: &[u8]) -> Result<usize, &'static str> {
    let mut header = payloads(data).flatten().take(MESSAGE_HEADER);
    if header.next() != Some(&CLIENT_HELLO) {
        return Err(failure::UNEXPECTED_MESSAGE);
    }
    let length = header.fold(0, |length, byte| length << 8 | usize::from(*byte));
    if length > MAX_MESSAGE { Err(failure::LONG_MESSAGE) } else { Ok(length) }
}

/// Copies only a message that is cut.
fn body(data: &[u8], length: usize) -> Cow<'_, [u8]> {
    let end = MESSAGE_HEADER + length;
    match payloads(data).next() {
        Some(first) if first.len() >= end => Cow::Borrowed(&first[MESSAGE_HEADER..end]),
        _ => {
            let mut whole = Vec::with_capacity(end);
            for payload in payloads(data) {
                whole.extend_from_slice(&payload[..payload.len().min(end - whole.len())]);
            }
            whole.drain(..MESSAGE_HEADER);
            Cow::Owned(whole)
        }
    }
}
