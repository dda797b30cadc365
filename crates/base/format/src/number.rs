//! Numbers of a JSON format as C++'s `to_chars` writes them: the shorter of the plain and the scientific
//! form, plain if they are as long.

pub(crate) fn number(value: f64) -> String {
    let scientific = scientific(value);
    let plain = plain(value);
    if plain.len() <= scientific.len() { plain } else { scientific }
}

/// Whole numbers with all their digits, others with as many as it takes to tell them apart.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value}") }
}

/// `1.5e+21`: a sign and at least two digits in the exponent.
fn scientific(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_print_as_a_real_envoy_printed_them() {
        for (value, text) in [
            (1e21, "1e+21"),
            (12_345_678_901_234_567_890.0, "12345678901234567168"),
            (123_456_789_012_345_680.0, "123456789012345680"),
            (1e17, "1e+17"),
            (1e10, "1e+10"),
            (1e5, "1e+05"),
            (1e4, "10000"),
            (123_456.0, "123456"),
            (1_200_000.0, "1200000"),
            (1e-7, "1e-07"),
            (0.001, "0.001"),
            (0.0001, "1e-04"),
            (0.00012, "0.00012"),
            (2.5e-10, "2.5e-10"),
            (f64::MAX, "1.7976931348623157e+308"),
            (1.0 / 3.0, "0.3333333333333333"),
            (-0.0, "-0"),
            (-3.0, "-3"),
            (1.1, "1.1"),
            (123_456.789, "123456.789"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
