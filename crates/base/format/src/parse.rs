//! The grammar: `%NAME%`, `%NAME(parameters)%`, `%NAME(parameters):length%`, `%%` for a percent sign.

use dragoman_types::Faults;

use crate::build::build;
use crate::op::Step;
use crate::table::{NAMES, REFUSED, Takes, tls};

/// A piece of a format.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Piece {
    Literal(Box<[u8]>),
    Step(Step),
}

/// What is wrong, without its place.
pub(crate) type Refusal = (&'static str, String);

/// Cuts `text` into pieces; every fault names its operator and the byte where it stands.
pub(crate) fn pieces(text: &str, faults: &mut Faults) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('%') {
        literal.extend_from_slice(&text.as_bytes()[at..at + found]);
        at += found;
        if text[at + 1..].starts_with('%') {
            literal.push(b'%');
            at += 2;
            continue;
        }
        let Some(token) = Token::read(&text[at..]) else {
            let message = format!(
                "no valid operator at position {at} of {text:?}; write %% for a percent sign"
            );
            faults.add("bad-format", message);
            return pieces;
        };
        match token.step() {
            Ok(step) => {
                flush(&mut pieces, &mut literal);
                pieces.push(Piece::Step(step));
            }
            Err((code, message)) => {
                faults.add(code, format!("%{}% at position {at}: {message}", token.name));
            }
        }
        at += token.used;
    }
    literal.extend_from_slice(&text.as_bytes()[at..]);
    flush(&mut pieces, &mut literal);
    pieces
}

fn flush(pieces: &mut Vec<Piece>, literal: &mut Vec<u8>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal).into()));
    }
}

/// One operator as written.
struct Token<'t> {
    name: &'t str,
    parameters: &'t str,
    length: Option<usize>,
    /// Bytes from `%` to `%`.
    used: usize,
}

/// `:digits` or nothing, then `%`: the length and how many bytes that was.
fn ending(rest: &str) -> Option<(Option<usize>, usize)> {
    if rest.starts_with('%') {
        return Some((None, 1));
    }
    let digits = rest.strip_prefix(':')?;
    let count = digits.bytes().take_while(u8::is_ascii_digit).count();
    let length = digits[..count].parse().ok()?;
    digits[count..].starts_with('%').then_some((Some(length), count + 2))
}

impl<'t> Token<'t> {
    /// `text` begins with the first `%`.
    fn read(text: &'t str) -> Option<Token<'t>> {
        let name_byte = |b: &u8| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_';
        let end = 1 + text.bytes().skip(1).take_while(name_byte).count();
        let name = &text[1..end];
        if name.is_empty() {
            return None;
        }
        let rest = &text[end..];
        let Some(inside) = rest.strip_prefix('(') else {
            let (length, tail) = ending(rest)?;
            return Some(Token { name, parameters: "", length, used: end + tail });
        };
        // The first `)` that an ending follows closes: parameters may hold brackets themselves.
        for (at, _) in inside.match_indices(')') {
            if inside[..at].contains('\n') {
                return None;
            }
            if let Some((length, tail)) = ending(&inside[at + 1..]) {
                let used = end + 1 + at + 1 + tail;
                return Some(Token { name, parameters: &inside[..at], length, used });
            }
        }
        None
    }

    fn step(&self) -> Result<Step, Refusal> {
        step(self.name, self.parameters, self.length)
    }
}

/// Compiles one operator.
pub(crate) fn step(name: &str, parameters: &str, length: Option<usize>) -> Result<Step, Refusal> {
    if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
        return Err(("unsupported-operator", (*why).to_owned()));
    }
    let listed = NAMES.iter().find(|(known, _)| *known == name).map(|(_, takes)| *takes);
    let Some(takes) = listed.or_else(|| tls(name)) else {
        return Err(("unknown-operator", format!("there is no such operator{}", guess(name))));
    };
    let bad = |message: &str| Err(("bad-operator", message.to_owned()));
    match takes {
        Takes::Nothing if !parameters.is_empty() || length.is_some() => {
            return bad("takes neither parameters nor a length");
        }
        Takes::Required | Takes::RequiredAll if parameters.is_empty() => {
            return bad("needs parameters");
        }
        Takes::Parameters | Takes::Required if length.is_some() => {
            return bad("takes no length");
        }
        _ => {}
    }
    build(name, parameters).map(|op| Step { op, length }).map_err(|why| ("bad-operator", why))
}

/// The known name that is nearest to a misspelled one.
fn guess(name: &str) -> String {
    let nearest = NAMES
        .iter()
        .map(|(known, _)| (distance(name, known), *known))
        .min()
        .filter(|(distance, known)| *distance * 3 <= known.len().max(name.len()));
    nearest.map_or_else(String::new, |(_, known)| format!("; did you mean %{known}%?"))
}

/// Levenshtein's distance in bytes; names are ASCII.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
