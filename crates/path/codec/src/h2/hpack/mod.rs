//! Fields as HTTP/2 compresses them (RFC 7541).

mod codes;
mod decode;
mod encode;
mod huffman;
mod known;
mod table;

#[cfg(test)]
use decode::BadBlock;
pub(super) use decode::{Decoder, Field};
pub(super) use encode::Encoder;

/// A prefixed integer (RFC 7541 section 5.1): `bits` wide at first, behind `flags`.
fn put_integer(out: &mut Vec<u8>, flags: u8, bits: u8, value: usize) {
    let most = (1usize << bits) - 1;
    if value < most {
        out.push(flags | value as u8);
        return;
    }
    out.push(flags | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use dragoman_types::HeaderId;

    use super::*;

    type Pair = (Vec<u8>, Vec<u8>);

    fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Pair>, BadBlock> {
        let mut fields = Vec::new();
        decoder.decode(block, |field| {
            assert!(field.sound);
            assert_eq!(field.id, HeaderId::of_lower(field.name));
            fields.push((field.name.to_vec(), field.value.to_vec()));
        })?;
        Ok(fields)
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<Pair> {
        let pair =
            |(name, value): &(&str, &str)| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        fields.iter().map(pair).collect()
    }

    /// RFC 7541 appendix C.4: three requests, with Huffman's codes.
    #[test]
    fn the_requests_of_the_specification_are_read() {
        let mut decoder = Decoder::new(4096);
        let first = hex("828684418cf1e3c2e5f23a6ba0ab90f4ff");
        let mut wanted = pairs(&[
            (":method", "GET"),
            (":scheme", "http"),
            (":path", "/"),
            (":authority", "www.example.com"),
        ]);
        assert_eq!(decoded(&mut decoder, &first).unwrap(), wanted);
        wanted.extend(pairs(&[("cache-control", "no-cache")]));
        assert_eq!(decoded(&mut decoder, &hex("828684be5886a8eb10649cbf")).unwrap(), wanted);
        let third = hex("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf");
        let wanted = pairs(&[
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ]);
        assert_eq!(decoded(&mut decoder, &third).unwrap(), wanted);
    }

    /// RFC 7541 appendix C.5: responses in a table of 256 bytes, which has to let fields go.
    #[test]
    fn the_responses_of_the_specification_are_read() {
        let mut decoder = Decoder::new(256);
        let mut table = decoder.clone();
        table.resize(256);
        decoder = table;
        let blocks = [
            "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54
             6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            "4803333037c1c0bf",
            "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d
             4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20766572
             73696f6e3d31",
        ];
        let seen: Vec<_> = blocks.iter().map(|b| decoded(&mut decoder, &hex(b)).unwrap()).collect();
        assert_eq!(seen[1][0], pairs(&[(":status", "307")])[0]);
        assert_eq!(seen[1][1..], seen[0][1..]);
        assert_eq!(seen[2][1], pairs(&[("cache-control", "private")])[0]);
        assert_eq!(seen[2][2], pairs(&[("date", "Mon, 21 Oct 2013 20:13:22 GMT")])[0]);
        assert_eq!(seen[2][5].0, b"set-cookie");
    }

    #[test]
    fn what_is_written_is_read_the_same() {
        let (mut encoder, mut decoder) = (Encoder::new(4096), Decoder::new(4096));
        let mut long = "x".repeat(5000);
        for round in 0..200 {
            let number = format!("{}", round % 7);
            long.push('y');
            let fields = pairs(&[
                (":method", "GET"),
                (":path", &number),
                (":status", "404"),
                ("x-request-id", &long[round..round + 30]),
                ("x-own", &number),
                ("x-own", "\u{1}é"),
                ("accept-encoding", "gzip, deflate"),
                ("content-length", &number),
                ("x-long", &long[..(round % 3) * 2500]),
                ("authorization", "secret"),
            ]);
            let mut block = Vec::new();
            encoder.begin(&mut block);
            for (name, value) in &fields {
                encoder.put(HeaderId::of_lower(name), name, value, &mut block);
            }
            let mut seen = Vec::new();
            decoder.decode(&block, |f| seen.push((f.name.to_vec(), f.value.to_vec()))).unwrap();
            assert_eq!(seen, fields);
            if round % 50 == 49 {
                encoder.limit([0, 100, 4096][round / 50 % 3]);
            }
        }
    }

    #[test]
    fn what_repeats_becomes_small() {
        let mut encoder = Encoder::new(4096);
        let mut block = |value: &[u8]| {
            let mut out = Vec::new();
            encoder.begin(&mut out);
            encoder.put(HeaderId::of_lower(b"x-own"), b"x-own", value, &mut out);
            out.len()
        };
        assert!(block(b"some value") > 10);
        assert_eq!(block(b"some value"), 1);
        assert!(block(b"another") < 10);
    }

    #[test]
    fn blocks_that_mean_nothing_are_refused() {
        let bad = [
            "80",                   // index 0
            "be",                   // nothing in the table
            "ffffffffffffffffff7f", // an index without end
            "4005",                 // a name that doesn't come
            "000a68",               // a value that doesn't come
            "0001610181ff",         // padding of a whole byte
            "00016181fe",           // padding that isn't the end's bits
            "00016184ffffffff",     // the end within a string
            "828220",               // the table's size behind fields
            "3fe21f",               // a table larger than allowed
            "0085f2b24a84ff",       // a name that ends in the middle
        ];
        for block in bad {
            let mut decoder = Decoder::new(4096);
            assert!(decoder.decode(&hex(block), |_| {}).is_err(), "{block}");
        }
        let mut decoder = Decoder::new(4096);
        assert!(decoder.decode(&hex("203fe11f82"), |_| {}).is_ok());
    }

    #[test]
    fn unsound_fields_are_told_each_time() {
        let mut decoder = Decoder::new(4096);
        for name in ["X", "a b", "", "x\"y", "x\u{7f}"] {
            let mut block = vec![0x40, name.len() as u8];
            block.extend_from_slice(name.as_bytes());
            block.extend_from_slice(b"\x01v\xbe");
            let mut sound = Vec::new();
            decoder.decode(&block, |field| sound.push(field.sound)).unwrap();
            assert_eq!(sound, [false, false], "{name:?}");
        }
        for (value, wanted) in
            [("a\0", false), ("\r", false), ("\n", false), ("\t", true), ("é", true)]
        {
            let mut block = vec![0x00, 1, b'a', value.len() as u8];
            block.extend_from_slice(value.as_bytes());
            decoder.decode(&block, |field| assert_eq!(field.sound, wanted, "{value:?}")).unwrap();
        }
    }
}
