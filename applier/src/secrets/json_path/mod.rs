//! `jsonPath`: kubectl's dialect (`{.a['b'][0]}{':'}{range .c[*]}{.d}{end}`), over JSON that is walked and never built up, so
//! that no copy of a value is left behind.
//!
//! `parse` (expression → parts) → `evaluate` (parts and JSON → text).

mod evaluate;
mod parse;

use serde_json::value::RawValue;
use zeroize::Zeroizing;

/// What is wrong with an expression, or what it doesn't find; names parts of the expression, never of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the expression isn't complete: {0} is missing")]
    Incomplete(&'static str),
    #[error("{0:?} can't be read in an expression")]
    Unreadable(String),
    #[error("{0} is not found")]
    NotFound(String),
    #[error("index {0} is out of bounds")]
    OutOfBounds(i64),
    #[error("the expression nests too deep")]
    TooDeep,
    #[error("it finds more than is taken at once")]
    TooMuch,
}

pub(super) fn evaluate(expression: &str, root: &RawValue) -> Result<Zeroizing<String>, PathError> {
    evaluate::text(&parse::parts(expression)?, root)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Print(Path),
    Range(Path, Vec<Part>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Path {
    /// From the document (`$`) instead of from where a range or a filter is.
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    /// First, end and stride of a slice; one element when only an index is given.
    Index(i64),
    Slice {
        first: Option<i64>,
        end: Option<i64>,
        stride: Option<i64>,
    },
    Wildcard,
    Recursive,
    Union(Vec<Step>),
    Filter(Box<Filter>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    left: Operand,
    /// None asks whether the left side is there.
    right: Option<(Operator, Operand)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operand {
    Path(Path),
    /// As JSON has it.
    Literal(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"user":"ada","port":5432,"on":true,"none":null,"a.b":"dotted",
        "hosts":[{"name":"x","weight":1,"tags":["p","q"]},{"name":"y","weight":2}],"nested":{"deep":{"name":"z"}}}"#;

    fn find(expression: &str) -> Result<String, PathError> {
        let root: &RawValue = serde_json::from_str(DOCUMENT).unwrap();
        evaluate(expression, root).map(|text| text.to_string())
    }

    #[test]
    fn expressions_give_what_kubectl_prints() {
        for (expression, expected) in [
            ("{.user}", "ada"),
            ("{.user}{':'}{.port}", "ada:5432"),
            ("user={.user} {.on}", "user=ada true"),
            ("{$.user}", "ada"),
            ("{['user']}", "ada"),
            (r#"{["user"]}"#, "ada"),
            (r"{.a\.b}", "dotted"),
            ("{['a.b']}", "dotted"),
            ("{.none}", "null"),
            ("{.hosts[0].name}", "x"),
            ("{.hosts[-1].name}", "y"),
            ("{.hosts[*].name}", "x y"),
            ("{.hosts[0:1].name}", "x"),
            ("{.hosts[::2].name}", "x"),
            ("{.hosts[0,1].name}", "x y"),
            ("{['user','port']}", "ada 5432"),
            ("{.hosts[0]['name','weight']}", "x 1"),
            ("{..name}", "x y z"),
            ("{.nested.*.name}", "z"),
            ("{.hosts[?(@.name=='y')].weight}", "2"),
            (r#"{.hosts[?(@.name != "y")].weight}"#, "1"),
            ("{.hosts[?(@.weight<2)].name}", "x"),
            ("{.hosts[?(@.tags)].name}", "x"),
            ("{range .hosts[*]}{.name}={.weight};{end}", "x=1;y=2;"),
            ("{range .hosts[*]}{.name}{'\\n'}{end}", "x\ny\n"),
            ("{.hosts[0].tags}", r#"["p","q"]"#),
            ("{.nested}", r#"{"deep":{"name":"z"}}"#),
            ("{.user} and no more", "ada and no more"),
            ("", ""),
        ] {
            assert_eq!(find(expression).as_deref(), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_is_not_there_or_not_readable_is_an_error_without_the_value() {
        assert_eq!(
            find("{.password}"),
            Err(PathError::NotFound("password".into()))
        );
        assert_eq!(
            find("{.user.name}"),
            Err(PathError::NotFound("name".into()))
        );
        assert_eq!(find("{.hosts[7]}"), Err(PathError::OutOfBounds(7)));
        for broken in [
            "{.a",
            "{",
            "{.a[}",
            "{.a['b}",
            "{range .a}",
            "{end}",
            "{.a[?(@.b]}",
            "{.a[1:2:0]}",
            "{foo}",
            "{.a[99999999999999999999]}",
        ] {
            assert!(find(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn an_expression_that_multiplies_is_stopped() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let root: &RawValue = serde_json::from_str(&deep).unwrap();
        assert_eq!(
            evaluate("{..*..*..*..*}", root).err(),
            Some(PathError::TooMuch)
        );
        let nested = "{range .a}".repeat(200);
        assert_eq!(find(&nested), Err(PathError::TooDeep));
    }
}
