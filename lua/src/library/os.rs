//! `os.time` and `os.date`, in UTC.

use super::Native;
use super::arguments::Arguments;
use crate::machine::{Machine, Outcome};
use crate::number;
use crate::value::Value;

pub(super) const FUNCTIONS: &[Native] = &[
    Native {
        name: "os.date",
        call: date,
    },
    Native {
        name: "os.time",
        call: time,
    },
];

const DAY: i64 = 86_400;
/// Times of more than about 30,000 years before or after 1970 are no dates.
const MAX_TIME: i64 = 1_000_000_000_000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

fn time(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("time", values);
    if given.get(1).is_nil() {
        return Ok(vec![seconds(machine.now)]);
    }
    let table = given.table(machine, 1)?;
    let field = |name: &str, absent: Option<i64>| {
        let value = machine.table(table).get_text(name);
        match value.as_number().map(number::truncated).or(absent) {
            Some(number) if number.abs() < MAX_TIME => Ok(number),
            Some(_) => Err(machine.error(format!("field '{name}' is out of bounds"))),
            None => Err(machine.error(format!("field '{name}' missing in date table"))),
        }
    };
    let (year, month, day) = (
        field("year", None)?,
        field("month", None)?,
        field("day", None)?,
    );
    let (hour, minute, second) = (
        field("hour", Some(12))?,
        field("min", Some(0))?,
        field("sec", Some(0))?,
    );
    // Months beyond the year's count on into the next one.
    let (year, month) = (
        year + (month - 1).div_euclid(12),
        (month - 1).rem_euclid(12) + 1,
    );
    let days = days_before(year, month) + day - 1;
    Ok(vec![seconds(
        days * DAY + hour * 3600 + minute * 60 + second,
    )])
}

fn date(machine: &mut Machine<'_>, values: Vec<Value>) -> Outcome<Vec<Value>> {
    let given = Arguments::new("date", values);
    let format = match given.get(1) {
        Value::Nil => b"%c"[..].into(),
        _ => given.text(machine, 1)?,
    };
    let time = given.integer_or(machine, 2, machine.now)?;
    if time.abs() >= MAX_TIME {
        return Err(machine.error("the time is out of bounds"));
    }
    let date = Date::of(time);
    let format = format.strip_prefix(b"!").unwrap_or(&format);
    if format.starts_with(b"*t") {
        let table = machine.new_table()?;
        for (name, number) in [
            ("year", date.year),
            ("month", date.month),
            ("day", date.day),
            ("hour", date.hour),
            ("min", date.minute),
            ("sec", date.second),
            ("wday", date.weekday + 1),
            ("yday", date.day_of_year),
        ] {
            machine.set_text(table, name, seconds(number))?;
        }
        machine.set_text(table, "isdst", Value::Boolean(false))?;
        return Ok(vec![Value::Table(table)]);
    }
    let mut text = Vec::new();
    let mut bytes = format.iter();
    while let Some(byte) = bytes.next() {
        machine.budget.step(1)?;
        let shown = match byte {
            b'%' => date.directive(bytes.next().copied().unwrap_or(b'%')),
            plain => vec![*plain],
        };
        machine.budget.allocate(shown.len())?;
        text.extend_from_slice(&shown);
    }
    Ok(vec![machine.new_text(text)?])
}

#[expect(
    clippy::cast_precision_loss,
    reason = "times and fields of dates are far below 2^53"
)]
fn seconds(number: i64) -> Value {
    Value::Number(number as f64)
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// 0 is Sunday.
    weekday: i64,
    /// 1 is the first of January.
    day_of_year: i64,
}

impl Date {
    fn of(time: i64) -> Self {
        let (days, rest) = (time.div_euclid(DAY), time.rem_euclid(DAY));
        // The estimate is at most one year off, the month at most one month.
        let mut year = 1970 + days.div_euclid(366);
        while days_before(year + 1, 1) <= days {
            year += ((days - days_before(year + 1, 1)) / 366).max(1);
        }
        while days_before(year, 1) > days {
            year -= 1;
        }
        let month = (1..=12)
            .rev()
            .find(|month| days_before(year, *month) <= days)
            .unwrap_or(1);
        Self {
            year,
            month,
            day: days - days_before(year, month) + 1,
            hour: rest / 3600,
            minute: rest % 3600 / 60,
            second: rest % 60,
            weekday: (days + 4).rem_euclid(7),
            day_of_year: days - days_before(year, 1) + 1,
        }
    }

    fn directive(&self, directive: u8) -> Vec<u8> {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
            ..
        } = self;
        let month_name = name(&MONTHS, month - 1);
        let day_name = name(&DAYS, self.weekday);
        let half = if *hour < 12 { "AM" } else { "PM" };
        let twelve = (hour + 11) % 12 + 1;
        let text = match directive {
            b'Y' => year.to_string(),
            b'y' => format!("{:02}", year.rem_euclid(100)),
            b'm' => format!("{month:02}"),
            b'd' => format!("{day:02}"),
            b'H' => format!("{hour:02}"),
            b'I' => format!("{twelve:02}"),
            b'M' => format!("{minute:02}"),
            b'S' => format!("{second:02}"),
            b'p' => half.to_owned(),
            b'j' => format!("{:03}", self.day_of_year),
            b'w' => self.weekday.to_string(),
            b'A' => day_name.to_owned(),
            b'a' => day_name[..3].to_owned(),
            b'B' => month_name.to_owned(),
            b'b' => month_name[..3].to_owned(),
            b'c' => format!(
                "{} {} {day:2} {hour:02}:{minute:02}:{second:02} {year}",
                &day_name[..3],
                &month_name[..3]
            ),
            b'x' | b'D' => format!("{month:02}/{day:02}/{:02}", year.rem_euclid(100)),
            b'X' | b'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            b'F' => format!("{year}-{month:02}-{day:02}"),
            b'Z' => "UTC".to_owned(),
            b'z' => "+0000".to_owned(),
            b'%' => "%".to_owned(),
            other => return vec![b'%', other],
        };
        text.into_bytes()
    }
}

fn name(names: &[&'static str], index: i64) -> &'static str {
    usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or("???")
}

/// Days from the first of January 1970 to the first of this month, 1 to 12.
fn days_before(year: i64, month: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let last = year - 1;
    let leap_days = last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400);
    // As many as there were before 1970.
    let years = (year - 1970) * 365 + leap_days - 477;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let months = usize::try_from(month - 1)
        .ok()
        .and_then(|month| BEFORE.get(month))
        .copied()
        .unwrap_or(0);
    years + months + i64::from(leap && month > 2)
}
