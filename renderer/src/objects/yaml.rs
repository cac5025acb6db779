//! One YAML document to JSON, as `sigs.k8s.io/yaml` does it: duplicate keys and merges in the order of the text, the last
//! one winning. Depth, aliases and size are bounded while it is built, not afterwards.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, options};
use serde_json::{Map, Value};

use super::scalar::{self, ScalarError};

/// Where YAML's own tags live; any other makes a text.
const YAML_TAGS: &str = "tag:yaml.org,2002:";

/// How large a document may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Nested levels. `serde_json` reads 128 back.
    pub(crate) depth: usize,
    /// Nodes, aliases counted as what they stand for.
    pub(crate) nodes: usize,
    /// Bytes of text, aliases counted as what they stand for.
    pub(crate) bytes: usize,
}

impl Bounds {
    pub(crate) const DEFAULT: Self = Self {
        depth: 100,
        nodes: 1_000_000,
        bytes: 64 << 20,
    };
}

/// Why a text isn't a document, and at which of its lines (from 1).
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {cause}")]
pub(crate) struct YamlError {
    pub(crate) line: usize,
    pub(crate) cause: YamlCause,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum YamlCause {
    #[error("{0}")]
    Syntax(String),
    #[error(transparent)]
    Scalar(#[from] ScalarError),
    #[error("a merge (`<<`) takes mappings only")]
    Merge,
    #[error("over {0} nested levels")]
    Depth(usize),
    #[error("over {0} values, with aliases counted as what they stand for")]
    Nodes(usize),
    #[error("over {0} bytes, with aliases counted as what they stand for")]
    Bytes(usize),
}

/// The first document of a text; `None` if there is none, or if it is empty.
pub(crate) fn document(text: &str, bounds: Bounds) -> Result<Option<Value>, YamlError> {
    Ok(weighed(text, bounds)?.map(|(value, _)| value))
}

/// Like [`document`], with about how many bytes it would have as JSON.
pub(crate) fn weighed(text: &str, bounds: Bounds) -> Result<Option<(Value, usize)>, YamlError> {
    /// Quotes and what separates it from the next.
    const AROUND: usize = 4;
    let options = options! { emit_comments: false };
    let mut builder = Builder {
        events: Parser::new_from_str_with_options(text, options),
        anchors: HashMap::new(),
        bounds,
        weight: Weight::default(),
        copies: Weight::default(),
        line: 1,
    };
    loop {
        match builder.next()? {
            Event::StreamEnd => return Ok(None),
            Event::StreamStart | Event::DocumentStart(..) => {}
            event => {
                let (value, _) = builder.node(event, 0)?;
                let Weight { nodes, bytes } = builder.weight;
                return Ok((!value.is_null()).then_some((value, bytes + AROUND * nodes)));
            }
        }
    }
}

/// What a node costs, everything below it included.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
}

impl Weight {
    fn plus(self, nodes: usize, bytes: usize) -> Self {
        Self {
            nodes: self.nodes.saturating_add(nodes),
            bytes: self.bytes.saturating_add(bytes),
        }
    }
}

struct Anchor {
    value: Value,
    weight: Weight,
}

struct Builder<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Anchor>,
    bounds: Bounds,
    weight: Weight,
    /// What is kept for aliases to come: an anchor in an anchor in an anchor is a copy each.
    copies: Weight,
    line: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<Event<'a>, YamlError> {
        loop {
            match self.events.next_event() {
                None => return Ok(Event::StreamEnd),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => {
                    self.line = line(&span);
                    return Ok(event);
                }
                Some(Err(error)) => {
                    let said = error.info();
                    return Err(YamlError {
                        line: error.marker().line(),
                        // The parser reads ahead of us, and has a bound of its own.
                        cause: if said == "recursion limit exceeded" {
                            YamlCause::Depth(self.bounds.depth)
                        } else {
                            YamlCause::Syntax(said)
                        },
                    });
                }
            }
        }
    }

    fn fail(&self, cause: impl Into<YamlCause>) -> YamlError {
        YamlError {
            line: self.line,
            cause: cause.into(),
        }
    }

    /// The node that `event` starts, and whether it is the plain scalar `<<`.
    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<(Value, bool), YamlError> {
        if depth > self.bounds.depth {
            return Err(self.fail(YamlCause::Depth(self.bounds.depth)));
        }
        let before = self.weight;
        match event {
            Event::Alias(id) => {
                // An anchor whose node isn't finished contains itself.
                let Some(Anchor { value, weight }) = self.anchors.get(&id) else {
                    return Err(self.fail(YamlCause::Syntax(
                        "an alias that stands for a value around it".to_owned(),
                    )));
                };
                let (value, weight) = (value.clone(), *weight);
                self.grow(weight.nodes, weight.bytes)?;
                Ok((value, false))
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.grow(1, text.len())?;
                let plain = style == ScalarStyle::Plain;
                let tag = tag
                    .as_deref()
                    .map(|tag| tag.suffix_in_namespace(YAML_TAGS).unwrap_or("str".into()));
                let tag = tag.as_deref();
                let merge = text == "<<" && (plain && tag.is_none() || tag == Some("merge"));
                let value = scalar::resolve(&text, tag, plain).map_err(|error| self.fail(error))?;
                self.remember(anchor, &value, before)?;
                Ok((value, merge))
            }
            Event::SequenceStart(_, anchor, _) => {
                self.grow(1, 0)?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        event => items.push(self.node(event, depth + 1)?.0),
                    }
                }
                let value = Value::Array(items);
                self.remember(anchor, &value, before)?;
                Ok((value, false))
            }
            Event::MappingStart(_, anchor, _) => {
                self.grow(1, 0)?;
                let value = Value::Object(self.mapping(depth)?);
                self.remember(anchor, &value, before)?;
                Ok((value, false))
            }
            other => Err(self.fail(YamlCause::Syntax(format!("unexpected {other:?}")))),
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Map<String, Value>, YamlError> {
        let mut fields = Map::new();
        loop {
            let (key, merge) = match self.next()? {
                Event::MappingEnd => return Ok(fields),
                event => self.node(event, depth + 1)?,
            };
            let event = self.next()?;
            let (value, _) = self.node(event, depth + 1)?;
            if merge {
                self.merge(&mut fields, value)?;
            } else {
                fields.insert(scalar::key(key).map_err(|error| self.fail(error))?, value);
            }
        }
    }

    fn merge(&self, fields: &mut Map<String, Value>, value: Value) -> Result<(), YamlError> {
        match value {
            Value::Object(merged) => fields.extend(merged),
            Value::Array(items) => {
                // Of several mappings the first wins: it is put in last.
                for item in items.into_iter().rev() {
                    let Value::Object(merged) = item else {
                        return Err(self.fail(YamlCause::Merge));
                    };
                    fields.extend(merged);
                }
            }
            _ => return Err(self.fail(YamlCause::Merge)),
        }
        Ok(())
    }

    fn grow(&mut self, nodes: usize, bytes: usize) -> Result<(), YamlError> {
        self.weight = self.weight.plus(nodes, bytes);
        self.check(self.weight)
    }

    fn check(&self, weight: Weight) -> Result<(), YamlError> {
        if weight.nodes > self.bounds.nodes {
            return Err(self.fail(YamlCause::Nodes(self.bounds.nodes)));
        }
        if weight.bytes > self.bounds.bytes {
            return Err(self.fail(YamlCause::Bytes(self.bounds.bytes)));
        }
        Ok(())
    }

    fn remember(&mut self, anchor: usize, value: &Value, before: Weight) -> Result<(), YamlError> {
        if anchor != 0 {
            let weight = Weight {
                nodes: self.weight.nodes - before.nodes,
                bytes: self.weight.bytes - before.bytes,
            };
            self.copies = self.copies.plus(weight.nodes, weight.bytes);
            self.check(self.copies)?;
            self.anchors.insert(
                anchor,
                Anchor {
                    value: value.clone(),
                    weight,
                },
            );
        }
        Ok(())
    }
}

