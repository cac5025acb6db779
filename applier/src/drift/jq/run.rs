//! What an expression yields, in bounded time.

use std::borrow::Cow;
use std::cmp::Ordering;

use jaq_core::path::Opt;
use serde_json::Value;

use super::Expr;
use super::function::Function;
use super::value::{
    compare, holds, is_of, math, of_one, of_two, size, size_of_list, truth, written,
};
use crate::drift::place::{Part, Place};

/// What one evaluation may cost: a step is one, and what is compared or copied counts by its size.
const BUDGET: usize = 500_000;
/// How deep evaluation may go, whose stack is the thread's.
const MAX_DEPTH: usize = 150;
/// The most places that one expression names in one object.
const MAX_PLACES: usize = 10_000;

/// A value, and where in the object it is, if it is a part of it.
#[derive(Clone)]
struct Spot<'v> {
    value: Cow<'v, Value>,
    place: Option<Place>,
}

/// Why evaluation ended before its end.
enum Stop {
    /// Of the language; `?` makes nothing of it.
    Failed,
    /// The budget is used up. Nothing catches that.
    Exhausted,
    /// Enough is known.
    Enough,
}

type Emit<'e, 'v> = &'e mut dyn FnMut(&mut Run, Spot<'v>) -> Result<(), Stop>;
type EmitPair<'e> = &'e mut dyn FnMut(&mut Run, Cow<'_, Value>, Cow<'_, Value>) -> Result<(), Stop>;

struct Run {
    left: usize,
    depth: usize,
}

/// Variables in scope, innermost first.
#[derive(Clone, Copy)]
struct Scope<'s> {
    bound: Option<(&'s str, &'s Value, &'s Scope<'s>)>,
}

pub(super) fn places(expr: &Expr, object: &Value) -> Option<Vec<Place>> {
    let mut found = Vec::new();
    let root = Spot {
        value: Cow::Borrowed(object),
        place: Some(Place::new()),
    };
    let mut run = Run {
        left: BUDGET,
        depth: 0,
    };
    let ended = run.eval(expr, Scope { bound: None }, root, &mut |_, spot| {
        // A value that was made is no place.
        found.push(spot.place.ok_or(Stop::Failed)?);
        if found.len() > MAX_PLACES {
            return Err(Stop::Exhausted);
        }
        Ok(())
    });
    ended.is_ok().then_some(found)
}

fn made<'v>(value: impl Into<Value>) -> Spot<'v> {
    Spot {
        value: Cow::Owned(value.into()),
        place: None,
    }
}

impl Run {
    fn spend(&mut self, cost: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(cost).ok_or(Stop::Exhausted)?;
        Ok(())
    }

    fn spend_on(&mut self, value: &Value) -> Result<(), Stop> {
        match value {
            Value::String(text) => self.spend(1 + text.len() / 8),
            Value::Array(items) => {
                self.spend(1)?;
                items.iter().try_for_each(|item| self.spend_on(item))
            }
            Value::Object(fields) => {
                self.spend(1)?;
                fields.values().try_for_each(|field| self.spend_on(field))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => self.spend(1),
        }
    }

    fn eval<'v>(
        &mut self,
        expr: &Expr,
        scope: Scope<'_>,
        input: Spot<'v>,
        emit: Emit<'_, 'v>,
    ) -> Result<(), Stop> {
        self.deeper(|run| run.eval_here(expr, scope, input, emit))
    }

