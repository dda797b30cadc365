//! A format of JSON: one object a line, keys sorted. A string that is a single operator keeps its type
//! (numbers, `null` where missing); what never changes is rendered while compiling.

use dragoman_proto::pb::google::protobuf::{Struct, Value, value::Kind};
use dragoman_types::{Facts, Faults};

use crate::escape::escape;
use crate::number::number;
use crate::op::{Step, Wrote};
use crate::parse::{Piece, pieces};
use crate::scratch::Scratch;

/// A compiled JSON format.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonFormat {
    root: Box<[(Key, Node)]>,
    omit_empty_values: bool,
}

/// `"name":`, escaped.
type Key = Box<[u8]>;

#[derive(Clone, Debug, PartialEq)]
enum Node {
    /// Rendered already.
    Static(Box<[u8]>),
    Null,
    /// A single operator.
    Typed(Step),
    /// A string of several pieces.
    Text(Box<[Piece]>),
    List(Box<[Node]>),
    Map(Box<[(Key, Node)]>),
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    escape(text, &mut out);
    out.push(b'"');
    out
}

fn fields(message: &Struct, faults: &mut Faults) -> Box<[(Key, Node)]> {
    let mut names: Vec<&String> = message.fields.keys().collect();
    names.sort_unstable();
    let field = |name: &String| {
        let mut key = quoted(name.as_bytes());
        key.push(b':');
        let node = node(name, &message.fields[name], faults);
        (key.into(), node)
    };
    names.into_iter().map(field).collect()
}

/// `name` is the field's, with the indices of the lists that the value lies in.
fn node(name: &str, value: &Value, faults: &mut Faults) -> Node {
    let rendered = |text: &str| Node::Static(text.as_bytes().into());
    match &value.kind {
        None | Some(Kind::NullValue(_)) => Node::Null,
        Some(Kind::BoolValue(true)) => rendered("true"),
        Some(Kind::BoolValue(false)) => rendered("false"),
        Some(Kind::NumberValue(value)) => rendered(&number(*value)),
        Some(Kind::StringValue(text)) => faults.field(name, |f| string(pieces(text, f))),
        Some(Kind::StructValue(message)) => Node::Map(faults.field(name, |f| fields(message, f))),
        Some(Kind::ListValue(list)) => {
            let item =
                |(index, value): (usize, &Value)| node(&format!("{name}[{index}]"), value, faults);
            Node::List(list.values.iter().enumerate().map(item).collect())
        }
    }
}

fn string(mut pieces: Vec<Piece>) -> Node {
    match pieces.as_slice() {
        [] => Node::Static(b"\"\""[..].into()),
        [Piece::Literal(text)] => Node::Static(quoted(text).into()),
        [Piece::Step(_)] => match pieces.pop() {
            Some(Piece::Step(step)) => Node::Typed(step),
            _ => Node::Null,
        },
        _ => {
            for piece in &mut pieces {
                if let Piece::Literal(text) = piece {
                    let mut escaped = Vec::new();
                    escape(text, &mut escaped);
                    *text = escaped.into();
                }
            }
            Node::Text(pieces.into())
        }
    }
}

impl JsonFormat {
    /// `omit_empty_values` drops what is null, and objects that are left empty.
    pub fn compile(format: &Struct, omit_empty_values: bool, faults: &mut Faults) -> JsonFormat {
        JsonFormat { root: fields(format, faults), omit_empty_values }
    }

    /// Appends the object and a newline.
    pub fn write(&self, facts: &Facts<'_>, scratch: &mut Scratch, out: &mut Vec<u8>) {
        let mut writer = Writer { facts, scratch, omit: self.omit_empty_values };
        writer.map(&self.root, out);
        out.push(b'\n');
    }
}

struct Writer<'w, 'f> {
    facts: &'w Facts<'f>,
    scratch: &'w mut Scratch,
    omit: bool,
}

impl Writer<'_, '_> {
    /// Appends a node; `false` if it has no value and is to be left out.
    fn node(&mut self, node: &Node, out: &mut Vec<u8>) -> bool {
        match node {
            Node::Static(text) => out.extend_from_slice(text),
            Node::Null => return self.null(out),
            Node::Typed(step) => return self.typed(step, out),
            Node::Text(pieces) => self.text(pieces, out),
            Node::List(nodes) => self.list(nodes, out),
            Node::Map(fields) => return self.map(fields, out) || !self.omit,
        }
        true
    }

    fn null(&self, out: &mut Vec<u8>) -> bool {
        if !self.omit {
            out.extend_from_slice(b"null");
        }
        !self.omit
    }

    fn typed(&mut self, step: &Step, out: &mut Vec<u8>) -> bool {
        let mut value = std::mem::take(&mut self.scratch.value);
        value.clear();
        let wrote = step.write_typed(self.facts, self.scratch, &mut value);
        match wrote {
            Wrote::Nothing => {}
            Wrote::Json => out.extend_from_slice(&value),
            Wrote::Text => {
                out.push(b'"');
                escape(&value, out);
                out.push(b'"');
            }
        }
        self.scratch.value = value;
        wrote != Wrote::Nothing || self.null(out)
    }

    fn text(&mut self, pieces: &[Piece], out: &mut Vec<u8>) {
        let mut value = std::mem::take(&mut self.scratch.value);
        out.push(b'"');
        for piece in pieces {
            match piece {
                Piece::Literal(escaped) => out.extend_from_slice(escaped),
                Piece::Step(step) => {
                    value.clear();
                    match step.write(self.facts, self.scratch, &mut value) {
                        Wrote::Nothing if self.omit => {}
                        Wrote::Nothing => out.push(b'-'),
                        _ => escape(&value, out),
                    }
                }
            }
        }
        out.push(b'"');
        self.scratch.value = value;
    }

    fn list(&mut self, nodes: &[Node], out: &mut Vec<u8>) {
        out.push(b'[');
        let start = out.len();
        for node in nodes {
            let before = out.len();
            if before > start {
                out.push(b',');
            }
            if !self.node(node, out) {
                out.truncate(before);
            }
        }
        out.push(b']');
    }

    /// `false` if nothing is in it.
    fn map(&mut self, fields: &[(Key, Node)], out: &mut Vec<u8>) -> bool {
        out.push(b'{');
        let start = out.len();
        for (key, node) in fields {
            let before = out.len();
            if before > start {
                out.push(b',');
            }
            out.extend_from_slice(key);
            if !self.node(node, out) {
                out.truncate(before);
            }
        }
        let filled = out.len() > start;
        out.push(b'}');
        filled
    }
}
