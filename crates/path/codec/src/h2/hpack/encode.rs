//! Writes blocks of fields. Source: RFC 7541 section 6.

use std::collections::VecDeque;
use std::hash::Hasher;
use std::sync::LazyLock;

use dragoman_types::{HeaderId, IdSet, id};
use rustc_hash::FxHasher;

use super::known::KNOWN;
use super::table::{self, Entry, Name, Table};
use super::{huffman, put_integer};

/// How a field is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The other end learns it.
    Learnt,
    Plain,
    /// Nobody on the way may learn it either.
    Secret,
}

impl Form {
    fn prefix(self) -> (u8, u8) {
        match self {
            Form::Learnt => (0x40, 6),
            Form::Plain => (0x00, 4),
            Form::Secret => (0x10, 4),
        }
    }
}

/// Values that the next message won't have: in the table they would only drive out those that it has.
const PASSING: IdSet = IdSet::of(&[
    id::PATH,
    id::CONTENT_LENGTH,
    id::ETAG,
    id::LOCATION,
    id::LAST_MODIFIED,
    id::COOKIE,
    id::SET_COOKIE,
    id::X_REQUEST_ID,
    id::X_ENVOY_UPSTREAM_SERVICE_TIME,
    id::X_FORWARDED_FOR,
    id::X_CLIENT_TRACE_ID,
    id::GRPC_TIMEOUT,
    id::TRACEPARENT,
    id::TRACESTATE,
    id::X_B3_TRACEID,
    id::X_B3_SPANID,
    id::X_B3_PARENTSPANID,
]);

/// By id: the first index of [`KNOWN`] with its name, and how many there are with it.
static FIRST: LazyLock<[(u8, u8); 128]> = LazyLock::new(|| {
    let mut first = [(0, 0); 128];
    for (at, (name, _)) in KNOWN.iter().enumerate().rev() {
        let (index, many) = &mut first[usize::from(HeaderId::of_lower(name.as_bytes()).index())];
        (*index, *many) = (at as u8 + 1, *many + 1);
    }
    first[usize::from(id::OTHER.index())] = (0, 0);
    first
});

/// A connection's side that writes.
#[derive(Debug)]
pub(in crate::h2) struct Encoder {
    table: Table,
    /// Of each entry of the table, newest first: of its name, and of both.
    names: VecDeque<u32>,
    both: VecDeque<u32>,
    /// How large we would make it.
    own: usize,
    /// The sizes that the next block has to tell: the smallest since the last one, and the present one.
    untold: Option<(usize, usize)>,
}

/// Of the name, and of both.
fn hash(id: HeaderId, name: &[u8], value: &[u8]) -> (u32, u32) {
    let mut hasher = FxHasher::default();
    match id {
        id::OTHER => hasher.write(name),
        known => hasher.write_u8(known.index()),
    }
    let of_name = hasher.finish();
    hasher.write(value);
    ((of_name >> 32) as u32, (hasher.finish() >> 32) as u32)
}

fn find(hashes: &VecDeque<u32>, wanted: u32, is: impl Fn(usize) -> bool) -> Option<usize> {
    let (front, back) = hashes.as_slices();
    let in_part = |part: &[u32], before: usize| {
        let at = part.iter().position(|&hash| hash == wanted)?;
        is(before + at).then_some(before + at)
    };
    in_part(front, 0).or_else(|| in_part(back, front.len()))
}

impl Encoder {
    /// `own`: the most bytes that the table may have here.
    pub(in crate::h2) fn new(own: usize) -> Encoder {
        const UNTOLD: usize = 4096;
        let untold = (own < UNTOLD).then_some((own, own));
        let table = Table::new(own.min(UNTOLD));
        Encoder { table, names: VecDeque::new(), both: VecDeque::new(), own, untold }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE.
    pub(in crate::h2) fn limit(&mut self, most: usize) {
        let most = most.min(self.own);
        if most == self.table.most() {
            return;
        }
        let gone = self.table.resize(most);
        self.forget(gone);
        let least = self.untold.map_or(most, |(least, _)| least.min(most));
        self.untold = Some((least, most));
    }

    fn forget(&mut self, gone: usize) {
        let left = self.names.len() - gone;
        self.names.truncate(left);
        self.both.truncate(left);
    }

    /// Begins a block.
    pub(in crate::h2) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some((least, present)) = self.untold.take() {
            if least < present {
                put_integer(out, 0x20, 5, least);
            }
            put_integer(out, 0x20, 5, present);
        }
    }

