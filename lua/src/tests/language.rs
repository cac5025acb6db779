use serde_json::json;

use super::{raised, run, run_on, shown};
use crate::{Libraries, Limits, RunError, Script};

#[test]
fn operators_bind_as_in_lua() {
    for (expression, value) in [
        ("1 + 2 * 3 ^ 2", "19"),
        ("-2 ^ 2", "-4"),
        ("2 ^ 3 ^ 2", "512"),
        ("(1 + 2) * 3", "9"),
        ("7 % 3, -7 % 3, 7 % -3", "1 2 -2"),
        ("10 / 4", "2.5"),
        ("'a' .. 1 .. 2", "a12"),
        ("'10' + 5", "15"),
        ("not nil == true", "true"),
        ("1 < 2 and 'b' > 'a'", "true"),
        ("nil and 1, false or 'x', nil or false", "nil x false"),
        ("#'abc', #{1, 2, 3}", "3 3"),
        ("1 == '1', 'a' == 'a', {} == {}", "false true false"),
        ("0x10, 1e2, .5, 3.0", "16 100 0.5 3"),
    ] {
        assert_eq!(shown(expression), value, "{expression}");
    }
}

#[test]
fn texts_may_be_written_in_any_of_luas_ways() {
    assert_eq!(
        run(
            "return \"a\\tb\\\\\\\"\\65\" .. 'it\\'s' .. [[\nfirst]] .. [==[ ]] ]==] -- and a comment\n--[[ another ]]"
        ),
        Ok(json!("a\tb\\\"Ait'sfirst ]] "))
    );
}

#[test]
fn control_flow_goes_as_in_lua() {
    let script = "
        local seen = {}
        for i = 1, 10, 3 do table.insert(seen, i) end
        for i = 3, 1, -1 do table.insert(seen, i) end
        local n = 0
        while true do n = n + 1 if n > 3 then break end end
        repeat local done = n > 5; n = n + 1 until done
        table.insert(seen, n)
        for _, word in ipairs({'a', 'b', nil, 'd'}) do table.insert(seen, word) end
        if n == 1 then seen.branch = 1 elseif n == 7 then table.insert(seen, 'seven') else table.insert(seen, 'other') end
        return seen";
    assert_eq!(
        run(script),
        Ok(json!([1, 4, 7, 10, 3, 2, 1, 7, "a", "b", "seven"]))
    );
}

#[test]
fn goto_continues_a_loop_and_leaves_several() {
    let script = "
        local odd = {}
        for i = 1, 6 do
            if i % 2 == 0 then goto continue end
            for j = 1, 3 do
                if i == 5 then goto over end
            end
            table.insert(odd, i)
            ::continue::
        end
        ::over::
        return odd";
    assert_eq!(run(script), Ok(json!([1, 3])));
    assert_eq!(
        raised("goto nowhere"),
        "line 0: no label `nowhere` for `goto`"
    );
}

#[test]
fn functions_keep_the_variables_around_them() {
    let script = "
        local function counter()
            local count = 0
            return function() count = count + 1 return count end, function() return count end
        end
        local more, now = counter()
        more() more()
        local made = {}
        for i = 1, 3 do made[i] = function() return i end end
        local function factorial(n) if n < 2 then return 1 end return n * factorial(n - 1) end
        return {now(), made[1](), made[3](), factorial(5)}";
    assert_eq!(run(script), Ok(json!([2, 1, 3, 120])));
}

