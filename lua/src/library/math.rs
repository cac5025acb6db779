//! `math`, without random numbers: the same object must have the same health.

use super::Native;
use super::arguments::Arguments;
use crate::machine::{Machine, Outcome};
use crate::value::Value;

macro_rules! of_one {
    ($($name:literal => $function:expr),* $(,)?) => {
        &[
            $(Native {
                name: $name,
                call: |machine, values| {
                    let number = Arguments::new($name, values).number(machine, 1)?;
                    let function: fn(f64) -> f64 = $function;
                    Ok(vec![Value::Number(function(number))])
                },
            },)*
            Native { name: "math.atan2", call: |machine, values| of_two(machine, "atan2", values, f64::atan2) },
            Native { name: "math.fmod", call: |machine, values| of_two(machine, "fmod", values, |one, other| one % other) },
            Native { name: "math.mod", call: |machine, values| of_two(machine, "mod", values, |one, other| one % other) },
            Native { name: "math.pow", call: |machine, values| of_two(machine, "pow", values, f64::powf) },
            Native { name: "math.max", call: |machine, values| fold(machine, "max", values, f64::max) },
            Native { name: "math.min", call: |machine, values| fold(machine, "min", values, f64::min) },
            Native { name: "math.modf", call: modf },
        ]
    };
}

pub(super) const FUNCTIONS: &[Native] = of_one! {
    "math.abs" => f64::abs,
    "math.acos" => f64::acos,
    "math.asin" => f64::asin,
    "math.atan" => f64::atan,
    "math.ceil" => f64::ceil,
    "math.cos" => f64::cos,
    "math.deg" => f64::to_degrees,
    "math.exp" => f64::exp,
    "math.floor" => f64::floor,
    "math.log" => f64::ln,
    "math.log10" => f64::log10,
    "math.rad" => f64::to_radians,
    "math.sin" => f64::sin,
    "math.sqrt" => f64::sqrt,
    "math.tan" => f64::tan,
};

fn of_two(
    machine: &mut Machine<'_>,
    name: &'static str,
    values: Vec<Value>,
    function: fn(f64, f64) -> f64,
) -> Outcome<Vec<Value>> {
    let given = Arguments::new(name, values);
    let (one, other) = (given.number(machine, 1)?, given.number(machine, 2)?);
    Ok(vec![Value::Number(function(one, other))])
}

fn fold(
    machine: &mut Machine<'_>,
    name: &'static str,
    values: Vec<Value>,
    function: fn(f64, f64) -> f64,
) -> Outcome<Vec<Value>> {
    let given = Arguments::new(name, values);
    let mut result = given.number(machine, 1)?;
    for at in 2..=given.count() {
        result = function(result, given.number(machine, at)?);
    }
    Ok(vec![Value::Number(result)])
}

fn modf(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let number = Arguments::new("modf", values).number(machine, 1)?;
    Ok(vec![
        Value::Number(number.trunc()),
        Value::Number(number.fract()),
    ])
}
