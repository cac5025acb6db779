use std::time::{Duration, Instant};

use serde_json::json;

use super::{run, run_on};
use crate::{Libraries, Limit, Limits, RunError, Script};

/// Generous: a build without optimization, on a machine that does other things.
const SOON: Duration = Duration::from_secs(30);

#[track_caller]
fn stops(script: &str, why: &[Limit]) {
    let begun = Instant::now();
    let fewer = Limits {
        steps: 500_000,
        ..Limits::default()
    };
    let parsed = Script::parse(script).unwrap();
    match parsed.run(&json!({}), Libraries::All, fewer, 0) {
        Err(RunError::Stopped(limit)) => assert!(why.contains(&limit), "{script}: {limit}"),
        other => panic!("{script}: {other:?}"),
    }
    assert!(begun.elapsed() < SOON, "{script}: {:?}", begun.elapsed());
}

#[test]
fn no_loop_is_endless() {
    for script in [
        "while true do end",
        "repeat until false",
        "::again:: goto again",
        "for i = 1, math.huge do end",
        "for i = 2, 1, 0 do end",
        "local t = setmetatable({}, {__index = function(t, k) while true do end end}) return t.x",
        "table.sort({1, 2, 3}, function() while true do end end)",
        "for _ in function() return 1 end do end",
        "local t = {} t[1] = 1 while next(t) do end",
    ] {
        stops(script, &[Limit::Steps]);
    }
}

#[test]
fn what_catches_errors_catches_no_end() {
    for script in [
        "while true do pcall(function() while true do end end) end",
        "pcall(function() while true do end end) return {status = 'Healthy'}",
        "xpcall(function() while true do end end, function() return 1 end)",
        "local function again(n) if n > 0 then pcall(again, n - 1) end while true do end end again(20)",
        "setmetatable({}, {__gc = function() while true do end end}) while true do end",
    ] {
        stops(script, &[Limit::Steps]);
    }
    stops(
        "while true do pcall(string.rep, 'x', 1e8) end",
        &[Limit::Memory],
    );
    stops("return pcall(string.rep, 'x', 1e12)", &[Limit::Memory]);
}

#[test]
fn functions_of_the_library_are_counted_too() {
    for script in [
        "('a'):rep(20000):match(('.-'):rep(20) .. 'b')",
        "('a'):rep(20000):find(('a*'):rep(20) .. 'b')",
        "('x'):rep(20000):gsub('.-.-.-y', '')",
        "while true do ('a'):rep(1000):gsub('a', '%0') end",
        "local s = ('('):rep(20000) for i = 1, #s do s:find('%b()', i) end",
        "local s, n = ('a'):rep(1e6), ('a'):rep(5e5) .. 'b' return s:find(n, 1, true)",
        "local key = ('k'):rep(1e6) local t = {} while true do t[key] = 1 end",
        "local a, b = ('k'):rep(1e6), ('k'):rep(1e6) while true do local same = a == b end",
        "local t = {} for i = 1, 1e5 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end",
        "local f = ('x'):gmatch('y') while true do f() end",
        "while true do string.format('%99d', 1) end",
        "while true do local s = 'a' .. 'b' end",
        "while true do unpack({1, 2, 3}, 1, 9000) end",
        "local key = ('k'):rep(1e6) while true do pcall(function() return obj.none[key] end) end",
    ] {
        stops(script, &[Limit::Steps, Limit::Memory]);
    }
}

#[test]
fn the_way_to_a_label_is_counted() {
    let between = "n = n + 1 ".repeat(1_000);
    let script = format!(
        "local n, turns = 0, 0 while turns < 1000 do turns = turns + 1 goto last {between} ::last:: end return turns"
    );
    stops(&script, &[Limit::Steps]);
}

