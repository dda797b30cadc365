//! A header table that allocates nothing in the steady state.
//!
//! Every field lies in one arena that is cleared, not freed, between messages, as the line that HTTP/1
//! writes: `name: value` CRLF. So a head that is passed on is one copy in and one copy out; what is
//! edited is a line further back. Names are stored lower-case, as HTTP/2 demands and Envoy does.
//! HTTP/1's request line and `Host` are kept as the pseudo-headers `:method`, `:path`, `:authority` and
//! `:scheme`, so that matchers, formatters and header edits have one place to look.

use crate::header_id::{HeaderId, id};
use crate::id_set::IdSet;

/// One field: where its line begins in the arena, and where its value is. Pseudo-headers other than
/// `:authority` are values without a line.
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: HeaderId,
    line: u32,
    value: u32,
    value_len: u32,
}

impl Entry {
    #[inline]
    fn has_line(&self) -> bool {
        !self.id.is_pseudo() || self.id == id::AUTHORITY
    }

    #[inline]
    fn end(&self) -> u32 {
        self.value + self.value_len
    }
}

/// An ordered multimap of header fields. Names are lower-case; values are any bytes that the codec
/// let through. One message's fields together stay below 4 GiB (codecs limit them far lower).
#[derive(Clone, Debug, Default)]
pub struct Headers {
    arena: Vec<u8>,
    entries: Vec<Entry>,
    present: IdSet,
    repeated: IdSet,
}

/// Which fields a name means: an interned id, or a spelled name that has none.
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    Id(HeaderId),
    Other(&'a [u8]),
}

impl<'a> Name<'a> {
    /// Resolves a lower-case name once; keep the answer where a name is used per request.
    pub fn of(lower: &'a [u8]) -> Name<'a> {
        match HeaderId::of(lower) {
            id::OTHER => Name::Other(lower),
            known => Name::Id(known),
        }
    }
}

impl From<HeaderId> for Name<'_> {
    fn from(id: HeaderId) -> Self {
        Name::Id(id)
    }
}

impl<'a> From<&'a [u8]> for Name<'a> {
    fn from(lower: &'a [u8]) -> Self {
        Name::of(lower)
    }
}

impl<'a> From<&'a HeaderName> for Name<'a> {
    #[inline]
    fn from(name: &'a HeaderName) -> Self {
        match name.id {
            id::OTHER => Name::Other(&name.text),
            known => Name::Id(known),
        }
    }
}

/// An owned header name, resolved at configuration time: lower-case and interned where possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderName {
    id: HeaderId,
    text: Box<[u8]>,
}

impl HeaderName {
    /// Any case is taken; `host` means `:authority`, as everywhere in Envoy's configuration.
    pub fn new(name: &str) -> HeaderName {
        let text = name.to_ascii_lowercase().into_bytes();
        match HeaderId::of(&text) {
            id::HOST => HeaderName { id: id::AUTHORITY, text: b":authority"[..].into() },
            id => HeaderName { id, text: text.into() },
        }
    }

    pub fn id(&self) -> HeaderId {
        self.id
    }

    /// The lower-case name.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

/// A field's whole line, for [`Headers::append_line`].
pub fn line_of(id: HeaderId, value: &[u8]) -> Vec<u8> {
    [id.line_start(), value, b"\r\n"].concat()
}

/// Lines that are copied into a table as one block once all of them were looked at. A block that isn't
/// finished leaves the table empty.
#[derive(Debug)]
pub struct Block<'h> {
    headers: &'h mut Headers,
    /// Where the block will be, and which field is its first.
    at: usize,
    first: usize,
    /// Where it begins in the reader's bytes.
    start: usize,
    finished: bool,
}

