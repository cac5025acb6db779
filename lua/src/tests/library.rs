use serde_json::json;

use super::{raised, run, shown};

#[test]
fn patterns_find_match_and_replace() {
    for (expression, value) in [
        ("('key = value'):match('(%w+)%s*=%s*(%w+)')", "key value"),
        ("('3/5'):match('(%d+)/(%d+)')", "3 5"),
        ("('hello world'):find('wor')", "7 9"),
        ("('a.b'):find('.', 1, true)", "2 2"),
        ("('abc'):find('b', -1)", "nil"),
        ("('abc'):find('')", "1 0"),
        (
            "('PolicyX'):match('Policy$'), ('MyPolicy'):match('Policy$')",
            "nil Policy",
        ),
        (
            "('2026-01-02T03:04:05Z'):match('(%d+)-(%d+)-(%d+)T')",
            "2026 01 02",
        ),
        (
            "('<<a>>'):match('<(.-)>'), ('<<a>>'):match('<(.*)>')",
            "<a <a>",
        ),
        ("('f(a(b)c)d'):match('%b()')", "(a(b)c)"),
        ("('THE (quick) fox'):find('%f[%a]%a+%f[%A]', 5)", "6 10"),
        ("('abab'):match('(ab)%1')", "ab"),
        ("('x-y]z'):match('[%]-]+')", "-"),
        ("('  trim '):match('^%s*(.-)%s*$')", "trim"),
        ("('ab'):match('()b()')", "2 3"),
        ("('hello'):gsub('l', 'L')", "heLLo 2"),
        ("('hello'):gsub('l', 'L', 1)", "heLlo 1"),
        ("('a b'):gsub('(%w) (%w)', '%2 %1 %0')", "b a a b 1"),
        ("('abc'):gsub('', '-')", "-a-b-c- 4"),
        ("('$x $y'):gsub('%$(%w)', {x = 1})", "1 $y 2"),
        (
            "('abc'):gsub('%w', function(c) if c ~= 'b' then return c:upper() end end)",
            "AbC 3",
        ),
        ("('ERROR, ERROR, x'):gsub('^ERROR, ', '')", "ERROR, x 1"),
    ] {
        assert_eq!(shown(expression), value, "{expression}");
    }
    assert_eq!(
        run("local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[k] = v end return t"),
        Ok(json!({"a": "1", "b": "2"}))
    );
    assert_eq!(
        run("local n = 0 for _ in ('abc'):gmatch('x*') do n = n + 1 end return n"),
        Ok(json!(4))
    );
    assert_eq!(
        raised("return ('a'):match('(a')"),
        "line 1: unfinished capture"
    );
    assert_eq!(
        raised("return ('a'):match('[a')"),
        "line 1: malformed pattern (missing ']')"
    );
}

#[test]
fn texts_are_cut_and_made() {
    for (expression, value) in [
        (
            "('hello'):sub(2, 3), ('hello'):sub(-3), ('hello'):sub(4, 99), ('hello'):sub(4, 2)",
            "el llo lo ",
        ),
        ("('a'):byte(), ('abc'):byte(1, -1)", "97 97 98 99"),
        ("string.char(72, 105)", "Hi"),
        (
            "('Ab'):upper(), ('Ab'):lower(), ('abc'):reverse(), ('ab'):rep(3)",
            "AB ab cba ababab",
        ),
        (
            "string.format('%d of %s, %5.2f|%-5s|%05d|%x|%q|%%', 3, 'all', 1.239, 'a', 42, 255, 'a\"b')",
            "3 of all,  1.24|a    |00042|ff|\"a\\\"b\"|%",
        ),
        ("string.format('%g %g %g', 0.1, 1e20, 100)", "0.1 1e+20 100"),
        ("string.format('%s %s %s', nil, true, 1.5)", "nil true 1.5"),
        (
            "string.format('%e|%+d|%.3s', 12345.678, 7, 'abcdef')",
            "1.234568e+04|+7|abc",
        ),
    ] {
        assert_eq!(shown(expression), value, "{expression}");
    }
}

#[test]
fn lists_are_sorted_joined_and_changed() {
    let script = "
        local t = {'c', 'a', 'b'}
        table.sort(t)
        local sorted = table.concat(t, ',')
        table.sort(t, function(one, other) return one > other end)
        table.insert(t, 1, 'first')
        table.insert(t, 'last')
        local removed, end_of = table.remove(t, 2), table.remove(t)
        return {sorted, table.concat(t, ','), removed, end_of, table.getn(t), table.concat({1, 2, 3}, '-', 2)}";
    assert_eq!(
        run(script),
        Ok(json!(["a,b,c", "first,b,a", "c", "last", 3, "2-3"]))
    );
    assert_eq!(
        raised("table.sort({1, 'a'})"),
        "line 1: attempt to compare string with number"
    );
}

#[test]
fn numbers_are_read_and_reckoned() {
    for (expression, value) in [
        (
            "tonumber('10'), tonumber('ff', 16), tonumber('x'), tonumber(' 3.5 '), tonumber('0x1f')",
            "10 255 nil 3.5 31",
        ),
        (
            "math.floor(-1.5), math.ceil(1.2), math.max(1, 3, 2), math.min(2, 1), math.abs(-1)",
            "-2 2 3 1 1",
        ),
        (
            "math.fmod(-7, 3), math.modf(3.7)",
            "-1 3 0.7000000000000002",
        ),
        ("math.huge, -math.huge, math.pi > 3", "+Inf -Inf true"),
        (
            "type(1), type('a'), type(nil), type({}), type(print), type(true)",
            "number string nil table function boolean",
        ),
        ("select(2, 'a', 'b', 'c')", "b c"),
        ("select(-1, 'a', 'b')", "b"),
        (
            "rawequal('a', 'a'), rawget({x = 1}, 'x'), next({})",
            "true 1 nil",
        ),
    ] {
        assert_eq!(shown(expression), value, "{expression}");
    }
}

#[test]
fn the_time_is_what_the_caller_says_in_utc() {
    for (expression, value) in [
        ("os.time()", "1767323045"),
        ("os.date('!%Y-%m-%dT%H:%M:%SZ')", "2026-01-02T03:04:05Z"),
        ("os.date('%A %B %j %p', 0)", "Thursday January 001 AM"),
        ("os.date('%F %T', 951782400)", "2000-02-29 00:00:00"),
        ("os.date('%F', -1)", "1969-12-31"),
        (
            "os.time({year = 2000, month = 2, day = 29, hour = 0})",
            "951782400",
        ),
        (
            "os.time({year = '2026', month = '01', day = '02', hour = '03', min = '04', sec = '05'})",
            "1767323045",
        ),
        ("os.time({year = 2025, month = 14, day = 1})", "1769947200"),
        (
            "os.date('*t', 86399).hour, os.date('*t', 86399).wday",
            "23 5",
        ),
        ("require('os').time()", "1767323045"),
    ] {
        assert_eq!(shown(expression), value, "{expression}");
    }
}

#[test]
fn what_is_raised_can_be_caught() {
    for (expression, value) in [
        ("pcall(error, 'x', 0)", "false x"),
        ("pcall(function() return 1, 2 end)", "true 1 2"),
        ("select(2, pcall(error, {code = 7})).code", "7"),
        (
            "xpcall(function() error('x', 0) end, function(raised) return raised .. '!' end)",
            "false x!",
        ),
        ("pcall(pcall, error, 'x')", "true false line 4: x"),
    ] {
        let value = value.replace("line 4", "line 2");
        assert_eq!(shown(expression), value, "{expression}");
    }
}
