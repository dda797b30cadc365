//! Every property over its seeds and over mutations of them, from fixed seeds of randomness: the
//! same bytes every time.

use dragoman_fuzz::{PROPERTIES, Property};
use fastrand::Rng;

const ROUNDS: usize = 5_000;
/// Pieces that have broken parsers.
const PIECES: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\0",
    " ",
    "\t",
    ":",
    ",",
    ";",
    "%",
    "%2f",
    "%2e",
    "..",
    "/",
    "//",
    "\\",
    "0",
    "ffffffffffffffff",
    "-1",
    "+1",
    "0x1",
    "chunked",
    "content-length: 5\r\n",
    "host: b\r\n",
    "transfer-encoding: chunked\r\n",
    "HTTP/1.1",
    "\u{e4}",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "*",
    "?",
];

#[test]
fn every_property_holds_for_mutated_seeds() {
    for property in PROPERTIES {
        let mut random = Rng::with_seed(1);
        for seed in property.seeds {
            for piece in PIECES.iter().chain(&[""]) {
                check(property, &[piece.as_bytes(), seed.as_bytes()].concat());
            }
        }
        for _ in 0..ROUNDS {
            let mut bytes = random.choice(property.seeds).unwrap_or(&"").as_bytes().to_vec();
            for _ in 0..random.usize(1..6) {
                mutate(&mut bytes, &mut random);
            }
            check(property, &bytes);
        }
    }
}

fn check(property: &Property, bytes: &[u8]) {
    let run = std::panic::catch_unwind(|| (property.holds)(bytes));
    assert!(run.is_ok(), "{}: {}", property.name, bytes.escape_ascii());
}

fn mutate(bytes: &mut Vec<u8>, random: &mut Rng) {
    let at = random.usize(0..=bytes.len());
    let to = (at + random.usize(0..8)).min(bytes.len());
    match random.u8(0..5) {
        0 => drop(bytes.drain(at..to)),
        1 => bytes.truncate(at),
        2 if at < bytes.len() => bytes[at] = random.u8(..),
        3 => {
            let again = bytes[at..to].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let piece = random.choice(PIECES).unwrap_or(&"");
            bytes.splice(at..to, piece.bytes());
        }
    }
}
