//! The fields that a connection has learnt (RFC 7541 section 2.3.2), newest first.

use std::collections::VecDeque;
use std::rc::Rc;

use dragoman_types::{HeaderId, id};

/// What a field counts besides its bytes.
const OVERHEAD: usize = 32;

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: HeaderId,
    /// Name and value may stand in a message.
    pub(super) sound: bool,
    name: Name,
    value: Box<[u8]>,
}

/// A name that is short to write may be long: it is copied once.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Interned(&'static [u8]),
    Shared(Rc<[u8]>),
}

impl Name {
    pub(super) fn new(id: HeaderId, name: &[u8]) -> Name {
        match id {
            id::OTHER => Name::Shared(name.into()),
            known => Name::Interned(known.name()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Interned(name) => name,
            Name::Shared(name) => name,
        }
    }
}

impl Entry {
    pub(super) fn new(id: HeaderId, sound: bool, name: Name, value: &[u8]) -> Entry {
        Entry { id, sound, name, value: value.into() }
    }

    pub(super) fn name(&self) -> &[u8] {
        self.name.as_bytes()
    }

    pub(super) fn shared_name(&self) -> Name {
        self.name.clone()
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    fn size(&self) -> usize {
        size(self.name(), &self.value)
    }
}

pub(super) fn size(name: &[u8], value: &[u8]) -> usize {
    name.len() + value.len() + OVERHEAD
}

#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    most: usize,
}

impl Table {
    pub(super) fn new(most: usize) -> Table {
        Table { entries: VecDeque::new(), size: 0, most }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Lets go of what no longer has room; says how many went.
    pub(super) fn resize(&mut self, most: usize) -> usize {
        self.most = most;
        self.make_room(0)
    }

    fn make_room(&mut self, wanted: usize) -> usize {
        let before = self.entries.len();
        while self.size + wanted > self.most {
            let Some(oldest) = self.entries.pop_back() else { break };
            self.size -= oldest.size();
        }
        before - self.entries.len()
    }

    /// Adds a field; one that is too large only empties the table. Says whether it is there, and how many
    /// went for it.
    pub(super) fn insert(&mut self, entry: Entry) -> (bool, usize) {
        let size = entry.size();
        let gone = self.make_room(size);
        let fits = size <= self.most;
        if fits {
            self.size += size;
            self.entries.push_front(entry);
        }
        (fits, gone)
    }

    pub(super) fn get(&self, at: usize) -> Option<&Entry> {
        self.entries.get(at)
    }
}
