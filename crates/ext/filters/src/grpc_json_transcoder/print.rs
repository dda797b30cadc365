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
        let serializer = &mut Serializer::with_formatter(out, AsProtobuf { layout, depth: 0 });
        message.serialize_with_options(serializer, &self.options)
    }
}

/// How deep objects and arrays may lie in each other. Decoding has such a limit too, but each
/// `google.protobuf.Any` begins anew there.
const DEEPEST: u32 = 128;

/// A layout whose texts and numbers are protobuf's.
struct AsProtobuf<F> {
    layout: F,
    depth: u32,
}

impl<F> AsProtobuf<F> {
    fn deeper(&mut self) -> io::Result<()> {
        self.depth += 1;
        match self.depth > DEEPEST {
            true => Err(io::Error::other("its parts lie too deep in each other")),
            false => Ok(()),
        }
    }
}

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
        self.layout.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.deeper()?;
        self.layout.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        self.layout.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.layout.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.deeper()?;
        self.layout.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        self.layout.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.layout.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.layout.end_object_value(writer)
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
    use dragoman_proto::Message;
    use dragoman_proto::pb::google::protobuf::Any;
    use prost_reflect::DescriptorPool;

    use super::*;

    #[test]
    fn what_lies_too_deep_is_refused() {
        let set = include_bytes!("../../../../../tests/differential/files/grpc/library.binpb");
        let pool = DescriptorPool::decode(&set[..]).expect("a set of descriptors");
        let kind = pool.get_message_by_name("google.protobuf.Any").expect("it imports it");
        let print = |levels: usize| {
            let any = |name: &str, value| {
                let type_url = format!("type.googleapis.com/{name}");
                Any { type_url, value }.encode_to_vec()
            };
            let mut bytes = any("library.Place", Vec::new());
            for _ in 0..levels {
                bytes = any("google.protobuf.Any", bytes);
            }
            let message = DynamicMessage::decode(kind.clone(), bytes.as_slice()).expect("an Any");
            let printer = Printer { options: SerializeOptions::new(), whitespace: false };
            printer.print(&message, &mut Vec::new())
        };
        assert_eq!(print(100), Ok(()));
        assert!(print(5000).is_err_and(|why| why.contains("too deep")));
    }

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
