package main

import (
	"math"
	"math/rand"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
)

var oddTexts = []string{
	"", " ", "a", "yes", "no", "on", "y", "~", "null", "true", "1", "1.0", "1e3", "0x1f", "0o7", "017", "1_000", ".5", "-", "- a", "a: b", "a:", "#c", "a #c",
	"multi\nline", "multi\nline\n", "\n", "\n\nlead", "trailing ", "trailing \n", "  lead", "tab\t", "\ttab", "cr\r", "crlf\r\n", "é", "日本語", "😀", "\u00a0",
	"'q'", `"d"`, `\`, "{}", "[]", "{a: b}", "&a", "*a", "!t", "|", ">", "%", "@", "`", "<<", "=", "2001-01-01", "2001-01-01T00:00:00Z", "1:30", "?", "? a",
	"\u0085", "\ufeff", "\u2028", "\u2029", "\x00", "\x7f", "\x1b", "\xff", "\ufffd", "\ufffe", "\uffff", "<a>&b", ".inf", ".NaN", "---", "...", "key: |\n  text",
	strings.Repeat("long words in a row ", 20), strings.Repeat("x", 200), strings.Repeat("é", 2000),
}

func oddValue(random *rand.Rand, depth int) any {
	text := func() string { return oddTexts[random.Intn(len(oddTexts))] }
	key := func() string {
		for {
			// YAML's order of keys with numbers in them is no order: Helm itself writes some of them now so, now so.
			if name := text(); !strings.ContainsAny(name, "0123456789") {
				return name
			}
		}
	}
	kinds := 13
	if depth > 3 {
		kinds = 8
	}
	switch random.Intn(kinds) {
	case 0:
		return nil
	case 1:
		return random.Intn(2) == 0
	case 2:
		return random.Intn(2000) - 1000
	case 3:
		return []any{int64(math.MaxInt64), int64(math.MinInt64), uint64(math.MaxUint64), int32(7), float32(1.5)}[random.Intn(5)]
	case 4:
		return []float64{0, math.Copysign(0, -1), 1, -1, 1.5, -0.25, 1e6, 123456789, 1e14, 999999999999999, 1e15, 1e16, 9007199254740993, 1e19, 1e20, 1e21, 1e22,
			-1e21, 1e-5, 1e-6, 1e-7, 1.5e-9, 1.7976931348623157e308, 5e-324, 0.1, 100.5, 1234567.5, 12345678901234.5, math.NaN(), math.Inf(1)}[random.Intn(30)]
	case 5, 6, 7:
		return text()
	case 8:
		return map[string]string{key(): text(), "k": "v"}
	case 9:
		return [][]string{nil, {}, {text(), text()}}[random.Intn(3)]
	case 10:
		var list []any
		if random.Intn(4) > 0 {
			list = []any{}
		}
		for range random.Intn(4) {
			list = append(list, oddValue(random, depth+1))
		}
		return list
	default:
		var object map[string]any
		if random.Intn(6) > 0 {
			object = map[string]any{}
			for range random.Intn(5) {
				object[key()] = oddValue(random, depth+1)
			}
		}
		if random.Intn(4) == 0 {
			return common.Values(object)
		}
		return object
	}
}

func TestWhatIsWrittenAtOnceIsWhatHelmWritesByItsDetour(t *testing.T) {
	const tries = 40_000
	random := rand.New(rand.NewSource(1))
	helms, direct := functions["toYaml"].(func(any) string), 0
	for range tries {
		value := oddValue(random, 0)
		got := written(value, func(v any) string {
			direct--
			return helms(v)
		})
		direct++
		if want := helms(value); got != want {
			t.Fatalf("%#v is written\n%s\ninstead of\n%s", value, got, want)
		}
	}
	if direct < tries/3 {
		t.Errorf("only %d of %d are written at once", direct, tries)
	}
}

func TestWhatIsWrittenIsNotChanged(t *testing.T) {
	inner := map[string]any{"port": 8080.0, "list": []any{1.0, "a"}}
	if got := written(map[string]any{"inner": inner}, nil); got != "inner:\n  list:\n  - 1\n  - a\n  port: 8080" {
		t.Error(got)
	}
	if _, still := inner["port"].(float64); !still {
		t.Errorf("%#v", inner)
	}
	if _, still := inner["list"].([]any)[0].(float64); !still {
		t.Errorf("%#v", inner)
	}
}

func TestACircleIsLeftToHelm(t *testing.T) {
	circle := map[string]any{}
	circle["again"] = circle
	if got := written(circle, func(any) string { return "left" }); got != "left" {
		t.Error(got)
	}
}