    /// Appends a field; `name` is in lower case.
    pub(in crate::h2) fn put(
        &mut self,
        id: HeaderId,
        name: &[u8],
        value: &[u8],
        out: &mut Vec<u8>,
    ) {
        let (known, many) = FIRST[usize::from(id.index())];
        let known = usize::from(known);
        if known != 0 && !value.is_empty() {
            let same = KNOWN[known - 1..known - 1 + usize::from(many)].iter();
            if let Some(at) = same.map(|(_, text)| text.as_bytes()).position(|text| text == value) {
                return put_integer(out, 0x80, 7, known + at);
            }
        }
        let form = match id {
            id::AUTHORIZATION => Form::Secret,
            _ if PASSING.has(id) => Form::Plain,
            _ if table::size(name, value) * 2 > self.table.most() => Form::Plain,
            _ => Form::Learnt,
        };
        if form != Form::Learnt && known != 0 {
            return literal(form, known, name, value, out);
        }
        self.learnt(form, id, (known, name), value, out);
    }

    /// `:status`
    pub(in crate::h2) fn put_status(&mut self, status: u16, out: &mut Vec<u8>) {
        const STATUS: usize = 8;
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(status).as_bytes();
        let same = KNOWN[STATUS - 1..].iter().take(7);
        match same.map(|(_, text)| text.as_bytes()).position(|text| text == digits) {
            Some(at) => put_integer(out, 0x80, 7, STATUS + at),
            None => self.learnt(Form::Learnt, id::OTHER, (STATUS, b":status"), digits, out),
        }
    }

    /// By the table, which learns the field, or at least its name.
    fn learnt(
        &mut self,
        form: Form,
        id: HeaderId,
        (known, name): (usize, &[u8]),
        value: &[u8],
        out: &mut Vec<u8>,
    ) {
        let (of_name, of_both) = hash(id, name, value);
        let entry = |at| self.table.get(at);
        if form == Form::Learnt {
            let same =
                |at| entry(at).is_some_and(|entry| entry.name() == name && entry.value() == value);
            if let Some(at) = find(&self.both, of_both, same) {
                return put_integer(out, 0x80, 7, KNOWN.len() + 1 + at);
            }
        }
        let named = match known {
            0 => find(&self.names, of_name, |at| entry(at).is_some_and(|e| e.name() == name))
                .map_or(0, |at| KNOWN.len() + 1 + at),
            known => known,
        };
        // A name that comes again and again is learnt with its first value.
        let fits = table::size(name, value) * 2 <= self.table.most();
        let form = match form {
            Form::Plain if named == 0 && PASSING.has(id) && fits => Form::Learnt,
            form => form,
        };
        literal(form, named, name, value, out);
        if form == Form::Learnt {
            let (there, gone) = self.table.insert(Entry::new(id, true, Name::new(id, name), value));
            self.forget(gone);
            if there {
                self.names.push_front(of_name);
                self.both.push_front(of_both);
            }
        }
    }
}

/// `named`: the index of its name, or 0.
fn literal(form: Form, named: usize, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    let (flags, bits) = form.prefix();
    put_integer(out, flags, bits, named);
    if named == 0 {
        string(name, out);
    }
    string(value, out);
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    let coded = huffman::length(text);
    if coded < text.len() {
        put_integer(out, 0x80, 7, coded);
        return huffman::encode(text, out);
    }
    put_integer(out, 0, 7, text.len());
    out.extend_from_slice(text);
}
