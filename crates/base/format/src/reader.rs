//! A small reader of JSON for the one operator whose parameters are JSON: configuration, never traffic.

/// A JSON value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

impl Json {
    /// `None`: not JSON, or nested too deep.
    pub(crate) fn read(text: &str) -> Option<Json> {
        let mut reader = Reader { rest: text };
        reader.value(0).filter(|_| reader.rest.trim_start().is_empty())
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Map(fields) => fields.iter().find(|(name, _)| name == key).map(|(_, v)| v),
            _ => None,
        }
    }
}

struct Reader<'t> {
    rest: &'t str,
}

/// Nesting deeper than this is refused.
const DEEPEST: u32 = 16;

impl Reader<'_> {
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
            b't' => self.take("true").map(|()| Json::Bool(true)),
            b'f' => self.take("false").map(|()| Json::Bool(false)),
            b'n' => self.take("null").map(|()| Json::Null),
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