#[test]
fn functions_take_and_return_any_number_of_values() {
    let script = "
        local function many(...) return select('#', ...), ... end
        local function first(...) return (many(...)) end
        local a, b, c, d = many('x', nil)
        local packed = {many(1, 2)}
        function packed.sum(one, other) return one + other end
        function packed:length() return #self end
        return {a, b, tostring(c), tostring(d), first(1, 2, 3), #packed, packed.sum(unpack({3, 4})), packed:length()}";
    assert_eq!(run(script), Ok(json!([2, "x", "nil", "nil", 3, 3, 7, 3])));
}

#[test]
fn tables_are_lists_and_maps_and_may_be_changed_while_they_are_walked() {
    let script = "
        local t = {10, 20, 30, x = 1, ['y z'] = 2, [4] = 40}
        t[5] = 50
        for key in pairs(t) do t[key] = nil end
        local left = next(t)
        t[2] = 'b' t[1] = 'a'
        return {tostring(left), #t, t[1] .. t[2]}";
    assert_eq!(run(script), Ok(json!(["nil", 2, "ab"])));
}

#[test]
fn metatables_answer_for_their_tables() {
    let script = "
        local class = {name = 'class'}
        class.__index = class
        class.__tostring = function(self) return 'a ' .. self.name end
        class.__add = function(one, other) return one.n + other.n end
        class.__eq = function(one, other) return one.n == other.n end
        class.__call = function(self, by) return self.n * by end
        local one, other = setmetatable({n = 1}, class), setmetatable({n = 1}, class)
        return {tostring(one), one + other, one == other, one(7), getmetatable(one) == class}";
    assert_eq!(run(script), Ok(json!(["a class", 2, true, 7, true])));
}

#[test]
fn the_object_is_there_without_its_nulls() {
    let object = json!({"status": {"replicas": 3, "ready": true, "none": null, "list": [null, "a", {"b": 1.5}]}});
    let script = "
        local found = {}
        for key in pairs(obj.status) do table.insert(found, key) end
        table.sort(found)
        return {found, obj.status.replicas, obj.status.ready, obj.status.list[1], obj.status.list[2].b}";
    assert_eq!(
        run_on(&object, script),
        Ok(json!([["list", "ready", "replicas"], 3, true, "a", 1.5]))
    );
}

#[test]
fn an_error_says_where_and_what() {
    for (script, message) in [
        (
            "local hs = {}\nhs.status = obj.status.phase",
            "line 2: attempt to index a nil value with key 'phase'",
        ),
        (
            "return 'a' + 1",
            "line 1: attempt to perform arithmetic on a string value",
        ),
        (
            "return 'a' .. {}",
            "line 1: attempt to concatenate a table value",
        ),
        (
            "return 1 < 'a'",
            "line 1: attempt to compare number with string",
        ),
        ("return nothing()", "line 1: attempt to call a nil value"),
        ("error('no good')", "line 1: no good"),
        ("error({code = 1})", "an error that is a table"),
        ("assert(false, 'told')", "told"),
        (
            "return ('x'):rep({})",
            "line 1: bad argument #2 to 'rep' (a number expected, got table)",
        ),
    ] {
        assert_eq!(raised(script), message, "{script}");
    }
}

#[test]
fn a_script_that_is_no_lua_is_refused_with_its_line() {
    for (script, message) in [
        ("local = 1", "line 1: expected a name, found assign"),
        (
            "if true then\nreturn 1",
            "line 2: expected `end`, found the end of the script",
        ),
        ("x = 'open", "line 1: a text isn't closed"),
        (
            "x",
            "line 1: expected `=` or a call, found the end of the script",
        ),
        ("\n\nx = 1 ~ 2", "line 3: unexpected `~`"),
    ] {
        let refused = Script::parse(script).unwrap_err().to_string();
        assert_eq!(refused, message, "{script}");
    }
}

#[test]
fn a_result_is_json_or_says_why_not() {
    assert_eq!(
        run("return {status = 'Healthy', list = {1, 'a'}, empty = {}}"),
        Ok(json!({"status": "Healthy", "list": [1, "a"], "empty": []}))
    );
    assert_eq!(run("return"), Ok(json!(null)));
    assert_eq!(run("return 1, 'last'"), Ok(json!("last")));
    for script in [
        "return {f = print}",
        "local t = {} t.t = t return t",
        "return {1, 2, x = 3}",
        "return {[true] = 1}",
        "return {n = 1 / 0}",
    ] {
        assert!(matches!(run(script), Err(RunError::Result(_))), "{script}");
    }
}

#[test]
fn without_all_libraries_there_are_no_texts_functions() {
    let basic = |script: &str| {
        Script::parse(script)
            .unwrap()
            .run(&json!({}), Libraries::Basic, Limits::default(), 0)
    };
    assert_eq!(
        basic("return {type(string), type(math), type(table.insert), type(require('os').time)}"),
        Ok(json!(["nil", "nil", "function", "function"]))
    );
    assert!(matches!(
        basic("return ('a'):upper()"),
        Err(RunError::Raised(_))
    ));
}

#[test]
fn nothing_leads_out_of_a_script() {
    for name in [
        "io",
        "debug",
        "package",
        "coroutine",
        "channel",
        "dofile",
        "loadfile",
        "load",
        "loadstring",
        "collectgarbage",
        "newproxy",
        "module",
        "os.execute",
        "os.getenv",
        "os.exit",
        "os.remove",
        "string.dump",
        "math.random",
    ] {
        assert_eq!(shown(&format!("type({name})")), "nil", "{name}");
    }
}
