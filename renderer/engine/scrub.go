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
	// An address with a password in it
	{regexp.MustCompile(`(://)[^/\s'"@]*:[^/\s'"@]*@`), "$1"},
	// Kustomize
	{regexp.MustCompile("(?s)with config: `.*?`"), "with its configuration"},
	{regexp.MustCompile(`(?s)(from|patch:?) \[.*\]`), "$1 the given text"},
	{regexp.MustCompile(`(?s)invalid literal source .*?, expected`), "invalid literal source, expected"},
}

func scrub(message string) string {
	for _, quotation := range quotations {
		message = quotation.pattern.ReplaceAllString(message, quotation.replacement)
	}
	return message
}
