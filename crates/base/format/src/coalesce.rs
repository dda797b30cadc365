//! `%COALESCE({"operators": [...]})%`: the first of several operators that has a value. Its parameters
//! are JSON; this file holds the small reader for them.

use crate::op::Step;
use crate::parse::step;

/// Reads `{"operators": ["NAME", {"command": ..., "param": ..., "max_length": ...}]}`.
pub(crate) fn compile(parameters: &str) -> Result<Box<[Step]>, String> {
    let mut reader = Reader { rest: parameters };
    let config = reader.value(0).filter(|_| reader.at_end()).ok_or("its parameters aren't JSON")?;
    let Some(Json::List(operators)) = config.get("operators") else {
        return Err("its JSON must have an \"operators\" list".into());
    };
    if operators.is_empty() {
        return Err("the \"operators\" list is empty".into());
    }
    let compiled = operators
        .iter()
        .enumerate()
        .map(|(index, operator)| one(operator).map_err(|why| format!("operator {index}: {why}")));
    compiled.collect()
}

fn one(operator: &Json) -> Result<Step, String> {
    let (command, parameters, length) = match operator {
        Json::Text(command) => (command.as_str(), "", None),
        Json::Map(_) => {
            let Some(Json::Text(command)) = operator.get("command") else {
                return Err("needs a \"command\"".into());
            };
            let parameters = match operator.get("param") {
                None => "",
                Some(Json::Text(param)) => param,
                Some(_) => return Err("\"param\" must be a string".into()),
            };
            let length = match operator.get("max_length") {
                None => None,
                Some(Json::Number(n)) if *n >= 1.0 => Some(*n as usize),
                Some(_) => return Err("\"max_length\" must be a positive number".into()),
            };
            (command.as_str(), parameters, length)
        }
        _ => return Err("must be a name or an object".into()),
    };
    step(command, parameters, length).map_err(|(_, why)| format!("{command}: {why}"))
}

enum Json {
    Other,
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Map(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, v)| v),
            _ => None,
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
}

/// Nesting deeper than this is no operator list.
const DEEPEST: u32 = 16;

impl Reader<'_> {
    fn at_end(&self) -> bool {
        self.rest.trim_start().is_empty()
    }

    fn take(&mut self, wanted: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(wanted)?;
        Some(())
    }

    fn value(&mut self, depth: u32) -> Option<Json> {
        self.rest = self.rest.trim_start();
        match self.rest.bytes().next()? {
            _ if depth > DEEPEST => None,
            b'{' => self.map(depth),
            b'[' => self.list(depth),
            b'"' => self.text().map(Json::Text),
            b't' => self.take("true").map(|()| Json::Other),
            b'f' => self.take("false").map(|()| Json::Other),
            b'n' => self.take("null").map(|()| Json::Other),
            _ => {
                let number = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
                let (digits, rest) =
                    self.rest.split_at(self.rest.bytes().take_while(number).count());
                self.rest = rest;
                digits.parse().ok().map(Json::Number)
            }
        }
    }

    fn map(&mut self, depth: u32) -> Option<Json> {
        self.take("{")?;
        let mut fields = Vec::new();
        if self.take("}").is_some() {
            return Some(Json::Map(fields));
        }
        loop {
            self.rest = self.rest.trim_start();
            let key = self.text()?;
            self.take(":")?;
            fields.push((key, self.value(depth + 1)?));
            if self.take("}").is_some() {
                return Some(Json::Map(fields));
            }
            self.take(",")?;
        }
    }

    fn list(&mut self, depth: u32) -> Option<Json> {
        self.take("[")?;
        let mut items = Vec::new();
        if self.take("]").is_some() {
            return Some(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take("]").is_some() {
                return Some(Json::List(items));
            }
            self.take(",")?;
        }
    }

    fn text(&mut self) -> Option<String> {
        let mut chars = self.rest.strip_prefix('"')?.char_indices();
        let mut text = String::new();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = &self.rest[at + 2..];
                    return Some(text);
                }
                '\\' => text.push(match chars.next()?.1 {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'u' => {
                        let hex: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                        char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?
                    }
                    plain @ ('"' | '\\' | '/') => plain,
                    _ => return None,
                }),
                plain => text.push(plain),
            }
        }
        None
    }
}