impl Block<'_> {
    /// Takes in a line that begins at `name` of the reader's bytes: the name, in any case, of `id`
    /// (`host` stands for `:authority`), `": "`, a value of `value_len` bytes at `value`, CRLF.
    #[inline]
    pub fn line(&mut self, id: HeaderId, name: usize, value: usize, value_len: usize) {
        let id = if id == id::HOST { id::AUTHORITY } else { id };
        self.headers.insert(Entry {
            id,
            line: (self.at + name - self.start) as u32,
            value: (self.at + value - self.start) as u32,
            value_len: value_len as u32,
        });
    }

    /// Copies the lines.
    #[inline]
    pub fn finish(mut self, lines: &[u8]) {
        self.finished = true;
        let Headers { arena, entries, .. } = &mut *self.headers;
        arena.extend_from_slice(lines);
        for entry in &entries[self.first..] {
            if let Some(name) = arena.get_mut(entry.line as usize..entry.value as usize - 2) {
                make_lower(name);
            }
        }
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.headers.clear();
        }
    }
}

/// Lower-cases eight bytes at a time: names are too short for the library's wide way.
#[inline]
fn make_lower(name: &mut [u8]) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut words = name.chunks_exact_mut(8);
    for word in &mut words {
        let Ok(bytes) = <[u8; 8]>::try_from(&*word) else { continue };
        let bytes = u64::from_le_bytes(bytes);
        let low = bytes & (ONES * 0x7f);
        // The top bit of each byte: at least `A`, and not beyond `Z`; names are ASCII.
        let upper = (low + ONES * (0x80 - 0x41)) & !(low + ONES * (0x80 - 0x5b)) & !bytes;
        let upper = upper & (ONES * 0x80);
        word.copy_from_slice(&(bytes | upper >> 2).to_le_bytes());
    }
    words.into_remainder().make_ascii_lowercase();
}

impl Headers {
    pub fn new() -> Headers {
        Headers::default()
    }

