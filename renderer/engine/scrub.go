package main

import "regexp"

// Where a library's message quotes what it was given: a value, a template made of values, a patch, a literal. Values
// may be secrets, so a message says what is wrong with one and where, never what it is.
var quotations = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	// text/template
	{regexp.MustCompile(`(?s)range can't iterate over .*`), "range can't iterate over this value"},
	// Helm's tpl
	{regexp.MustCompile(`(?s)cannot parse template ".*?[^\\]": template: `), "cannot parse the template that tpl was given: template: "},
	{regexp.MustCompile(`(?s)error during tpl function execution for ".*?[^\\]": `), "error in the template that tpl was given: "},
	{regexp.MustCompile(`could not parse duration "(?:[^"\\]|\\.)*"`), "could not parse the duration"},
	// Go's parsers of numbers
	{regexp.MustCompile(`(strconv\.\w+: parsing) "(?:[^"\\]|\\.)*"`), "$1 a value"},
	{regexp.MustCompile(`unable to cast .* of type (\S+) to (\S+)`), "unable to cast a value of type $1 to $2"},
	// YAML
	{regexp.MustCompile("cannot unmarshal (!!\\w+) `[^`]*` into"), "cannot unmarshal $1 into"},
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
	{regexp.MustCompile(`(?s)(RUNTIME ERROR: )?.* (is not a base \d+ integer)`), "${1}the text $2"},
	{regexp.MustCompile(`(?s)invalid literal source .*?, expected`), "invalid literal source, expected"},
}

func scrub(message string) string {
	for _, quotation := range quotations {
		message = quotation.pattern.ReplaceAllString(message, quotation.replacement)
	}
	return message
}
