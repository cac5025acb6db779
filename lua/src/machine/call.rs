//! Calls of functions.

use std::rc::Rc;

use super::execute::Flow;
use super::{Closure, Frame, Machine, Outcome, Stop, Variable};
use crate::library::string;
use crate::value::{Function, Value};

impl Machine<'_> {
    /// All results of a call.
    pub(crate) fn call(&mut self, function: &Value, arguments: Vec<Value>) -> Outcome<Vec<Value>> {
        self.budget.step(1 + arguments.len())?;
        self.budget.enter()?;
        let results = match function {
            Value::Function(Function::Native(native)) => (native.call)(self, arguments),
            Value::Function(Function::Matches(search)) => string::next_match(self, *search),
            Value::Function(Function::Script(closure)) => self.script(closure, arguments),
            other => self.call_object(other, arguments),
        };
        self.budget.leave();
        results
    }

    fn call_object(&mut self, object: &Value, arguments: Vec<Value>) -> Outcome<Vec<Value>> {
        match self.metamethod(object, "__call") {
            Some(handler @ Value::Function(_)) => {
                let mut all = vec![object.clone()];
                all.extend(arguments);
                self.call(&handler, all)
            }
            _ => Err(self.error(format!("attempt to call a {} value", object.type_name()))),
        }
    }

    /// The first result of a call, or nil.
    pub(crate) fn call_for_one(
        &mut self,
        function: &Value,
        arguments: Vec<Value>,
    ) -> Outcome<Value> {
        let results = self.call(function, arguments)?;
        Ok(results.into_iter().next().unwrap_or_default())
    }

    fn script(&mut self, closure: &Rc<Closure>, arguments: Vec<Value>) -> Outcome<Vec<Value>> {
        let prototype = &self.chunk.functions[closure.function];
        self.budget.step(prototype.shared.len())?;
        let mut frame = Frame {
            prototype,
            closure: closure.clone(),
            variables: vec![Variable::Own(Value::Nil); prototype.shared.len()],
            varargs: Vec::new(),
        };
        let mut arguments = arguments.into_iter();
        for slot in 0..prototype.parameters {
            let argument = arguments.next().unwrap_or_default();
            self.declare(&mut frame, slot, argument)?;
        }
        if prototype.variadic {
            frame.varargs = arguments.collect();
        }
        match self.block(&mut frame, &prototype.body)? {
            Flow::Return(values) => Ok(values),
            Flow::Next => Ok(Vec::new()),
            Flow::Break => Err(self.error("`break` outside of a loop")),
            Flow::Goto(label) => {
                let label = self.constants[label].told();
                Err(self.error(format!("no label `{label}` for `goto`")))
            }
        }
    }

    /// Calls, and catches what is raised; what goes over a limit passes.
    pub(crate) fn call_protected(
        &mut self,
        function: &Value,
        arguments: Vec<Value>,
    ) -> Outcome<Result<Vec<Value>, Value>> {
        let line = self.line;
        match self.call(function, arguments) {
            Ok(results) => Ok(Ok(results)),
            Err(Stop::Raised(value)) => {
                self.line = line;
                Ok(Err(value))
            }
            Err(over @ Stop::Over(_)) => Err(over),
        }
    }
}
