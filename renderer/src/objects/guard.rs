//! Files that are looked at before the engine gets them: its YAML readers bound neither depth nor what aliases come to, so
//! that such a file would only be known by the worker's death, without its name.

use super::split;
use super::yaml::{self, Bounds, YamlCause};

/// More open brackets, or sequences begun on one line, than any document needs.
const MOST: usize = Bounds::DEFAULT.depth;

/// Refuses a YAML or JSON file by the bounds of [`yaml`], and nothing else that may be wrong with it.
pub(crate) fn check(path: &str, data: &[u8]) -> Result<(), String> {
    let kind = path.rsplit('/').next().unwrap_or(path);
    let extension = kind.rsplit_once('.').map(|(_, extension)| extension);
    let counts = kind == "Kustomization" || matches!(extension, Some("yaml" | "yml" | "json"));
    if !counts || !is_suspect(data) {
        return Ok(());
    }
    for piece in split::kubernetes(&String::from_utf8_lossy(data)) {
        let Err(error) = yaml::document(piece.text, Bounds::DEFAULT) else {
            continue;
        };
        if matches!(
            error.cause,
            YamlCause::Depth(_) | YamlCause::Nodes(_) | YamlCause::Bytes(_)
        ) {
            let line = piece.line + error.line.max(1) - 1;
            return Err(format!("{path}:{line} is not valid YAML: {}", error.cause));
        }
    }
    Ok(())
}

/// Whether it is worth the parsing: aliases, or what may nest deeply. Only by its bytes, so that it costs next to nothing.
fn is_suspect(data: &[u8]) -> bool {
    let (mut open, mut anchor, mut alias) = (0_usize, false, false);
    let (mut dashes, mut spaces, mut at_start) = (0_usize, 0_usize, true);
    for byte in data {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            b'&' => anchor = true,
            b'*' => alias = true,
            _ => {}
        }
        match byte {
            b'\n' => (dashes, spaces, at_start) = (0, 0, true),
            b'-' | b'?' | b':' if at_start => dashes += 1,
            b' ' if at_start => spaces += 1,
            _ => at_start = false,
        }
        if open > MOST || dashes > MOST || spaces > 2 * MOST || (anchor && alias) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn what_multiplies_or_nests_is_refused_by_file_and_line() {
        let mut bomb = "a: &a0 [x, x]\n".to_owned();
        for level in 1..25 {
            writeln!(bomb, "b{level}: &a{level} [*a{0}, *a{0}]", level - 1).unwrap();
        }
        let says = |path: &str, text: &str| check(path, text.as_bytes()).unwrap_err();
        assert!(says("a.yaml", &bomb).contains("with aliases counted"));
        for (open, close) in [("[", "]"), ("- ", ""), ("{a: ", "}")] {
            let deep = open.repeat(200) + &close.repeat(200);
            assert_eq!(
                says("a/kustomization.yml", &format!("b: 1\n---\n{deep}")),
                "a/kustomization.yml:3 is not valid YAML: over 100 nested levels"
            );
        }
    }

    #[test]
    fn all_else_is_left_to_the_engine() {
        let usual = "a: &a {b: 1}\nc: *a\n";
        for (path, text) in [
            ("a.yaml", usual),
            ("a.yaml", "a: [\n"),
            ("a.txt", &"[".repeat(1000)),
            ("a.yaml", &format!("a: |\n  {}\n", "[".repeat(1000))),
        ] {
            assert_eq!(check(path, text.as_bytes()), Ok(()), "{path}");
        }
        assert!(!is_suspect(b"a: 1\nb: [{c: d}]\n- - x\n"));
    }
}
