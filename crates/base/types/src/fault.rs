//! What is wrong with a configuration, said with the field's path so that the reader of the file is
//! pointed at file:line:column.

use std::fmt;

/// One fault of a published resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Field path inside the resource, e.g. `virtual_hosts[0].routes[1].match.safe_regex.regex`.
    pub path: String,
    /// Stable kebab-case code, e.g. `bad-regex`.
    pub code: &'static str,
    /// What was wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}]", self.path, self.message, self.code)
    }
}

/// Collects every fault of a compilation while a path is kept: all are reported, not the first.
#[derive(Debug, Default)]
pub struct Faults {
    path: String,
    found: Vec<Fault>,
}

impl Faults {
    pub fn new() -> Faults {
        Faults::default()
    }

    /// Runs `f` with `.field` added to the path.
    pub fn field<T>(&mut self, field: &str, f: impl FnOnce(&mut Faults) -> T) -> T {
        let before = self.path.len();
        if before > 0 {
            self.path.push('.');
        }
        self.path.push_str(field);
        let out = f(self);
        self.path.truncate(before);
        out
    }

    /// Runs `f` with `.field[index]` added to the path.
    pub fn item<T>(&mut self, field: &str, index: usize, f: impl FnOnce(&mut Faults) -> T) -> T {
        self.field(&format!("{field}[{index}]"), f)
    }

    /// Records a fault at the present path.
    pub fn add(&mut self, code: &'static str, message: impl Into<String>) {
        self.found.push(Fault { path: self.path.clone(), code, message: message.into() });
    }

    /// Records a fault at a field below the present path.
    pub fn add_at(&mut self, field: &str, code: &'static str, message: impl Into<String>) {
        self.field(field, |faults| faults.add(code, message));
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn len(&self) -> usize {
        self.found.len()
    }

    pub fn into_vec(self) -> Vec<Fault> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_follows_the_nesting() {
        let mut faults = Faults::new();
        faults.item("virtual_hosts", 2, |f| f.field("name", |f| f.add("empty", "is empty")));
        faults.add_at("name", "empty", "is empty");
        let paths: Vec<_> = faults.into_vec().into_iter().map(|f| f.path).collect();
        assert_eq!(paths, ["virtual_hosts[2].name", "name"]);
    }
}
