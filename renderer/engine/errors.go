package main

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// Error makes a wire error an error of Go.
func (e *Error) Error() string { return e.Message }

// brokenWire ends the worker: the renderer is gone or speaks another language.
type brokenWire struct{ cause error }

func (b *brokenWire) Error() string { return b.cause.Error() }

// failed wraps an error of a library under a kind.
func failed(kind ErrorKind, err error) error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	return &Error{Kind: kind, Message: err.Error()}
}

// asError is what the wire says of an error.
func asError(err error) *Error {
	var known *Error
	if !errors.As(err, &known) {
		known = &Error{Kind: ErrorInternal, Message: err.Error()}
	}
	result := *known
	result.Message = strings.TrimSpace(result.Message)
	if result.Kind == ErrorTemplate {
		if found := recursion.FindStringSubmatch(result.Message); found != nil {
			result.File, result.Line = locate(result.Message)
			result.Kind = ErrorLimit
			result.Message = fmt.Sprintf("the template %q includes itself more than 1000 times", found[1])
			if result.File != "" {
				result.Message = fmt.Sprintf("%s:%d: %s", result.File, result.Line, result.Message)
			}
		}
	}
	if result.File == "" {
		result.File, result.Line = locate(result.Message)
	}
	if result.Kind == ErrorSchema {
		result.Message = ordered(result.Message)
	}
	result.File = scrub(result.File)
	result.Message = shorten(scrub(result.Message))
	return &result
}

// maxMessage bounds what a person has to read; both ends of a chain of causes tell the most.
const maxMessage = 4096

func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage/2]+" … "+message[len(message)-maxMessage/2:], "")
}

// Where Helm's and text/template's messages name a file: `(chart/templates/a.yaml:3:4)`,
// `chart/templates/a.yaml:3:4` at a line's start, `YAML parse error on chart/templates/a.yaml: … line 3`.
var (
	recursion     = regexp.MustCompile(`rendering template has a nested reference name: ([^\n]+?): unable to execute template`)
	parenthesised = regexp.MustCompile(`(?:at|in) \(([^():\n]+):(\d+)(?::\d+)?\)`)
	lineStart     = regexp.MustCompile(`(?m)^(?:template: )?([^\s:()]+/templates/[^\s:()]+):(\d+)(?::\d+)?`)
)

func locate(message string) (string, int) {
	for _, pattern := range []*regexp.Regexp{parenthesised, lineStart} {
		if found := pattern.FindStringSubmatch(message); found != nil {
			line, _ := strconv.Atoi(found[2])
			return found[1], line
		}
	}
	return "", 0
}

// refusingTransport stands where a library would fetch something.
type refusingTransport struct{}

func (refusingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("the engine opens no connection: %s", request.URL.Redacted())
}
