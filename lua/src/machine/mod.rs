//! Runs a script: walks its tree.

mod call;
mod evaluate;
mod execute;
mod operate;

use std::rc::Rc;

use serde_json::Value as Json;

use crate::ast::{Chunk, Constant, Prototype, Slot};
use crate::budget::{Budget, Limit, Limits};
use crate::library::{self, Search};
use crate::table::{ENTRY, Table};
use crate::value::{Function, TableId, Value};
use crate::{Libraries, RunError, json};

/// How many bytes are compared or hashed for one step.
pub(crate) const BYTES_A_STEP: usize = 64;
/// What a text costs beside its bytes.
const TEXT: usize = 32;
/// What a table or a function costs when it is empty.
const OBJECT: usize = 128;

/// Why a run doesn't go on.
pub(crate) enum Stop {
    /// Can be caught by `pcall`.
    Raised(Value),
    /// Can't.
    Over(Limit),
}

pub(crate) type Outcome<T> = Result<T, Stop>;

/// A function with the variables that it takes from around it.
pub(crate) struct Closure {
    function: usize,
    /// Which cells of the machine.
    captured: Vec<usize>,
}

/// A call of a function of the script.
struct Frame<'a> {
    prototype: &'a Prototype,
    closure: Rc<Closure>,
    variables: Vec<Variable>,
    varargs: Vec<Value>,
}

/// A local variable.
#[derive(Clone)]
enum Variable {
    Own(Value),
    /// In a cell of the machine: a function made here uses it too.
    Shared(usize),
}

/// Tables and shared variables belong to the machine and go when it goes, so that those which hold each other are no leak.
pub(crate) struct Machine<'a> {
    chunk: &'a Chunk,
    constants: Vec<Value>,
    tables: Vec<Table>,
    cells: Vec<Value>,
    pub(crate) searches: Vec<Search>,
    pub(crate) globals: TableId,
    /// The library that texts have their methods from, where it is open.
    pub(crate) text_methods: Option<TableId>,
    pub(crate) budget: Budget,
    /// In seconds since 1970.
    pub(crate) now: i64,
    /// Where the script is.
    line: u32,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(chunk: &'a Chunk, limits: Limits, now: i64) -> Self {
        let constants = chunk.constants.iter().map(|constant| match constant {
            Constant::Number(number) => Value::Number(*number),
            Constant::Text(text) => Value::text(text),
        });
        Self {
            chunk,
            constants: constants.collect(),
            tables: vec![Table::default()],
            cells: Vec::new(),
            searches: Vec::new(),
            globals: TableId(0),
            text_methods: None,
            budget: Budget::new(limits),
            now,
            line: 0,
        }
    }

    pub(crate) fn run(&mut self, object: &Json, libraries: Libraries) -> Result<Json, RunError> {
        match self.result(object, libraries) {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(why)) => Err(RunError::Result(why)),
            Err(Stop::Over(limit)) => Err(RunError::Stopped(limit)),
            Err(Stop::Raised(value)) => Err(RunError::Raised(match value.as_text() {
                Some(text) => String::from_utf8_lossy(&text).into_owned(),
                None => format!("an error that is a {}", value.type_name()),
            })),
        }
    }

    fn result(
        &mut self,
        object: &Json,
        libraries: Libraries,
    ) -> Outcome<Result<Json, &'static str>> {
        library::open(self, libraries)?;
        let object = json::to_value(self, object)?;
        self.set_text(self.globals, "obj", object)?;
        let main = Rc::new(Closure {
            function: self.chunk.functions.len() - 1,
            captured: Vec::new(),
        });
        let results = self.call(&Value::Function(Function::Script(main)), Vec::new())?;
        let last = results.into_iter().next_back().unwrap_or_default();
        json::of_value(self, &last)
    }

    /// An error at the line that is being run.
    pub(crate) fn error(&self, what: impl AsRef<str>) -> Stop {
        Stop::Raised(Value::text(format!(
            "line {}: {}",
            self.line,
            what.as_ref()
        )))
    }

    pub(crate) fn new_text(&mut self, text: Vec<u8>) -> Outcome<Value> {
        self.budget.allocate(text.len() + TEXT)?;
        Ok(Value::Text(text.into()))
    }

    pub(crate) fn new_table(&mut self) -> Outcome<TableId> {
        self.budget.allocate(OBJECT)?;
        self.tables.push(Table::default());
        Ok(TableId(self.tables.len() - 1))
    }

    pub(crate) fn table(&self, id: TableId) -> &Table {
        &self.tables[id.0]
    }

    /// To change what takes no memory.
    pub(crate) fn table_mut(&mut self, id: TableId) -> &mut Table {
        &mut self.tables[id.0]
    }

    /// Without asking metatables.
    pub(crate) fn get_raw(&mut self, id: TableId, key: &Value) -> Outcome<Value> {
        self.look_up(key)?;
        Ok(self.table(id).get(key))
    }

    /// Without asking metatables.
    pub(crate) fn set_raw(&mut self, id: TableId, key: Value, value: Value) -> Outcome<()> {
        if key.as_key().is_none() {
            return Err(self.error(format!("a table has no key that is {}", key.told())));
        }
        if self.get_raw(id, &key)?.is_nil() {
            self.budget.allocate(ENTRY)?;
        }
        self.table_mut(id).set(key, value);
        Ok(())
    }

    /// A long text is a long way to find.
    pub(crate) fn look_up(&mut self, key: &Value) -> Outcome<()> {
        match key {
            Value::Text(text) => self.budget.step(text.len() / BYTES_A_STEP),
            _ => Ok(()),
        }
    }

    pub(crate) fn set_text(&mut self, id: TableId, key: &str, value: Value) -> Outcome<()> {
        let key = self.new_text(key.as_bytes().to_vec())?;
        self.set_raw(id, key, value)
    }

    pub(crate) fn push(&mut self, id: TableId, value: Value) -> Outcome<()> {
        self.budget.allocate(ENTRY)?;
        self.table_mut(id).push(value);
        Ok(())
    }

    fn new_cell(&mut self, value: Value) -> Outcome<usize> {
        self.budget.allocate(TEXT)?;
        self.cells.push(value);
        Ok(self.cells.len() - 1)
    }

    /// A local variable comes to be, anew in each turn of a loop.
    fn declare(&mut self, frame: &mut Frame<'a>, slot: Slot, value: Value) -> Outcome<()> {
        frame.variables[slot] = if frame.prototype.shared[slot] {
            Variable::Shared(self.new_cell(value)?)
        } else {
            Variable::Own(value)
        };
        Ok(())
    }
}