#[test]
fn memory_is_bounded() {
    for script in [
        "local s = 'x' while true do s = s .. s end",
        "local t = {} while true do t[#t + 1] = {} end",
        "local t = {} for i = 1, 1e9 do t['k' .. i] = i end",
        "return ('x'):rep(1e9)",
        "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(100000) end",
        "local s = ('x'):rep(1e6) while true do s:gsub('x', 'yyyyyyyyyyyyyyyy') end",
        "local t = {('x'):rep(1e6)} for i = 2, 100 do t[i] = t[1] end return table.concat(t)",
        "while true do local f = function() return f end end",
    ] {
        stops(script, &[Limit::Memory, Limit::Steps]);
    }
    let script = Script::parse("return 1").unwrap();
    let large = json!({"list": vec!["a text of some length"; 10_000]});
    let small = Limits {
        memory: 100_000,
        ..Limits::default()
    };
    assert_eq!(
        script.run(&large, Libraries::Basic, small, 0),
        Err(RunError::Stopped(Limit::Memory)),
        "the object counts too"
    );
}

#[test]
fn depth_is_bounded() {
    for script in [
        "local function deeper() return 1 + deeper() end return deeper()",
        "local function deeper() pcall(deeper) end deeper() local f = deeper f() while true do end",
        "local t = {} t.__index = function(_, key) return t[key] end setmetatable(t, t) return t.x",
        "local function f(s) return (s:gsub('.', f)) end return f('a')",
        "local m = {} m.__call = function(self) return self() end return setmetatable({}, m)()",
    ] {
        stops(script, &[Limit::Depth, Limit::Steps]);
    }
    let many = "pcall, ".repeat(5_000);
    stops(
        &format!("return pcall({many} error)"),
        &[Limit::Depth, Limit::Steps],
    );
    // As deep as scripts of real kinds go, and further.
    let enough = "local function sum(n) if n == 0 then return 0 end return n + sum(n - 1) end return sum(250)";
    assert_eq!(run(enough), Ok(json!(31_375)));
}

#[test]
fn nesting_in_the_text_is_bounded() {
    let deep = 10_000;
    for script in [
        format!("return {}1{}", "(".repeat(deep), ")".repeat(deep)),
        format!("return {}{}", "{".repeat(deep), "}".repeat(deep)),
        format!("return {}1", "not ".repeat(deep)),
        format!("return {}1", "- ".repeat(deep)),
        format!("return 1{}", " + 1".repeat(deep)),
        format!("return 'a'{}", " .. 'a'".repeat(deep)),
        format!("return 2{}", " ^ 2".repeat(deep)),
        format!("return obj{}", ".x".repeat(deep)),
        format!("return obj{}", "()".repeat(deep)),
        format!("obj{} = 1", "[1]".repeat(deep)),
        format!("{}{}", "do ".repeat(deep), "end ".repeat(deep)),
        format!("{}{}", "if x then ".repeat(deep), "end ".repeat(deep)),
        format!(
            "return {}{}",
            "function() return ".repeat(deep),
            "end ".repeat(deep)
        ),
        format!("function a{}() end", ".b".repeat(deep)),
    ] {
        let refused = Script::parse(&script).unwrap_err().to_string();
        assert!(
            refused.contains("nested") || refused.contains("in one another"),
            "{refused}"
        );
    }
    assert!(Script::parse(&"-".repeat(600 * 1024)).is_err());
}

#[test]
fn long_scripts_and_long_lists_are_fine() {
    let statements = "local x = obj.a.b.c.d\n".repeat(5_000);
    assert!(Script::parse(&statements).is_ok());
    let chain = format!("return x == 1{}", " or x == 2".repeat(100));
    assert_eq!(run(&chain), Ok(json!(false)));
    let branches = format!(
        "if x == 1 then {} end return 1",
        "elseif x == 2 then ".repeat(1_000)
    );
    assert_eq!(run(&branches), Ok(json!(1)));
    let items: Vec<_> = (0..1_000).collect();
    let script =
        "local sum = 0 for _, item in ipairs(obj.items) do sum = sum + item end return sum";
    assert_eq!(run_on(&json!({"items": items}), script), Ok(json!(499_500)));
}

#[test]
fn the_same_run_always_stops_at_the_same_place() {
    let script = Script::parse("local n = 0 while n < 500 do n = n + 1 end return n").unwrap();
    let with = |steps| {
        let limits = Limits {
            steps,
            ..Limits::default()
        };
        script.run(&json!({}), Libraries::All, limits, 0)
    };
    let needed = (0..20_000).find(|steps| with(*steps).is_ok()).unwrap();
    for _ in 0..5 {
        assert!(with(needed).is_ok());
        assert_eq!(with(needed - 1), Err(RunError::Stopped(Limit::Steps)));
    }
}
