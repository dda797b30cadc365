//! Reads a time format. What Envoy prints unchanged (unknown letters) is a literal here too; flags and
//! widths, whose output depends on the C library, are refused.

use super::{Item, TimeFormat};

const LETTERS: &[u8] = b"aAbBcCdDeFgGhHIjklmMpPrRSTuUVwWxXyYzZ";

impl TimeFormat {
    /// `utc_offset`: the default format's ending, `Z` or `+0000`.
    pub(crate) fn parse(text: &str, utc_offset: &'static [u8]) -> Result<TimeFormat, String> {
        if text.is_empty() {
            return Ok(TimeFormat::Iso { suffix: utc_offset });
        }
        let mut items = Vec::new();
        let mut rest = text.as_bytes();
        while let Some(&byte) = rest.first() {
            let used = if byte == b'%' { conversion(rest, &mut items)? } else { 0 };
            if used == 0 {
                literal(&mut items, &rest[..1]);
                rest = &rest[1..];
            } else {
                rest = &rest[used..];
            }
        }
        let iso = TimeFormat::Iso { suffix: b"Z" };
        let items = TimeFormat::Items(items.into());
        let spelled = "%Y-%m-%dT%H:%M:%S.%3fZ";
        Ok(if text == spelled { iso } else { items })
    }
}

fn literal(items: &mut Vec<Item>, bytes: &[u8]) {
    if let Some(Item::Literal(last)) = items.last_mut() {
        let mut joined = std::mem::take(last).into_vec();
        joined.extend_from_slice(bytes);
        *last = joined.into();
    } else {
        items.push(Item::Literal(bytes.into()));
    }
}

/// Reads the conversion at the start of `rest` (a `%`); how many bytes it took, 0 for a plain `%`.
fn conversion(rest: &[u8], items: &mut Vec<Item>) -> Result<usize, String> {
    let Some(&letter) = rest.get(1) else { return Ok(0) };
    match letter {
        b'%' => literal(items, b"%"),
        b't' => literal(items, b"\t"),
        b'n' => return Err("a newline (%n) isn't allowed in a time".into()),
        b's' => items.push(Item::Epoch),
        b'f' => items.push(Item::Fraction(9)),
        b'1'..=b'9' if rest.get(2) == Some(&b'f') => {
            items.push(Item::Fraction(letter - b'0'));
            return Ok(3);
        }
        b'E' => return extended(rest, items),
        b'O' if rest.get(2).is_some_and(|l| b"deHImMSuUVwWy".contains(l)) => {
            items.push(Item::Field(rest[2]));
            return Ok(3);
        }
        _ if LETTERS.contains(&letter) => items.push(Item::Field(letter)),
        b'-' | b'_' | b'0'..=b'9' | b'^' | b'#' | b'+' | b'O' => {
            return Err(format!("flags and widths (%{}) aren't supported", letter as char));
        }
        _ => return Ok(0),
    }
    Ok(2)
}

/// `%E3S %E*S %E3f %E*f %Ez %E*z %ET %E4Y %Ey %EC`.
fn extended(rest: &[u8], items: &mut Vec<Item>) -> Result<usize, String> {
    let next = |at: usize| rest.get(at).copied().unwrap_or(0);
    let item = match (next(2), next(3)) {
        (0, _) => return Ok(0),
        (b'z', _) => return plain(items, b"+00:00", 3),
        (b'T', _) => return plain(items, b"T", 3),
        (letter @ (b'y' | b'C' | b'Y' | b'c' | b'x' | b'X'), _) => {
            items.push(Item::Field(letter));
            return Ok(3);
        }
        (b'*', b'z') => return plain(items, b"+00:00:00", 4),
        (b'*', b'S') => Item::Trimmed(true),
        (b'*', b'f') => Item::Trimmed(false),
        (b'4', b'Y') => Item::Field(b'Y'),
        (width @ b'0'..=b'9', b'S') => {
            items.push(Item::Field(b'S'));
            if width > b'0' {
                literal(items, b".");
            }
            Item::Fraction(width - b'0')
        }
        (width @ b'0'..=b'9', b'f') => Item::Fraction(width - b'0'),
        _ => return Err("this %E conversion isn't supported".into()),
    };
    items.push(item);
    Ok(4)
}

fn plain(items: &mut Vec<Item>, text: &[u8], used: usize) -> Result<usize, String> {
    literal(items, text);
    Ok(used)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::Calendar;
    use super::*;

    fn at(format: &str, seconds: u64, nanos: u32) -> String {
        let mut out = Vec::new();
        let time = UNIX_EPOCH + Duration::new(seconds, nanos);
        TimeFormat::parse(format, b"Z").unwrap().write(time, &mut Calendar::default(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_conversions_print_as_a_real_envoy_printed_them() {
        // Observed at Envoy 1.40 for 1795466360.032580 (a Monday).
        let (s, n) = (1_795_466_360, 32_580_000);
        assert_eq!(at("", s, n), "2026-11-23T20:39:20.032Z");
        assert_eq!(at("%s.%3f", s, n), "1795466360.032");
        assert_eq!(at("%s%3f%6f%9f%s", s, n), "17954663600320325800325800001795466360");
        assert_eq!(at("%f.%1f.%2f.%E3f.%8f", s, n), "032580000.0.03.032.03258000");
        assert_eq!(
            at("%a.%A.%b.%B.%c.%C.%d.%D.%e.%F.%g.%G.%h.%H.%I.%j.%k.%l.%m.%M", s, n),
            "Mon.Monday.Nov.November.Mon Nov 23 20:39:20 2026.20.23.11/23/26.23.2026-11-23.26.2026.\
             Nov.20.08.327.20. 8.11.39"
        );
        assert_eq!(
            at("%p.%P.%r.%R.%S.%T.%u.%U.%V.%w.%W.%x.%X.%y.%Y.%z.%Z", s, n),
            "PM.pm.08:39:20 PM.20:39.20.20:39:20.1.47.48.1.47.11/23/26.20:39:20.26.2026.+0000.UTC"
        );
        assert_eq!(
            at("%E3S.%E*S.%E*f.%Ez.%E*z.%ET.%E4Y.%Ey.%EC.%Od.%Q.%q.%i.%o.%v.%J", s, n),
            "20.032.20.03258.03258.+00:00.+00:00:00.T.2026.26.20.23.%Q.%q.%i.%o.%v.%J"
        );
        assert_eq!(at("%t%%%Q%E", s, n), "\t%%Q%E");
        assert_eq!(at("%E0S|%E0f|%E9f", s, n), "20||032580000");
    }

    #[test]
    fn dates_around_leap_days_and_year_ends() {
        let date = |seconds| at("%F %j %G-%V %U %W", seconds, 0);
        // Python's datetime.strftime gave these.
        assert_eq!(date(0), "1970-01-01 001 1970-01 00 00");
        assert_eq!(date(951_782_400), "2000-02-29 060 2000-09 09 09");
        assert_eq!(date(978_220_800), "2000-12-31 366 2000-52 53 52");
        assert_eq!(date(1_609_459_200), "2021-01-01 001 2020-53 00 00");
        assert_eq!(date(1_735_603_200), "2024-12-31 366 2025-01 52 53");
        assert_eq!(date(4_107_542_400), "2100-03-01 060 2100-09 09 09");
    }

    #[test]
    fn newlines_flags_and_widths_are_refused() {
        for bad in ["%n", "%-d", "%10f", "%_H", "%5n", "%Oz"] {
            assert!(TimeFormat::parse(bad, b"Z").is_err(), "{bad}");
        }
    }
}
