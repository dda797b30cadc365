//! Path templates of `google.api.http` rules, and the tree that finds the rule of a path.
//! Source: google/api/http.proto, "Path template syntax".

use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// A path template: `/shelves/{shelf}/books/{name=**}:look`.
#[derive(Debug, PartialEq)]
pub(super) struct Template {
    segments: Vec<Segment>,
    verb: String,
    pub(super) variables: Vec<Variable>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    /// `*`
    One,
    /// `**`: all that is left.
    Rest,
}

/// A field and the segments that it takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Variable {
    /// `shelf.id`
    pub(super) field: String,
    segments: Range<usize>,
    /// Its last segment is `**`.
    to_the_end: bool,
}

impl Variable {
    /// It may take several segments.
    pub(super) fn is_long(&self) -> bool {
        self.to_the_end || self.segments.len() > 1
    }

    /// The part of a path that it takes.
    pub(super) fn of(&self, path: &Path<'_>) -> String {
        let end = if self.to_the_end { path.segments.len() } else { self.segments.end };
        let start = self.segments.start.min(end);
        path.segments.get(start..end).unwrap_or_default().join("/")
    }
}

impl Template {
    /// # Errors
    /// What is wrong with the text.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut template =
            Template { segments: Vec::new(), verb: String::new(), variables: Vec::new() };
        let Some(mut left) = text.strip_prefix('/') else {
            return Err("a path begins with /".to_owned());
        };
        // A colon within a variable is none of a verb.
        if let Some((path, verb)) = left.rsplit_once(':').filter(|(_, verb)| !verb.contains('}')) {
            (left, template.verb) = (path, verb.to_owned());
        }
        while !left.is_empty() {
            left = match left.strip_prefix('{') {
                Some(variable) => {
                    let (inner, behind) =
                        variable.split_once('}').ok_or("a { without its }".to_owned())?;
                    template.add_variable(inner)?;
                    behind
                }
                None => {
                    let end = left.find('/').unwrap_or(left.len());
                    template.add_segment(&left[..end])?;
                    &left[end..]
                }
            };
            left = match left.strip_prefix('/') {
                Some("") => return Err("an empty segment at the end".to_owned()),
                Some(more) => more,
                None if left.is_empty() => left,
                None => return Err(format!("/ is missing before {left}")),
            };
        }
        match template.segments.iter().position(|segment| *segment == Segment::Rest) {
            Some(at) if at + 1 < template.segments.len() => Err("** must be the last".to_owned()),
            _ => Ok(template),
        }
    }

    fn add_variable(&mut self, inner: &str) -> Result<(), String> {
        let (field, segments) = inner.split_once('=').unwrap_or((inner, "*"));
        if field.is_empty() {
            return Err("a variable without a field".to_owned());
        }
        let start = self.segments.len();
        for segment in segments.split('/') {
            self.add_segment(segment)?;
        }
        self.variables.push(Variable {
            field: field.to_owned(),
            segments: start..self.segments.len(),
            to_the_end: self.segments.last() == Some(&Segment::Rest),
        });
        Ok(())
    }

    fn add_segment(&mut self, text: &str) -> Result<(), String> {
        self.segments.push(match text {
            "" => return Err("an empty segment".to_owned()),
            "*" => Segment::One,
            "**" => Segment::Rest,
            text if text.contains(['{', '}', '*', '=']) => {
                return Err(format!("{text:?} is no segment"));
            }
            text => Segment::Literal(text.to_owned()),
        });
        Ok(())
    }
}

/// A request's path, cut up.
#[derive(Debug)]
pub(super) struct Path<'a> {
    segments: Vec<&'a str>,
    verb: &'a str,
}

/// Finds what was registered for a method and a path: literals before `*` before `**`.
#[derive(Debug)]
pub(super) struct Tree<T> {
    root: Node<T>,
    verbs: HashSet<String>,
    /// A verb that no template has is one all the same.
    any_verb: bool,
}

#[derive(Debug)]
struct Node<T> {
    literals: HashMap<String, Node<T>>,
    one: Option<Box<Node<T>>>,
    /// By method, then by verb.
    rest: HashMap<String, HashMap<String, T>>,
    here: HashMap<String, HashMap<String, T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        let (literals, rest, here) = Default::default();
        Node { literals, one: None, rest, here }
    }
}