fn line(span: &Span) -> usize {
    span.start.line()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Value {
        document(text, Bounds::DEFAULT).unwrap().unwrap()
    }

    fn refused(text: &str, bounds: Bounds) -> String {
        document(text, bounds).unwrap_err().to_string()
    }

    #[test]
    fn anchors_in_anchors_are_copies_and_count() {
        let bounds = Bounds {
            depth: 100,
            nodes: 1000,
            bytes: 1000,
        };
        let nested = |levels: usize| {
            let open: Vec<_> = (0..levels).map(|level| format!("&a{level} [")).collect();
            let open = open.concat();
            format!("{open}{}{}", "x".repeat(100), "]".repeat(levels))
        };
        assert!(document(&nested(5), bounds).is_ok());
        assert!(refused(&nested(50), bounds).contains("over 1000 bytes, with aliases counted"));
    }

    #[test]
    fn a_document_without_content_is_none() {
        for text in ["", "# only a comment\n", "---\n", "---\nnull\n", "~"] {
            assert!(
                document(text, Bounds::DEFAULT).unwrap().is_none(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn merges_and_duplicates_win_in_the_order_of_the_text() {
        assert_eq!(parse("a: 1\na: 2\n"), json!({"a": 2}));
        let anchors = "base: &base {a: 1, b: 1}\nother: &other {a: 2, c: 2}\n";
        assert_eq!(
            parse(&format!("{anchors}x: {{<<: *base, a: 3}}"))["x"],
            json!({"a": 3, "b": 1})
        );
        assert_eq!(
            parse(&format!("{anchors}x: {{a: 3, <<: *base}}"))["x"],
            json!({"a": 1, "b": 1})
        );
        assert_eq!(
            parse(&format!("{anchors}x: {{<<: [*base, *other]}}"))["x"],
            json!({"a": 1, "b": 1, "c": 2})
        );
        assert_eq!(parse("'<<': 1"), json!({"<<": 1}));
    }

    #[test]
    fn json_is_yaml() {
        assert_eq!(
            parse(r#"{"a": [1, "x", null, {"b": true}]}"#),
            json!({"a": [1, "x", null, {"b": true}]})
        );
    }

    #[test]
    fn tags_decide_and_foreign_ones_make_text() {
        assert_eq!(
            parse("a: !!str 1\nb: !!binary aGk=\nc: !mine 1\n"),
            json!({"a": "1", "b": "hi", "c": "1"})
        );
    }

    #[test]
    fn keys_that_are_no_strings_become_some() {
        assert_eq!(
            parse("80: a\nyes: b\n1.5: c\n"),
            json!({"80": "a", "true": "b", "1.5": "c"})
        );
        assert!(document("? [a]\n: b\n", Bounds::DEFAULT).is_err());
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        assert_eq!(
            document("a: 1\nb: [\n", Bounds::DEFAULT).unwrap_err().line,
            2
        );
        assert!(refused("a: b: c\n", Bounds::DEFAULT).starts_with("line 1"));
        assert!(refused("a: *nothing\n", Bounds::DEFAULT).starts_with("line 1"));
    }

    #[test]
    fn aliases_count_as_what_they_stand_for() {
        let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n";
        assert!(
            refused(
                bomb,
                Bounds {
                    nodes: 5_000,
                    ..Bounds::DEFAULT
                }
            )
            .contains("over 5000 values")
        );
        let long = format!("a: &a {}\nb: [*a, *a, *a, *a]\n", "x".repeat(1000));
        assert!(
            refused(
                &long,
                Bounds {
                    bytes: 3_000,
                    ..Bounds::DEFAULT
                }
            )
            .contains("over 3000 bytes")
        );
        assert!(refused("a: &a [*a]\n", Bounds::DEFAULT).starts_with("line 1"));
    }

    #[test]
    fn depth_is_bounded() {
        assert!(
            refused(
                &format!("{}{}", "[".repeat(200), "]".repeat(200)),
                Bounds::DEFAULT
            )
            .contains("over 100 nested levels")
        );
        assert!(document(&"[".repeat(100_000), Bounds::DEFAULT).is_err());
    }
}
