//! The bytes of bodies: a fixed pattern, so that either side can check what arrived against what
//! was sent without having been told. The period is prime, so a lost or doubled block shows.

const PERIOD: usize = 251;

/// `length` bytes of the pattern.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'!' + (at % PERIOD % 94) as u8).collect()
}

/// Compares a body with the pattern while it passes by in pieces.
pub(crate) struct Check<'a> {
    expected: &'a [u8],
    at: usize,
    same: bool,
}

impl<'a> Check<'a> {
    pub(crate) fn new(expected: &'a [u8]) -> Self {
        Self { expected, at: 0, same: true }
    }

    pub(crate) fn piece(&mut self, piece: &[u8]) {
        let end = self.at.saturating_add(piece.len());
        self.same = self.same && self.expected.get(self.at..end) == Some(piece);
        self.at = end;
    }

    /// True when every piece so far was the pattern's.
    pub(crate) fn same(&self) -> bool {
        self.same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_a_lost_block_and_a_surplus() {
        let whole = pattern(1000);
        let mut good = Check::new(&whole);
        whole.chunks(7).for_each(|piece| good.piece(piece));
        assert!(good.same());

        let mut lost = Check::new(&whole);
        lost.piece(&whole[..100]);
        lost.piece(&whole[200..]);
        assert!(!lost.same());

        let mut longer = Check::new(&whole);
        longer.piece(&pattern(1001));
        assert!(!longer.same());
    }
}
