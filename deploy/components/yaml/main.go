// Reads YAML documents from standard input as Kubernetes and Argo CD do, and prints each as one line of JSON: what
// conformance compares is then read by nothing of Towline's own.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/util/yaml"
)

// raw takes a document's JSON as it is, so that no number loses a digit.
type raw []byte

func (r *raw) UnmarshalJSON(text []byte) error {
	*r = append((*r)[:0], text...)
	return nil
}

func main() {
	if err := convert(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func convert(in io.Reader, out io.Writer) error {
	writer := bufio.NewWriter(out)
	decoder := yaml.NewYAMLOrJSONDecoder(in, 4096)
	for {
		var document raw
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return writer.Flush()
		}
		if err != nil {
			return err
		}
		document = bytes.TrimSpace(document)
		if len(document) == 0 || bytes.Equal(document, []byte("null")) {
			continue
		}
		var line bytes.Buffer
		for _, letter := range document {
			// JSON has line ends between tokens only.
			if letter != '\n' && letter != '\r' {
				line.WriteByte(letter)
			}
		}
		line.WriteByte('\n')
		if _, err := writer.Write(line.Bytes()); err != nil {
			return err
		}
	}
}
