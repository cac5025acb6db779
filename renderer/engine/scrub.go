package main

import (
	"regexp"
	"slices"
	"strings"
)

// Where a library's message quotes what it was given: a value, a template made of values, a patch, a literal. Values
// may be secrets, so a message says what is wrong with one and where, never what it is.
var quotations = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	// text/template
	{regexp.MustCompile(`(?s)range can't iterate over .*`), "range can't iterate over this value"},
	// Helm's tpl
	{regexp.MustCompile(`(?s)cannot parse template ".*?[^\\]": template: \S+?:(\d+):.*`), "cannot parse the template that tpl was given, at its line $1"},
	{regexp.MustCompile(`(?s)error during tpl function execution for ".*?[^\\]": `), executed},
	{regexp.MustCompile(`could not parse duration "(?:[^"\\]|\\.)*"`), "could not parse the duration"},
	// Go's parsers of numbers
	{regexp.MustCompile(`(strconv\.\w+: parsing) "(?:[^"\\]|\\.)*"`), "$1 a value"},
	{regexp.MustCompile(`unable to cast .* of type (\S+) to (\S+)`), "unable to cast a value of type $1 to $2"},
	// YAML
	{regexp.MustCompile("(?s)(cannot (?:unmarshal|decode) !!\\w+) `.*?` (into|as)"), "$1 $2"},
	// JSON schema
	{regexp.MustCompile(`'(?:[^'\\\n]|\\.)*' does not match pattern`), "the value does not match pattern"},
	{regexp.MustCompile(`(?m)(: )[^\n]* is not valid ([\w-]+): [^\n]*$`), "${1}the value is not valid $2"},
	{regexp.MustCompile(`((?:m(?:in|ax)imum|exclusiveM(?:in|ax)imum|multipleOf): got) [^\s,]+, want`), "$1 another, want"},
	// Times, patterns, versions and addresses that functions of templates were given
	{regexp.MustCompile(`(?s)parsing time "(?:[^"\\]|\\.)*"(?: as "(?:[^"\\]|\\.)*")?.*`), "parsing a time"},
	{regexp.MustCompile(`(time: (?:invalid duration|unknown unit|missing unit in duration)) .*`), "$1"},
	{regexp.MustCompile("(?s)(error parsing regexp: [^:\n]+): `.*`"), "$1"},
	{regexp.MustCompile(`(improper constraint): [^\n]*`), "$1"},
	{regexp.MustCompile(`\bparse "(?:[^"\\]|\\.)*": [^\n]*`), "it is no address"},
	// An address with a password in it
	{regexp.MustCompile(`(://)[^/\s'"@]*:[^/\s'"@]*@`), "$1"},
	// Kustomize
	{regexp.MustCompile("(?s)with config: `.*?`"), "with its configuration"},
	{regexp.MustCompile(`(?s)(from|field:|patch:?) \[.*\]`), "$1 the given text"},
	{regexp.MustCompile(`(?s)(must specify one of patch and path in|patch and path can't be set at the same time)\n.*`), "$1 the same patch"},
	{regexp.MustCompile(`(?s)(must specify a target for patch) .*`), "$1"},
	{regexp.MustCompile(`(?s)literal sources \[.*\]: `), "literal sources: "},
	{regexp.MustCompile(`(?s)(wrong node kind: expected \w+ but got \w+): node contents:.*`), "$1"},
	{regexp.MustCompile(`(?s)(empty item at .*?) in object .*`), "$1"},
	{regexp.MustCompile(`(line \d+ has invalid utf8 bytes) : .*`), "$1"},
	{regexp.MustCompile(`"(?:[^"\\]|\\.)*" (is not a valid key name)`), "the name of an entry $1"},
	{regexp.MustCompile(`(?s)(found multiple possible referrals: [^\n]*)\n.*`), "$1"},
	{regexp.MustCompile(`(?s)((?:roleRef|apiGroup|kind) cannot be found in) .*`), "$1 the object"},
	{regexp.MustCompile(`(?s)(is out of bounds for value) .*`), "$1"},
	{regexp.MustCompile(`(?s)(missing (?:kind|metadata\.name) in object) \{.*\}`), "$1"},
	{regexp.MustCompile(`(?s)(wrong [Nn]ode [Kk]ind for \S* ?expected: \S+ was \S+): value: \{.*\}`), "$1"},
	{regexp.MustCompile(`(?s)(received error .*? for the following resource):\n.*`), "$1"},
	{regexp.MustCompile(`(node \S+ is not a string): [^\n]*`), "$1"},
	{regexp.MustCompile(`(invalid label value:) "(?:[^"\\]|\\.)*": `), "$1 "},
	// Jsonnet
	{regexp.MustCompile(`\(([A-Z_]+), "(?:[^"\\]|\\.)*"\)`), "$1"},
	{regexp.MustCompile(`(?s)(RUNTIME ERROR: )?.* (is not a base \d+ integer)`), "${1}the text $2"},
	{regexp.MustCompile(`(?s)invalid literal source .*?, expected`), "invalid literal source, expected"},
}

// executed is what is said of a template that is a value; what follows quotes the actions of it.
const executed = "error in the template that tpl was given: "

var action = regexp.MustCompile(`(?s) at <.*?>:`)

func scrub(message string) string {
	for _, quotation := range quotations {
		message = quotation.pattern.ReplaceAllString(message, quotation.replacement)
	}
	if before, after, found := strings.Cut(message, executed); found {
		message = before + executed + action.ReplaceAllString(after, ":")
	}
	return message
}

// ordered sorts a schema's complaints, which come in a map's order: each is a line that begins with a dash, with those below it that
// are set in further.
func ordered(message string) string {
	lines := strings.Split(message, "\n")
	return strings.Join(orderedBelow(lines, 0), "\n")
}

func orderedBelow(lines []string, depth int) []string {
	dash := strings.Repeat("  ", depth) + "- "
	var result []string
	for at := 0; at < len(lines); {
		if !strings.HasPrefix(lines[at], dash) {
			result = append(result, lines[at])
			at++
			continue
		}
		var complaints [][]string
		for at < len(lines) && strings.HasPrefix(lines[at], dash) {
			end := at + 1
			for end < len(lines) && strings.HasPrefix(lines[end], dash[:2*depth]+"  ") {
				end++
			}
			complaints = append(complaints, append([]string{lines[at]}, orderedBelow(lines[at+1:end], depth+1)...))
			at = end
		}
		slices.SortStableFunc(complaints, func(a, b []string) int { return slices.Compare(a, b) })
		result = append(result, slices.Concat(complaints...)...)
	}
	return result
}
