//! The characters of a JSON string, in memory that is cleared. serde would build them in a buffer that it leaves behind.

use zeroize::Zeroizing;

/// What the string, quotes included, stands for; none where it isn't a valid one.
pub fn unescape(string: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut rest = string.strip_prefix('"')?.strip_suffix('"')?;
    // No escape is shorter than what it stands for: this never grows.
    let mut text = Zeroizing::new(Vec::with_capacity(rest.len()));
    while let Some(at) = rest.find('\\') {
        text.extend_from_slice(&rest.as_bytes()[..at]);
        let kind = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        let symbol = match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => code_point(&mut rest)?,
            other => char::from(other),
        };
        text.extend_from_slice(symbol.encode_utf8(&mut [0; 4]).as_bytes());
    }
    text.extend_from_slice(rest.as_bytes());
    Some(text)
}

/// What follows `\u`, with the second half of a pair of surrogates.
fn code_point(rest: &mut &str) -> Option<char> {
    let first = unit(rest)?;
    if !(0xd800..0xe000).contains(&first) {
        return char::from_u32(first.into());
    }
    *rest = rest.strip_prefix("\\u")?;
    char::decode_utf16([first, unit(rest)?]).next()?.ok()
}

fn unit(rest: &mut &str) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_stand_for_what_json_says() {
        for text in [
            r#""""#,
            r#""a\"b\\c\/d\b\f\n\r\t""#,
            r#""\u00fc\u2028\ud83d\ude00x""#,
            r#""\u0000""#,
        ] {
            let expected: String = serde_json::from_str(text).unwrap();
            assert_eq!(*unescape(text).unwrap(), expected.as_bytes(), "{text}");
        }
        for text in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\u0041""#,
            r#""\ude00""#,
        ] {
            assert!(unescape(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_json(text in ".*") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(&*unescape(&json).unwrap(), text.as_bytes());
        }

        #[test]
        fn what_serde_reads_is_read_alike(inside in r#"([a-zü"\\/bu0-9d]|\\u[0-9a-f]{4}|\\.){0,12}"#) {
            let json = format!("\"{inside}\"");
            if serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok() {
                let expected = serde_json::from_str::<String>(&json).ok();
                prop_assert_eq!(unescape(&json).map(|text| text.to_vec()), expected.map(String::into_bytes));
            }
        }
    }
}
