//! Reads blocks of fields. Source: RFC 7541 section 6.

use std::sync::LazyLock;

use dragoman_types::HeaderId;

use super::huffman;
use super::known::KNOWN;
use super::table::{Entry, Name, Table};
use crate::scan::{is_lower_token, is_text};

/// A block that can't be read: the peers' tables differ from here on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::h2) struct BadBlock;

#[derive(Clone, Copy, Debug)]
pub(in crate::h2) struct Field<'a> {
    pub(in crate::h2) id: HeaderId,
    pub(in crate::h2) name: &'a [u8],
    pub(in crate::h2) value: &'a [u8],
    /// The name is a lower-case token (one of a pseudo-header behind its colon), the value has no byte
    /// that ends a line or a text (RFC 9113 section 8.2.1).
    pub(in crate::h2) sound: bool,
}

/// Ids of the names in [`KNOWN`].
static IDS: LazyLock<[HeaderId; KNOWN.len()]> =
    LazyLock::new(|| KNOWN.map(|(name, _)| HeaderId::of_lower(name.as_bytes())));

/// A connection's side that reads.
#[derive(Clone, Debug)]
pub(in crate::h2) struct Decoder {
    table: Table,
    /// How large the peer may make the table.
    most: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// `most`: SETTINGS_HEADER_TABLE_SIZE that the peer is told.
    pub(in crate::h2) fn new(most: usize) -> Decoder {
        const UNTOLD: usize = 4096;
        Decoder {
            table: Table::new(UNTOLD),
            most: most.max(UNTOLD),
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn resize(&mut self, most: usize) {
        self.table.resize(most);
    }

    /// Gives every field of a whole block to `each`. What an index means is not copied, so the work is
    /// bounded by the block's bytes, whatever it unfolds to.
    ///
    /// # Errors
    /// [`BadBlock`]; fields before the fault were given already.
    pub(in crate::h2) fn decode(
        &mut self,
        block: &[u8],
        mut each: impl FnMut(Field<'_>),
    ) -> Result<(), BadBlock> {
        let mut rest = block;
        let mut begun = false;
        while let Some(&first) = rest.first() {
            match first {
                0x80.. => each(self.field(integer(&mut rest, 7)?)?),
                0x40.. => self.literal(&mut rest, 6, &mut each)?,
                0x20.. if !begun => {
                    let most = integer(&mut rest, 5)?;
                    if most > self.most {
                        return Err(BadBlock);
                    }
                    self.table.resize(most);
                    continue;
                }
                0x20.. => return Err(BadBlock),
                _ => self.literal(&mut rest, 4, &mut each)?,
            }
            begun = true;
        }
        self.name.shrink_to(1024);
        self.value.shrink_to(1024);
        Ok(())
    }

    #[inline]
    fn field(&self, index: usize) -> Result<Field<'_>, BadBlock> {
        let at = index.checked_sub(1).ok_or(BadBlock)?;
        if let Some((name, value)) = KNOWN.get(at) {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            return Ok(Field { id: IDS[at], name, value, sound: true });
        }
        let entry = self.table.get(at - KNOWN.len()).ok_or(BadBlock)?;
        let Entry { id, sound, .. } = *entry;
        Ok(Field { id, name: entry.name(), value: entry.value(), sound })
    }

    /// A value that stands there, with a name that does or that an index of `bits` bits means. With six
    /// bits it goes into the table.
    fn literal(
        &mut self,
        rest: &mut &[u8],
        bits: u8,
        each: &mut impl FnMut(Field<'_>),
    ) -> Result<(), BadBlock> {
        let mut value = std::mem::take(&mut self.value);
        value.clear();
        let (id, name, mut sound) = match integer(rest, bits)? {
            0 => {
                self.name.clear();
                string(rest, &mut self.name)?;
                let id = HeaderId::of_lower(&self.name);
                (id, Name::new(id, &self.name), is_name(&self.name))
            }
            index => {
                let Field { id, name, sound, .. } = self.field(index)?;
                // It may be its value that isn't sound.
                (id, self.name_of(index)?, sound || is_name(name))
            }
        };
        string(rest, &mut value)?;
        sound &= is_text(&value);
        each(Field { id, name: name.as_bytes(), value: &value, sound });
        if bits == 6 {
            self.table.insert(Entry::new(id, sound, name, &value));
        }
        self.value = value;
        Ok(())
    }

    fn name_of(&self, index: usize) -> Result<Name, BadBlock> {
        match KNOWN.get(index - 1) {
            Some((name, _)) => Ok(Name::Interned(name.as_bytes())),
            None => Ok(self.table.get(index - 1 - KNOWN.len()).ok_or(BadBlock)?.shared_name()),
        }
    }
}

fn is_name(name: &[u8]) -> bool {
    is_lower_token(name.strip_prefix(b":").unwrap_or(name))
}

/// A prefixed integer (RFC 7541 section 5.1); none that means something needs more than 28 bits.
#[inline]
fn integer(rest: &mut &[u8], bits: u8) -> Result<usize, BadBlock> {
    let (&first, mut bytes) = rest.split_first().ok_or(BadBlock)?;
    let most = (1usize << bits) - 1;
    let mut value = usize::from(first) & most;
    if value == most {
        let mut shift = 0;
        loop {
            let (&byte, after) = bytes.split_first().ok_or(BadBlock)?;
            bytes = after;
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
            if shift >= 28 {
                return Err(BadBlock);
            }
        }
    }
    *rest = bytes;
    Ok(value)
}

fn string(rest: &mut &[u8], out: &mut Vec<u8>) -> Result<(), BadBlock> {
    let coded = rest.first().ok_or(BadBlock)? & 0x80 != 0;
    let length = integer(rest, 7)?;
    let (text, after) = rest.split_at_checked(length).ok_or(BadBlock)?;
    *rest = after;
    if coded {
        return huffman::decode(text, out).ok_or(BadBlock);
    }
    out.extend_from_slice(text);
    Ok(())
}
