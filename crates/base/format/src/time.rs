//! Points in time as text: `strftime` conversions plus Envoy's own (`%s`, `%f`, `%1f`..`%9f`, and the
//! `%E` family), in UTC. Civil dates are worked out once per day and the default form once per
//! second, in the caller's [`Calendar`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

mod civil;
mod parse;

pub(crate) use civil::Calendar;
use civil::{DAYS, MONTHS, Moment};

/// `%Y-%m-%dT%H:%M:%S.%3fZ`, or with `+0000` for the operators that end in `_LOCAL`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TimeFormat {
    Iso { suffix: &'static [u8] },
    Items(Box<[Item]>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Literal(Box<[u8]>),
    /// Seconds since 1970 (`%s`).
    Epoch,
    /// So many digits of the second's fraction.
    Fraction(u8),
    /// All digits that aren't trailing zeros (`%E*f`); `true` adds seconds and a point (`%E*S`).
    Trimmed(bool),
    /// A conversion's letter.
    Field(u8),
}

impl TimeFormat {
    pub(crate) fn write(&self, time: SystemTime, calendar: &mut Calendar, out: &mut Vec<u8>) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        match self {
            TimeFormat::Iso { suffix } => {
                calendar.write_second(since.as_secs(), out);
                out.push(b'.');
                digits(out, u64::from(since.subsec_millis()), 3);
                out.extend_from_slice(suffix);
            }
            TimeFormat::Items(items) => {
                let moment = calendar.moment(since.as_secs());
                for item in items {
                    write_item(item, &moment, since, out);
                }
            }
        }
    }
}

/// `value` in at least `width` digits, zeros in front.
pub(crate) fn digits(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(value);
    for _ in text.len()..width {
        out.push(b'0');
    }
    out.extend_from_slice(text.as_bytes());
}

fn spaced(out: &mut Vec<u8>, value: u64) {
    if value < 10 {
        out.push(b' ');
    }
    digits(out, value, 1);
}

fn write_item(item: &Item, moment: &Moment, since: Duration, out: &mut Vec<u8>) {
    match item {
        Item::Literal(text) => out.extend_from_slice(text),
        Item::Epoch => digits(out, since.as_secs(), 1),
        Item::Fraction(width) => fraction(out, since.subsec_nanos(), usize::from(*width)),
        Item::Trimmed(with_seconds) => trimmed(out, moment, since.subsec_nanos(), *with_seconds),
        Item::Field(letter) => field(*letter, moment, out),
    }
}

fn fraction(out: &mut Vec<u8>, nanos: u32, width: usize) {
    let at = out.len();
    digits(out, u64::from(nanos), 9);
    out.resize(at + width, b'0');
}

fn trimmed(out: &mut Vec<u8>, moment: &Moment, nanos: u32, with_seconds: bool) {
    if with_seconds {
        digits(out, moment.second, 2);
        if nanos == 0 {
            return;
        }
        out.push(b'.');
    }
    let at = out.len();
    digits(out, u64::from(nanos), 9);
    while out.len() > at + 1 && out.ends_with(b"0") {
        out.pop();
    }
}

/// One `strftime` conversion in the C locale; the parser lets no other letters through.
fn field(letter: u8, m: &Moment, out: &mut Vec<u8>) {
    let hour12 = (m.hour + 11) % 12 + 1;
    match letter {
        b'a' => out.extend_from_slice(&DAYS[m.weekday].as_bytes()[..3]),
        b'A' => out.extend_from_slice(DAYS[m.weekday].as_bytes()),
        b'b' | b'h' => out.extend_from_slice(&MONTHS[m.month as usize - 1].as_bytes()[..3]),
        b'B' => out.extend_from_slice(MONTHS[m.month as usize - 1].as_bytes()),
        b'c' => each(b"a b e T Y", b' ', m, out),
        b'C' => digits(out, m.year / 100, 2),
        b'd' => digits(out, m.day, 2),
        b'D' | b'x' => each(b"m/d/y", b'/', m, out),
        b'e' => spaced(out, m.day),
        b'F' => each(b"Y-m-d", b'-', m, out),
        b'g' => digits(out, m.iso_week().0 % 100, 2),
        b'G' => digits(out, m.iso_week().0, 1),
        b'H' => digits(out, m.hour, 2),
        b'I' => digits(out, hour12, 2),
        b'j' => digits(out, m.yearday + 1, 3),
        b'k' => spaced(out, m.hour),
        b'l' => spaced(out, hour12),
        b'm' => digits(out, m.month, 2),
        b'M' => digits(out, m.minute, 2),
        b'p' => out.extend_from_slice(if m.hour < 12 { b"AM" } else { b"PM" }),
        b'P' => out.extend_from_slice(if m.hour < 12 { b"am" } else { b"pm" }),
        b'r' => {
            each(b"I:M:S", b':', m, out);
            out.push(b' ');
            field(b'p', m, out);
        }
        b'R' => each(b"H:M", b':', m, out),
        b'S' => digits(out, m.second, 2),
        b'T' | b'X' => each(b"H:M:S", b':', m, out),
        b'u' => digits(out, if m.weekday == 0 { 7 } else { m.weekday as u64 }, 1),
        b'U' => digits(out, (m.yearday + 7 - m.weekday as u64) / 7, 2),
        b'V' => digits(out, m.iso_week().1, 2),
        b'w' => digits(out, m.weekday as u64, 1),
        b'W' => digits(out, (m.yearday + 7 - (m.weekday as u64 + 6) % 7) / 7, 2),
        b'y' => digits(out, m.year % 100, 2),
        b'Y' => digits(out, m.year, 1),
        b'z' => out.extend_from_slice(b"+0000"),
        _ => out.extend_from_slice(b"UTC"),
    }
}

/// Conversions whose letters stand between `separator`s.
fn each(pattern: &[u8], separator: u8, m: &Moment, out: &mut Vec<u8>) {
    for &byte in pattern {
        if byte == separator {
            out.push(byte);
        } else {
            field(byte, m, out);
        }
    }
}
