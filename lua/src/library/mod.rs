//! What scripts find as global names: Lua's libraries, without what reaches beyond the script.

mod arguments;
mod base;
mod format;
mod math;
mod os;
mod pattern;
pub(crate) mod string;
mod substitute;
mod table;

use crate::Libraries;
use crate::machine::{Machine, Outcome};
use crate::value::{Function, TableId, Value};

use self::arguments::Arguments;
pub(crate) use self::string::Search;

/// A function of the library.
pub(crate) struct Native {
    pub(crate) name: &'static str,
    pub(crate) call: fn(&mut Machine<'_>, Vec<Value>) -> Outcome<Vec<Value>>,
}

/// Fills the global names.
pub(crate) fn open(machine: &mut Machine<'_>, libraries: Libraries) -> Outcome<()> {
    let globals = machine.globals;
    fill(machine, globals, base::FUNCTIONS)?;
    machine.set_text(globals, "_G", Value::Table(globals))?;
    let version = Value::text("Lua 5.1");
    machine.set_text(globals, "_VERSION", version)?;
    library(machine, "table", table::FUNCTIONS)?;
    library(machine, "os", os::FUNCTIONS)?;
    match libraries {
        Libraries::Basic => {}
        Libraries::All => {
            let string = library(machine, "string", string::FUNCTIONS)?;
            machine.text_methods = Some(string);
            let math = library(machine, "math", math::FUNCTIONS)?;
            for (name, constant) in [("pi", std::f64::consts::PI), ("huge", f64::INFINITY)] {
                machine.set_text(math, name, Value::Number(constant))?;
            }
        }
    }
    Ok(())
}

fn library(
    machine: &mut Machine<'_>,
    name: &str,
    functions: &'static [Native],
) -> Outcome<TableId> {
    let table = machine.new_table()?;
    fill(machine, table, functions)?;
    machine.set_text(machine.globals, name, Value::Table(table))?;
    Ok(table)
}

fn fill(machine: &mut Machine<'_>, table: TableId, functions: &'static [Native]) -> Outcome<()> {
    for native in functions {
        // `table.insert` and `insert`: the name within its library is what follows the dot.
        let name = native.name.rsplit('.').next().unwrap_or(native.name);
        machine.set_text(table, name, Value::Function(Function::Native(native)))?;
    }
    Ok(())
}