    fn deeper(&mut self, f: impl FnOnce(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        self.spend(1)?;
        if self.depth == MAX_DEPTH {
            return Err(Stop::Exhausted);
        }
        self.depth += 1;
        let ended = f(self);
        self.depth -= 1;
        ended
    }

    fn eval_here<'v>(
        &mut self,
        expr: &Expr,
        scope: Scope<'_>,
        input: Spot<'v>,
        emit: Emit<'_, 'v>,
    ) -> Result<(), Stop> {
        match expr {
            Expr::Identity => emit(self, input),
            Expr::Recurse => self.recurse(input, emit),
            Expr::Constant(value) => {
                self.spend_on(value)?;
                emit(self, made(value.clone()))
            }
            Expr::Text(pieces) => self.text(pieces, scope, &input, emit),
            Expr::List(inner) => {
                let mut items = Vec::new();
                if let Some(inner) = inner {
                    self.eval(inner, scope, input, &mut |run, spot| {
                        run.spend_on(&spot.value)?;
                        items.push(spot.value.into_owned());
                        Ok(())
                    })?;
                }
                emit(self, made(items))
            }
            Expr::Pipe(first, then) => self.eval(first, scope, input, &mut |run, spot| {
                run.eval(then, scope, spot, emit)
            }),
            Expr::Bind(first, name, then) => {
                self.eval(first, scope, input.clone(), &mut |run, spot| {
                    run.spend_on(&spot.value)?;
                    let value = spot.value.into_owned();
                    let scope = Scope {
                        bound: Some((name, &value, &scope)),
                    };
                    run.eval(then, scope, input.clone(), emit)
                })
            }
            Expr::Variable(name) => {
                let value = scope.get(name).ok_or(Stop::Failed)?;
                self.spend_on(value)?;
                emit(self, made(value.clone()))
            }
            Expr::Comma(one, two) => {
                self.eval(one, scope, input.clone(), emit)?;
                self.eval(two, scope, input, emit)
            }
            Expr::Alternative(one, two) => {
                let mut any = false;
                let tried = self.eval(one, scope, input.clone(), &mut |run, spot| {
                    if !truth(&spot.value) {
                        return Ok(());
                    }
                    any = true;
                    emit(run, spot)
                });
                match tried {
                    Ok(()) | Err(Stop::Failed) if !any => self.eval(two, scope, input, emit),
                    ended => ended,
                }
            }
            Expr::And(one, two) => self.logic(one, two, scope, &input, false, emit),
            Expr::Or(one, two) => self.logic(one, two, scope, &input, true, emit),
            Expr::Compare(how, one, two) => {
                self.both(one, two, scope, &input, &mut |run, one, two| {
                    run.spend_on(&one)?;
                    run.spend_on(&two)?;
                    emit(run, made(holds(*how, compare(&one, &two))))
                })
            }
            Expr::Math(how, one, two) => {
                self.both(one, two, scope, &input, &mut |run, one, two| {
                    run.spend_on(&one)?;
                    run.spend_on(&two)?;
                    emit(run, made(math(*how, &one, &two).ok_or(Stop::Failed)?))
                })
            }
            Expr::Index(of, at, optional) => {
                self.eval(of, scope, input.clone(), &mut |run, spot| {
                    run.eval(at, scope, input.clone(), &mut |run, at| match index(
                        spot.clone(),
                        &at.value,
                    ) {
                        Some(found) => emit(run, found),
                        None => fail(*optional),
                    })
                })
            }
            Expr::Each(of, optional) => self.eval(of, scope, input, &mut |run, spot| {
                run.each(spot, *optional, emit)
            }),
            Expr::If(cases, otherwise) => {
                self.branch(cases, otherwise.as_deref(), scope, &input, emit)
            }
            Expr::Try(inner) => match self.eval(inner, scope, input, emit) {
                Err(Stop::Failed) => Ok(()),
                ended => ended,
            },
            Expr::Call(function) => self.call(function, scope, input, emit),
        }
    }