impl<T> Tree<T> {
    pub(super) fn new(any_verb: bool) -> Tree<T> {
        Tree { root: Node::default(), verbs: HashSet::new(), any_verb }
    }

    /// Of two with the same paths the first one stays; says whether it is new.
    pub(super) fn add(&mut self, method: &str, template: &Template, value: T) -> bool {
        let mut node = &mut self.root;
        let mut rest = false;
        for segment in &template.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.entry(text.clone()).or_default(),
                Segment::One => node.one.get_or_insert_default(),
                Segment::Rest => {
                    rest = true;
                    break;
                }
            };
        }
        if !template.verb.is_empty() {
            self.verbs.insert(template.verb.clone());
        }
        let places = if rest { &mut node.rest } else { &mut node.here };
        let by_verb = places.entry(method.to_owned()).or_default();
        let is_new = !by_verb.contains_key(&template.verb);
        by_verb.entry(template.verb.clone()).or_insert(value);
        is_new
    }

    /// Cuts a path without its query into segments; empty ones at its end are none.
    pub(super) fn cut<'p>(&self, path: &'p str) -> Path<'p> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (path, verb) = match path.rsplit_once(':') {
            Some((path, verb))
                if !verb.contains('/') && (self.any_verb || self.verbs.contains(verb)) =>
            {
                (path, verb)
            }
            _ => (path, ""),
        };
        let path = path.trim_end_matches('/');
        let segments = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        Path { segments, verb }
    }

    pub(super) fn find(&self, method: &str, path: &Path<'_>) -> Option<&T> {
        // Each level branches in two at most, and templates are as deep as they are written.
        self.root.find(method, path.verb, &path.segments)
    }
}

impl<T> Node<T> {
    fn find(&self, method: &str, verb: &str, left: &[&str]) -> Option<&T> {
        let at = |places: &HashMap<String, HashMap<String, T>>| {
            places.get(method).is_some_and(|by_verb| by_verb.contains_key(verb))
        };
        let Some((next, behind)) = left.split_first() else {
            let places = if at(&self.here) { &self.here } else { &self.rest };
            return places.get(method)?.get(verb);
        };
        let exact = self.literals.get(*next);
        exact
            .and_then(|node| node.find(method, verb, behind))
            .or_else(|| self.one.as_ref()?.find(method, verb, behind))
            .or_else(|| self.rest.get(method)?.get(verb))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(templates: &[&str]) -> Tree<usize> {
        let mut tree = Tree::new(false);
        for (at, text) in templates.iter().enumerate() {
            tree.add("GET", &Template::parse(text).expect(text), at);
        }
        tree
    }

    #[test]
    fn the_nearest_template_is_found() {
        let tree = tree(&["/a/b", "/a/*", "/a/**", "/a/*/c", "/x/{y=a/*}:do", "/"]);
        for (path, expected) in [
            ("/a/b", Some(0)),
            ("/a/b/", Some(0)),
            ("/a/x", Some(1)),
            ("/a/b/c", Some(3)),
            ("/a/b/d", Some(2)),
            ("/a", Some(2)),
            ("/x/a/1:do", Some(4)),
            ("/x/a/1", None),
            ("/a/x:do", None),
            ("/a/x:other", Some(1)),
            ("", Some(5)),
            ("/b", None),
        ] {
            assert_eq!(tree.find("GET", &tree.cut(path)).copied(), expected, "{path}");
        }
        assert_eq!(tree.find("POST", &tree.cut("/a/b")), None);
    }

    #[test]
    fn variables_take_their_segments() {
        let template = Template::parse("/v/{a}/x/{b.c=y/**}").expect("a template");
        let mut tree = Tree::new(false);
        tree.add("GET", &template, ());
        let path = tree.cut("/v/1/x/y/2//3/");
        assert!(tree.find("GET", &path).is_some());
        let taken: Vec<_> =
            template.variables.iter().map(|v| (v.field.as_str(), v.of(&path))).collect();
        assert_eq!(taken, [("a", "1".to_owned()), ("b.c", "y/2//3".to_owned())]);
        assert_eq!(template.variables[1].of(&tree.cut("/v/1/x")), "");
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in
            ["", "a", "/a/", "//a", "/{a", "/{}", "/{a=}", "/{a}b", "/**/a", "/a*", "/{a=**}/b"]
        {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