    /// Forgets all fields; keeps the memory.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.entries.clear();
        (self.present, self.repeated) = Default::default();
    }

    /// Gives memory back if a large message made it grow past `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        if self.arena.capacity() > bytes {
            *self = Headers::default();
        }
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The ids of the fields.
    #[inline]
    pub fn present(&self) -> IdSet {
        self.present
    }

    /// The interned ids that more than one field had; fields that were removed since still count.
    #[inline]
    pub fn repeated(&self) -> IdSet {
        self.repeated.without(IdSet::of(&[id::OTHER]))
    }

    /// The bytes of names and values as HTTP/2 counts them, without per-field overhead.
    pub fn byte_size(&self) -> u64 {
        self.iter().map(|(_, name, value)| (name.len() + value.len()) as u64).sum()
    }

    #[inline]
    fn insert(&mut self, entry: Entry) {
        let own = IdSet::of(&[entry.id]);
        self.repeated = self.repeated.union(self.present.intersection(own));
        self.present = self.present.union(own);
        self.entries.push(entry);
    }

    /// Writes a line whose value is still to come; gives where it begins.
    #[inline]
    fn begin(&mut self, id: HeaderId, name: &[u8]) -> u32 {
        let line = self.arena.len() as u32;
        if id != id::OTHER {
            self.arena.extend_from_slice(id.line_start());
        } else {
            self.arena.extend_from_slice(name);
            self.arena.extend_from_slice(b": ");
        }
        line
    }

    /// Ends the line whose value begins at `value`.
    #[inline]
    fn finish(&mut self, id: HeaderId, line: u32, value: u32) -> Entry {
        let value_len = self.arena.len() as u32 - value;
        self.arena.extend_from_slice(b"\r\n");
        Entry { id, line, value, value_len }
    }

    #[inline]
    fn store(&mut self, id: HeaderId, name: &[u8], value: &[u8]) -> Entry {
        let line = self.begin(id, name);
        let at = self.arena.len() as u32;
        self.arena.extend_from_slice(value);
        self.finish(id, line, at)
    }

    #[inline]
    fn value_of(&self, entry: &Entry) -> &[u8] {
        &self.arena[entry.value as usize..entry.end() as usize]
    }

    #[inline]
    fn name_of(&self, entry: &Entry) -> &[u8] {
        if entry.id == id::OTHER { self.line_name(entry) } else { entry.id.name() }
    }

    #[inline]
    fn line_name(&self, entry: &Entry) -> &[u8] {
        &self.arena[entry.line as usize..entry.value as usize - 2]
    }

    #[inline]
    fn is(&self, entry: &Entry, name: Name<'_>) -> bool {
        match name {
            Name::Id(id) => entry.id == id,
            Name::Other(text) => entry.id == id::OTHER && self.line_name(entry) == text,
        }
    }

    #[inline]
    fn position(&self, name: Name<'_>) -> Option<usize> {
        match name {
            Name::Id(id) if self.present.has(id) => self.entries.iter().position(|e| e.id == id),
            Name::Other(_) if self.present.has(id::OTHER) => {
                self.entries.iter().position(|e| self.is(e, name))
            }
            _ => None,
        }
    }

    /// Begins a block of lines; `start`: where they begin in the bytes by which [`Block::line`] counts.
    #[inline]
    pub fn block(&mut self, start: usize) -> Block<'_> {
        let (at, first) = (self.arena.len(), self.entries.len());
        Block { headers: self, at, first, start, finished: false }
    }

    /// Appends a field whose name may be in any case.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let id = HeaderId::of(name);
        let entry = self.store(id, name, value);
        if id == id::OTHER {
            let line = entry.line as usize;
            self.arena[line..line + name.len()].make_ascii_lowercase();
        }
        self.insert(entry);
    }

    /// Appends a field.
    pub fn append<'a>(&mut self, name: impl Into<Name<'a>>, value: &[u8]) {
        let (id, text) = match name.into() {
            Name::Id(id) => (id, &b""[..]),
            Name::Other(text) => (id::OTHER, text),
        };
        let entry = self.store(id, text, value);
        self.insert(entry);
    }

    /// Appends a field of an interned name whose whole line is at hand (see [`line_of`]).
    #[inline]
    pub fn append_line(&mut self, id: HeaderId, text: &[u8]) {
        let name = id.line_start();
        debug_assert!(text.starts_with(name) && text.ends_with(b"\r\n"));
        let line = self.arena.len() as u32;
        self.arena.extend_from_slice(text);
        let value = line + name.len() as u32;
        let value_len = (text.len() - name.len()) as u32 - 2;
        self.insert(Entry { id, line, value, value_len });
    }

    /// As [`Headers::set`], for a line at hand.
    #[inline]
    pub fn set_line(&mut self, id: HeaderId, text: &[u8]) {
        match self.present.has(id) {
            false => self.append_line(id, text),
            true => self.set(id, &text[id.line_start().len()..text.len() - 2]),
        }
    }

    /// Puts `value` into the first field of this name and drops the others, or appends one.
    pub fn set<'a>(&mut self, name: impl Into<Name<'a>>, value: &[u8]) {
        let name = name.into();
        let Some(first) = self.position(name) else { return self.append(name, value) };
        let (id, text) = match name {
            Name::Id(id) => (id, &b""[..]),
            Name::Other(text) => (id::OTHER, text),
        };
        self.entries[first] = self.store(id, text, value);
        if id == id::OTHER || self.repeated.has(id) {
            self.remove_after(first + 1, name);
        }
    }

    /// Joins `value` to the first field of this name with `separator`, or appends a field.
    pub fn join<'a>(&mut self, name: impl Into<Name<'a>>, separator: &[u8], value: &[u8]) {
        let name = name.into();
        let Some(first) = self.position(name) else { return self.append(name, value) };
        let old = self.entries[first];
        let line = self.arena.len() as u32;
        // The name is copied along with the old value.
        self.arena.extend_from_within(old.line as usize..old.end() as usize);
        self.arena.extend_from_slice(separator);
        self.arena.extend_from_slice(value);
        self.entries[first] = self.finish(old.id, line, line + (old.value - old.line));
    }

    fn remove_after(&mut self, from: usize, name: Name<'_>) {
        let (arena, mut index) = (&self.arena, 0);
        self.entries.retain(|entry| {
            index += 1;
            let matches = match name {
                Name::Id(id) => entry.id == id,
                Name::Other(text) => {
                    let name = entry.line as usize..(entry.value as usize).saturating_sub(2);
                    entry.id == id::OTHER && &arena[name] == text
                }
            };
            index <= from || !matches
        });
    }

    /// Removes every field of this name; tells whether there was one.
    pub fn remove<'a>(&mut self, name: impl Into<Name<'a>>) -> bool {
        let name = name.into();
        let Some(first) = self.position(name) else { return false };
        match name {
            Name::Id(id) if !self.repeated.has(id) => drop(self.entries.remove(first)),
            _ => self.remove_after(first, name),
        }
        if let Name::Id(id) = name {
            self.present.take(id);
        }
        true
    }

    /// Keeps the fields for which `keep(id, name, value)` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(HeaderId, &[u8], &[u8]) -> bool) {
        let Headers { arena, entries, present, .. } = self;
        *present = IdSet::default();
        entries.retain(|e| {
            let name = match e.id {
                id::OTHER => &arena[e.line as usize..e.value as usize - 2],
                known => known.name(),
            };
            let kept = keep(e.id, name, &arena[e.value as usize..e.end() as usize]);
            if kept {
                present.insert(e.id);
            }
            kept
        });
    }

    #[inline]
    pub fn contains<'a>(&self, name: impl Into<Name<'a>>) -> bool {
        match name.into() {
            Name::Id(id) => self.present.has(id),
            other => self.position(other).is_some(),
        }
    }

    /// The first field's value.
    #[inline]
    pub fn get<'a>(&self, name: impl Into<Name<'a>>) -> Option<&[u8]> {
        self.position(name.into()).map(|at| self.value_of(&self.entries[at]))
    }

    /// Every value of this name, in order.
    pub fn get_all<'s, 'n: 's>(
        &'s self,
        name: impl Into<Name<'n>>,
    ) -> impl Iterator<Item = &'s [u8]> + 's {
        let name = name.into();
        self.entries.iter().filter(move |e| self.is(e, name)).map(|e| self.value_of(e))
    }

    /// All fields in order as (id, lower-case name, value), pseudo-headers included.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (HeaderId, &[u8], &[u8])> {
        self.entries.iter().map(|e| (e.id, self.name_of(e), self.value_of(e)))
    }

    /// Writes the fields for which `keep` holds as HTTP/1 does, pseudo-headers but the host left out.
    /// Lines that lie together are one copy.
    pub fn write_lines(&self, out: &mut Vec<u8>, keep: impl Fn(HeaderId) -> bool) {
        let (mut from, mut to) = (0, 0);
        for entry in &self.entries {
            if !entry.has_line() || !keep(entry.id) {
                continue;
            }
            if entry.line != to {
                out.extend_from_slice(&self.arena[from as usize..to as usize]);
                from = entry.line;
            }
            to = entry.end() + 2;
        }
        out.extend_from_slice(&self.arena[from as usize..to as usize]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(headers: &Headers) -> Vec<(String, String)> {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        headers.iter().map(|(_, n, v)| (text(n), text(v))).collect()
    }

    #[test]
    fn set_replaces_the_first_and_drops_the_rest() {
        let mut h = Headers::new();
        h.push(b"X-A", b"1");
        h.push(b"Cookie", b"c");
        h.push(b"x-a", b"2");
        h.set(&b"x-a"[..], b"3");
        assert_eq!(pairs(&h), [("x-a".into(), "3".into()), ("cookie".into(), "c".into())]);
        h.set(id::COOKIE, b"d");
        assert_eq!(h.get(id::COOKIE), Some(&b"d"[..]));
        assert!(h.remove(id::COOKIE) && !h.remove(id::COOKIE));
    }

    #[test]
    fn join_appends_to_the_first_field() {
        let mut h = Headers::new();
        h.join(id::X_FORWARDED_FOR, b",", b"10.0.0.1");
        h.join(id::X_FORWARDED_FOR, b",", b"10.0.0.2");
        assert_eq!(h.get(id::X_FORWARDED_FOR), Some(&b"10.0.0.1,10.0.0.2"[..]));
        assert_eq!(h.len(), 1);
    }

    #[test]
    fn all_values_of_a_repeated_field_are_seen() {
        let mut h = Headers::new();
        h.push(b"x-a", b"1");
        h.push(b"X-A", b"2");
        let all: Vec<&[u8]> = h.get_all(&b"x-a"[..]).collect();
        assert_eq!(all, [b"1", b"2"]);
    }

    #[test]
    fn host_in_configuration_means_authority() {
        assert_eq!(HeaderName::new("Host").id(), id::AUTHORITY);
        assert_eq!(HeaderName::new("X-Thing").as_bytes(), b"x-thing");
    }

    #[test]
    fn lines_that_follow_each_other_are_read_as_they_came() {
        let text = b"Host: a\r\nX-Y: z\r\nAccept: b\r\n";
        let mut h = Headers::new();
        h.append(id::METHOD, b"GET");
        let mut block = h.block(100);
        block.line(id::HOST, 100, 106, 1);
        block.line(id::OTHER, 109, 114, 1);
        block.line(id::ACCEPT, 117, 125, 1);
        block.finish(text);
        assert_eq!(h.get(id::AUTHORITY), Some(&b"a"[..]));
        assert_eq!(h.get(&b"x-y"[..]), Some(&b"z"[..]));
        h.append(id::DATE, b"now");
        h.append(id::SCHEME, b"http");
        h.append(&b"x-b"[..], b"c");
        let text = |h: &Headers, without: HeaderId| {
            let mut out = Vec::new();
            h.write_lines(&mut out, |id| id != without);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(&h, id::VIA), "host: a\r\nx-y: z\r\naccept: b\r\ndate: now\r\nx-b: c\r\n");
        h.remove(&b"x-y"[..]);
        assert_eq!(text(&h, id::DATE), "host: a\r\naccept: b\r\nx-b: c\r\n");
        assert_eq!(text(&Headers::new(), id::DATE), "");
    }

    #[test]
    fn a_block_that_is_not_finished_leaves_nothing() {
        let mut h = Headers::new();
        h.append(id::METHOD, b"GET");
        h.block(0).line(id::HOST, 0, 6, 1);
        assert!(h.is_empty() && h.get(id::AUTHORITY).is_none());
    }

    #[test]
    fn every_byte_is_lowered_as_the_library_does_it() {
        for byte in 0..=255 {
            let mut name = [b'A', b'z', byte, b'Z', b'[', byte, b'@', b'-', byte, b'Q'];
            let wanted = name.to_ascii_lowercase();
            make_lower(&mut name);
            assert_eq!(name[..], wanted);
        }
    }

    #[test]
    fn a_line_at_hand_is_a_field_like_any_other() {
        let mut h = Headers::new();
        for value in [&b"first"[..], b"second"] {
            h.set_line(id::SERVER, &line_of(id::SERVER, value));
        }
        h.append_line(id::DATE, b"date: now\r\n");
        assert_eq!(h.len(), 2);
        assert_eq!((h.get(id::SERVER), h.get(id::DATE)), (Some(&b"second"[..]), Some(&b"now"[..])));
    }

    #[test]
    fn what_is_there_is_known_without_looking() {
        let mut h = Headers::new();
        h.append(id::COOKIE, b"a");
        h.append(id::COOKIE, b"b");
        assert!(h.present().has(id::COOKIE) && !h.present().has(id::VIA));
        h.retain(|_, _, value| value == b"b");
        assert!(h.present().has(id::COOKIE));
        h.remove(id::COOKIE);
        assert!(!h.present().has(id::COOKIE) && h.get(id::COOKIE).is_none());
    }
}