    fn recurse<'v>(&mut self, spot: Spot<'v>, emit: Emit<'_, 'v>) -> Result<(), Stop> {
        self.deeper(|run| {
            emit(run, spot.clone())?;
            run.each(spot, Opt::Optional, &mut |run, spot| {
                run.recurse(spot, emit)
            })
        })
    }

    /// What is directly in a list or map.
    fn each<'v>(&mut self, spot: Spot<'v>, optional: Opt, emit: Emit<'_, 'v>) -> Result<(), Stop> {
        let Spot { value, place } = spot;
        let within = |part: Part| {
            let mut place = place.clone()?;
            place.push(part);
            Some(place)
        };
        match &*value {
            Value::Array(items) => {
                for at in 0..items.len() {
                    self.spend(1 + place.as_ref().map_or(0, Vec::len))?;
                    let value = self.taken(&value, |value| value.get(at))?;
                    let place = within(Part::Item(at));
                    emit(self, Spot { value, place })?;
                }
                Ok(())
            }
            Value::Object(fields) => {
                for name in fields.keys() {
                    self.spend(1 + place.as_ref().map_or(0, Vec::len))?;
                    let value = self.taken(&value, |value| value.get(name))?;
                    let place = within(Part::Field(name.as_str().into()));
                    emit(self, Spot { value, place })?;
                }
                Ok(())
            }
            _ => fail(optional),
        }
    }

    /// A part of a value, borrowed where the value is.
    fn taken<'v>(
        &mut self,
        value: &Cow<'v, Value>,
        part: impl Fn(&Value) -> Option<&Value>,
    ) -> Result<Cow<'v, Value>, Stop> {
        match value {
            Cow::Borrowed(value) => part(value).map(Cow::Borrowed).ok_or(Stop::Failed),
            Cow::Owned(value) => {
                let part = part(value).ok_or(Stop::Failed)?;
                self.spend_on(part)?;
                Ok(Cow::Owned(part.clone()))
            }
        }
    }

    fn text<'v>(
        &mut self,
        pieces: &[Expr],
        scope: Scope<'_>,
        input: &Spot<'v>,
        emit: Emit<'_, 'v>,
    ) -> Result<(), Stop> {
        let mut text = String::new();
        for piece in pieces {
            // One value each: a text of several is no name.
            let mut any = false;
            self.eval(piece, scope, input.clone(), &mut |run, spot| {
                run.spend_on(&spot.value)?;
                if std::mem::replace(&mut any, true) {
                    return Err(Stop::Failed);
                }
                text.push_str(&written(&spot.value));
                Ok(())
            })?;
            if !any {
                return Ok(());
            }
        }
        self.spend(text.len() / 8)?;
        emit(self, made(text))
    }

    fn both(
        &mut self,
        one: &Expr,
        two: &Expr,
        scope: Scope<'_>,
        input: &Spot<'_>,
        emit: EmitPair<'_>,
    ) -> Result<(), Stop> {
        self.eval(two, scope, input.clone(), &mut |run, right| {
            run.eval(one, scope, input.clone(), &mut |run, left| {
                emit(run, left.value, right.value.clone())
            })
        })
    }

    fn logic<'v>(
        &mut self,
        one: &Expr,
        two: &Expr,
        scope: Scope<'_>,
        input: &Spot<'v>,
        decides: bool,
        emit: Emit<'_, 'v>,
    ) -> Result<(), Stop> {
        self.eval(one, scope, input.clone(), &mut |run, left| {
            if truth(&left.value) == decides {
                return emit(run, made(decides));
            }
            run.eval(two, scope, input.clone(), &mut |run, right| {
                emit(run, made(truth(&right.value)))
            })
        })
    }

    fn branch<'v>(
        &mut self,
        cases: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        scope: Scope<'_>,
        input: &Spot<'v>,
        emit: Emit<'_, 'v>,
    ) -> Result<(), Stop> {
        let Some(((when, then), rest)) = cases.split_first() else {
            return match otherwise {
                Some(otherwise) => self.eval(otherwise, scope, input.clone(), emit),
                None => emit(self, input.clone()),
            };
        };
        self.eval(when, scope, input.clone(), &mut |run, is| {
            if truth(&is.value) {
                run.eval(then, scope, input.clone(), emit)
            } else {
                run.branch(rest, otherwise, scope, input, emit)
            }
        })
    }

    /// Whether any value of `of` fulfils `condition` (or, for `wanted` false, doesn't).
    fn finds(
        &mut self,
        of: &Expr,
        condition: &Expr,
        scope: Scope<'_>,
        input: &Spot<'_>,
        wanted: bool,
    ) -> Result<bool, Stop> {
        let ended = self.eval(of, scope, input.clone(), &mut |run, spot| {
            run.eval(condition, scope, spot, &mut |_, is| {
                if truth(&is.value) == wanted {
                    Err(Stop::Enough)
                } else {
                    Ok(())
                }
            })
        });
        match ended {
            Ok(()) => Ok(false),
            Err(Stop::Enough) => Ok(true),
            Err(stop) => Err(stop),
        }
    }

    fn call<'v>(
        &mut self,
        function: &Function,
        scope: Scope<'_>,
        input: Spot<'v>,
        emit: Emit<'_, 'v>,
    ) -> Result<(), Stop> {
        match function {
            Function::Empty => Ok(()),
            Function::Select(condition) => {
                self.eval(condition, scope, input.clone(), &mut |run, is| {
                    if truth(&is.value) {
                        emit(run, input.clone())
                    } else {
                        Ok(())
                    }
                })
            }
            Function::First(of) => {
                let mut first = None;
                match self.eval(of, scope, input, &mut |_, spot| {
                    first = Some(spot);
                    Err(Stop::Enough)
                }) {
                    Ok(()) | Err(Stop::Enough) => {}
                    Err(stop) => return Err(stop),
                }
                first.map_or(Ok(()), |spot| emit(self, spot))
            }
            Function::Only(kind) => {
                if is_of(*kind, &input.value) {
                    emit(self, input)
                } else {
                    Ok(())
                }
            }
            Function::Map(to) => {
                let mut items = Vec::new();
                self.each(input, Opt::Essential, &mut |run, item| {
                    run.eval(to, scope, item, &mut |run, spot| {
                        run.spend_on(&spot.value)?;
                        items.push(spot.value.into_owned());
                        Ok(())
                    })
                })?;
                emit(self, made(items))
            }
            Function::Any(of, condition) => {
                let any = self.finds(of, condition, scope, &input, true)?;
                emit(self, made(any))
            }
            Function::All(of, condition) => {
                let all = !self.finds(of, condition, scope, &input, false)?;
                emit(self, made(all))
            }
            Function::In(of) => {
                let mut is_in = false;
                self.eval(of, scope, input.clone(), &mut |run, spot| {
                    run.spend_on(&spot.value)?;
                    is_in |= compare(&input.value, &spot.value) == Ordering::Equal;
                    Ok(())
                })?;
                emit(self, made(is_in))
            }
            Function::Plain(plain) => {
                self.spend_on(&input.value)?;
                emit(
                    self,
                    made(of_one(*plain, &input.value).ok_or(Stop::Failed)?),
                )
            }
            Function::With(with, argument) => {
                self.spend_on(&input.value)?;
                self.eval(argument, scope, input.clone(), &mut |run, argument| {
                    // Lists are looked for in lists.
                    let size = size(&argument.value);
                    run.spend(size.saturating_mul(size_of_list(&input.value)))?;
                    let value = of_two(*with, &input.value, &argument.value);
                    emit(run, made(value.ok_or(Stop::Failed)?))
                })
            }
            Function::Test(regex) => {
                self.spend_on(&input.value)?;
                let text = input.value.as_str().ok_or(Stop::Failed)?;
                emit(self, made(regex.is_match(text)))
            }
        }
    }
}

