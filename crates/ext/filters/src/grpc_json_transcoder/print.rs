//! Messages as JSON, written as C++'s protobuf writes it.

use std::io::{self, Write};

use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

/// `print_options`.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    pub(super) options: SerializeOptions,
    pub(super) whitespace: bool,
}

impl Printer {
    /// # Errors
    /// What of the message JSON can't say.
    pub(super) fn print(&self, message: &DynamicMessage, out: &mut Vec<u8>) -> Result<(), String> {
        let done = match self.whitespace {
            false => self.print_with(message, CompactFormatter, out),
            true => self.print_with(message, PrettyFormatter::with_indent(b" "), out),
        };
        if self.whitespace {
            out.push(b'\n');
        }
        done.map_err(|error| error.to_string())
    }

    fn print_with<F: Formatter>(
        &self,
        message: &DynamicMessage,
        layout: F,
        out: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        let serializer = &mut Serializer::with_formatter(out, AsProtobuf(layout));
        message.serialize_with_options(serializer, &self.options)
    }
}

/// A layout whose texts and numbers are protobuf's.
struct AsProtobuf<F>(F);

impl<F: Formatter> Formatter for AsProtobuf<F> {
    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        let short = general(f64::from(value), 6);
        let exact = short.parse::<f32>() == Ok(value);
        let text = if exact { short } else { general(f64::from(value), 9) };
        writer.write_all(text.as_bytes())
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let short = general(value, 15);
        let exact = short.parse::<f64>() == Ok(value);
        let text = if exact { short } else { general(value, 17) };
        writer.write_all(text.as_bytes())
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        text: &str,
    ) -> io::Result<()> {
        // What could end a script in a page of HTML, or a line of one.
        const KEPT_OUT: [char; 5] = ['<', '>', '\u{7f}', '\u{2028}', '\u{2029}'];
        let mut left = text;
        while let Some(at) = left.find(KEPT_OUT) {
            writer.write_all(&left.as_bytes()[..at])?;
            let mut behind = left[at..].chars();
            if let Some(kept_out) = behind.next() {
                write!(writer, "\\u{:04x}", u32::from(kept_out))?;
            }
            left = behind.as_str();
        }
        writer.write_all(left.as_bytes())
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// C's `%.<digits>g`.
fn general(value: f64, digits: usize) -> String {
    let scientific = format!("{:.*e}", digits - 1, value);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    let largest = i32::try_from(digits).unwrap_or(i32::MAX);
    if (-4..largest).contains(&exponent) {
        let decimals = usize::try_from(largest - 1 - exponent).unwrap_or(0);
        return trimmed(&format!("{value:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_does() {
        for (value, digits, expected) in [
            (0.0, 15, "0"),
            (-0.0, 15, "-0"),
            (1e20, 15, "1e+20"),
            (100_000.0, 15, "100000"),
            (1e-7, 15, "1e-07"),
            (0.0001, 15, "0.0001"),
            (123_456.789, 15, "123456.789"),
            (1e15, 15, "1e+15"),
            (1e14, 15, "100000000000000"),
            (0.1, 17, "0.10000000000000001"),
            (5e-324, 15, "4.94065645841247e-324"),
            (1e6, 6, "1e+06"),
        ] {
            assert_eq!(general(value, digits), expected);
        }
    }
}
