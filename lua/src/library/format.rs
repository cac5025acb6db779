//! `string.format`.

use super::arguments::Arguments;
use super::string::shown;
use crate::machine::{Machine, Outcome};
use crate::value::Value;

/// Of width and precision.
const MAX_DIGITS: usize = 99;

#[derive(Default)]
struct Directive {
    left: bool,
    zeros: bool,
    /// What stands before a number that isn't negative.
    plus: Option<u8>,
    alternate: bool,
    width: usize,
    precision: Option<usize>,
}

pub(super) fn format(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("format", values);
    let template = given.text(machine, 1)?;
    let mut text = Vec::new();
    let mut argument = 1;
    let mut bytes = template.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        machine.budget.step(1)?;
        if byte != b'%' {
            machine.budget.allocate(1)?;
            text.push(byte);
            continue;
        }
        if bytes.next_if_eq(&b'%').is_some() {
            machine.budget.allocate(1)?;
            text.push(b'%');
            continue;
        }
        let directive = directive(machine, &mut bytes)?;
        let conversion = bytes.next().unwrap_or_default();
        argument += 1;
        let shown = match conversion {
            b'd' | b'i' | b'u' => directive.integer(given.integer(machine, argument)?),
            b'c' => {
                let code = given.integer(machine, argument)?;
                vec![u8::try_from(code & 0xff).unwrap_or_default()]
            }
            b'x' | b'X' | b'o' => directive.unsigned(
                given.integer(machine, argument)?.cast_unsigned(),
                conversion,
            ),
            b'e' | b'E' | b'f' | b'F' | b'g' | b'G' => {
                directive.fraction(given.number(machine, argument)?, conversion)
            }
            b'q' => {
                let value = given.text(machine, argument)?;
                machine.budget.allocate(value.len() * 4)?;
                quoted(&value)
            }
            b's' => {
                let value = given.any(machine, argument)?;
                let value = shown(machine, value)?;
                let length = directive.precision.unwrap_or(usize::MAX).min(value.len());
                machine.budget.allocate(length)?;
                value[..length].to_vec()
            }
            other => {
                return Err(machine.error(format!(
                    "invalid option '%{}' to 'format'",
                    other.escape_ascii()
                )));
            }
        };
        let padded = directive.padded(shown);
        machine.budget.allocate(padded.len())?;
        text.extend_from_slice(&padded);
    }
    Ok(vec![machine.new_text(text)?])
}

fn directive(
    machine: &Machine<'_>,
    bytes: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
) -> Outcome<Directive> {
    let mut directive = Directive::default();
    while let Some(flag) = bytes.next_if(|byte| b"-+ #0".contains(byte)) {
        match flag {
            b'-' => directive.left = true,
            b'0' => directive.zeros = true,
            b'#' => directive.alternate = true,
            sign => directive.plus = Some(sign),
        }
    }
    let mut digits = || {
        let mut number = None;
        while let Some(digit) = bytes.next_if(u8::is_ascii_digit) {
            number = Some(number.unwrap_or(0) * 10 + usize::from(digit - b'0'));
            if number > Some(MAX_DIGITS) {
                return None;
            }
        }
        Some((number.unwrap_or(0), bytes.next_if_eq(&b'.').is_some()))
    };
    let too_long = || machine.error("invalid format (width or precision too long)");
    let (width, has_precision) = digits().ok_or_else(too_long)?;
    directive.width = width;
    if has_precision {
        directive.precision = Some(digits().ok_or_else(too_long)?.0);
    }
    Ok(directive)
}

impl Directive {
    fn signed(&self, negative: bool, digits: &str) -> Vec<u8> {
        let sign = if negative { Some(b'-') } else { self.plus };
        let mut text: Vec<u8> = sign.into_iter().collect();
        if self.zeros && !self.left {
            let missing = self.width.saturating_sub(text.len() + digits.len());
            text.resize(text.len() + missing, b'0');
        }
        text.extend_from_slice(digits.as_bytes());
        text
    }

    fn integer(&self, number: i64) -> Vec<u8> {
        let precision = self.precision.unwrap_or(1);
        let digits = format!("{:0>precision$}", number.unsigned_abs());
        self.signed(number < 0, &digits)
    }

    fn unsigned(&self, number: u64, conversion: u8) -> Vec<u8> {
        let (digits, prefix) = match conversion {
            b'x' => (format!("{number:x}"), "0x"),
            b'X' => (format!("{number:X}"), "0X"),
            _ => (format!("{number:o}"), "0"),
        };
        let precision = self.precision.unwrap_or(1);
        let prefix = if self.alternate && number != 0 {
            prefix
        } else {
            ""
        };
        self.signed(false, &format!("{prefix}{digits:0>precision$}"))
    }

    fn fraction(&self, number: f64, conversion: u8) -> Vec<u8> {
        let size = number.abs();
        let precision = self.precision.unwrap_or(6);
        let digits = if size.is_nan() {
            "nan".to_owned()
        } else if size.is_infinite() {
            "inf".to_owned()
        } else {
            match conversion.to_ascii_lowercase() {
                b'f' => format!("{size:.precision$}"),
                b'e' => exponential(size, precision),
                _ => general(size, precision.max(1), self.alternate),
            }
        };
        let digits = if conversion.is_ascii_uppercase() {
            digits.to_uppercase()
        } else {
            digits
        };
        self.signed(number.is_sign_negative() && !number.is_nan(), &digits)
    }

    fn padded(&self, mut text: Vec<u8>) -> Vec<u8> {
        let missing = self.width.saturating_sub(text.len());
        if self.left {
            text.resize(text.len() + missing, b' ');
            return text;
        }
        let mut padded = vec![b' '; missing];
        padded.append(&mut text);
        padded
    }
}

/// An exponent has a sign and at least two digits.
fn exponential(size: f64, precision: usize) -> String {
    let text = format!("{size:.precision$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// Whichever is shorter, with `precision` digits that count.
fn general(size: f64, precision: usize, keep_zeros: bool) -> String {
    let text = exponential(size, precision - 1);
    let exponent: i32 = text
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0);
    let digits = i32::try_from(precision).unwrap_or(i32::MAX);
    let plain = (-4..digits).contains(&exponent);
    let text = if plain {
        let after_point = usize::try_from(digits - 1 - exponent).unwrap_or(0);
        format!("{size:.after_point$}")
    } else {
        text
    };
    if keep_zeros || !text.contains('.') {
        return text;
    }
    let (number, exponent) = text.split_at(text.find('e').unwrap_or(text.len()));
    let number = number.trim_end_matches('0').trim_end_matches('.');
    format!("{number}{exponent}")
}

fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'"'];
    for byte in text {
        match byte {
            b'"' | b'\\' | b'\n' => quoted.extend([b'\\', *byte]),
            b'\r' => quoted.extend(b"\\r"),
            0 => quoted.extend(b"\\000"),
            plain => quoted.push(*plain),
        }
    }
    quoted.push(b'"');
    quoted
}