impl<'s> Scope<'s> {
    fn get(&self, name: &str) -> Option<&'s Value> {
        let (bound, value, outer) = self.bound?;
        if bound == name {
            Some(value)
        } else {
            outer.get(name)
        }
    }
}

fn fail(optional: Opt) -> Result<(), Stop> {
    optional.fail((), |()| Stop::Failed)
}

fn index<'v>(spot: Spot<'v>, at: &Value) -> Option<Spot<'v>> {
    let part = match (&*spot.value, at) {
        (Value::Null | Value::Object(_), Value::String(name)) => Part::Field(name.as_str().into()),
        (Value::Null | Value::Array(_), Value::Number(number)) => {
            let from_end = match &*spot.value {
                Value::Array(items) => items.len(),
                _ => 0,
            };
            let at = number.as_i64()?;
            let at = if at < 0 {
                from_end.checked_sub(usize::try_from(at.unsigned_abs()).ok()?)?
            } else {
                usize::try_from(at).ok()?
            };
            Part::Item(at)
        }
        _ => return None,
    };
    let value = match spot.value {
        Cow::Borrowed(value) => part.of(value).map(Cow::Borrowed),
        Cow::Owned(value) => part.of(&value).cloned().map(Cow::Owned),
    };
    let place = spot.place.map(|mut place| {
        place.push(part);
        place
    });
    Some(Spot {
        value: value.unwrap_or(Cow::Owned(Value::Null)),
        place,
    })
}
