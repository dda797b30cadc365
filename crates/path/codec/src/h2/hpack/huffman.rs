//! Huffman's codes for strings (RFC 7541 section 5.2).

use std::sync::LazyLock;

use super::codes::CODES;

const END: usize = 256;
/// As many bits are looked up at once: all but rare bytes have shorter codes.
const AT_ONCE: u32 = 10;

/// What the next bits stand for: the byte in the upper eight bits, how long its code is in the lower; 0:
/// a longer code.
static SHORT: LazyLock<[u16; 1 << AT_ONCE]> = LazyLock::new(|| {
    let mut table = [0; 1 << AT_ONCE];
    for (byte, &(code, length)) in CODES.iter().enumerate().take(END) {
        let Some(free) = AT_ONCE.checked_sub(u32::from(length)) else { continue };
        let first = (code << free) as usize;
        table[first..first + (1 << free)].fill((byte as u16) << 8 | u16::from(length));
    }
    table
});

/// Longer codes, by their bits at the top of a word: (the code, its length, the byte).
static LONG: LazyLock<Vec<(u32, u32, u16)>> = LazyLock::new(|| {
    let codes = CODES.iter().enumerate().filter(|(_, (_, length))| u32::from(*length) > AT_ONCE);
    let mut long: Vec<_> = codes
        .map(|(byte, &(code, length))| {
            let length = u32::from(length);
            (code << (32 - length), length, byte as u16)
        })
        .collect();
    long.sort_unstable();
    long
});

/// How many bytes `text` takes.
pub(super) fn length(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|&byte| usize::from(CODES[usize::from(byte)].1)).sum();
    bits.div_ceil(8)
}

pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut have) = (0u64, 0u32);
    for &byte in text {
        let (code, length) = CODES[usize::from(byte)];
        bits = bits << length | u64::from(code);
        have += u32::from(length);
        if have >= 32 {
            have -= 32;
            out.extend_from_slice(&((bits >> have) as u32).to_be_bytes());
        }
    }
    // The end's bits, which are ones, fill the last byte.
    let padded = have.next_multiple_of(8);
    let last = (bits << (padded - have) | ((1 << (padded - have)) - 1)) << (32 - padded);
    out.extend_from_slice(&(last as u32).to_be_bytes()[..padded as usize / 8]);
}

/// Appends what `coded` stands for. `None`: it stands for nothing.
pub(super) fn decode(coded: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let short = &*SHORT;
    let (mut bits, mut have) = (0u64, 0u32);
    let mut rest = coded.iter();
    loop {
        while have <= 56 {
            let Some(&byte) = rest.next() else { break };
            bits |= u64::from(byte) << (56 - have);
            have += 8;
        }
        let found = short[(bits >> (64 - AT_ONCE)) as usize];
        let (byte, length) = match found {
            0 => long_code((bits >> 32) as u32)?,
            found => ((found >> 8) as u8, u32::from(found & 0xff)),
        };
        if length > have {
            break;
        }
        out.push(byte);
        bits <<= length;
        have -= length;
    }
    // What is left has to be the beginning of the end.
    (have < 8 && bits == !(u64::MAX >> have)).then_some(())
}

fn long_code(bits: u32) -> Option<(u8, u32)> {
    let long = &*LONG;
    let at = long.partition_point(|&(code, ..)| code <= bits).checked_sub(1)?;
    let (_, length, byte) = long[at];
    // The end may be begun, never reached.
    let length = if usize::from(byte) == END { u32::MAX } else { length };
    Some((byte as u8, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for start in 0..256 {
            let text = &all[start..];
            let mut coded = Vec::new();
            encode(text, &mut coded);
            assert_eq!(coded.len(), length(text));
            let mut seen = Vec::new();
            decode(&coded, &mut seen).unwrap();
            assert_eq!(seen, text);
            if coded.len() > 1 {
                decode(&coded[..coded.len() - 1], &mut Vec::new());
            }
        }
    }

    #[test]
    fn padding_is_ones_and_less_than_a_byte() {
        let fine = |coded: &[u8]| decode(coded, &mut Vec::new()).is_some();
        assert!(fine(&[]));
        assert!(fine(&[0x1f])); // a, and three ones
        assert!(!fine(&[0x1e]));
        assert!(!fine(&[0x1f, 0xff]));
        assert!(!fine(&[0xff]));
        assert!(!fine(&[0xff; 4]) && !fine(&[0xff; 20]));
        assert!(!fine(&[0xff, 0xff, 0xff, 0xfc]));
    }
}
