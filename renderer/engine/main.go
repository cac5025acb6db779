// Command engine renders Helm charts, Kustomize overlays and Jsonnet files for Towline's renderer.
//
// It is a long-lived worker: frames come on stdin and leave on stdout (wire.go). It has no access to files
// but the renderer's answers, starts no program and opens no connection. The chain is
// main -> confine -> helm (values, chart, schema, files, templates; loaded and kept hold what many renders share) -> kustomize (edit, options, build, remote, inflate, scan, filesystem)
// or jsonnet -> wire.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"runtime/debug"
	"sync"
	"time"
	// Time zones for Sprig's dates: the host's are out of reach.
	_ "time/tzdata"
)

// idle is how long a worker waits for the next request before it gives unused memory back, and forget how long before it gives
// back what it keeps for renders to come, too.
const (
	idle   = 500 * time.Millisecond
	forget = 30 * time.Second
)

// maxStack ends a runaway recursion long before it fills the memory limit.
const maxStack = 256 << 20

func main() {
	memoryLimit := flag.Int64("memory-limit", 0, "soft limit of the Go heap in bytes; 0 is none")
	addressSpace := flag.Uint64("address-space", 0, "how many bytes may be mapped beside what is mapped at the start; 0 is no limit")
	flag.Parse()

	debug.SetMaxStack(maxStack)
	if *memoryLimit > 0 {
		debug.SetMemoryLimit(*memoryLimit)
	}
	out := confine()

	c := &channel{in: bufio.NewReaderSize(os.Stdin, 64<<10), out: out}
	confinement := seal(*addressSpace)
	if err := c.send(&Reply{Ready: &confinement}); err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
	if err := serve(c); err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		os.Exit(1)
	}
}

// confine takes the process's ways out: no environment (so no program is found), no transport, and what libraries
// print to stdout goes to stderr, off the wire. It returns the real stdout.
func confine() *os.File {
	out := os.Stdout
	os.Clearenv()
	os.Stdout = os.Stderr
	http.DefaultTransport = refusingTransport{}
	log.SetOutput(os.Stderr)
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	return out
}

func serve(c *channel) error {
	// What starting up left behind is most of a fresh worker's memory.
	cleaner := time.AfterFunc(0, debug.FreeOSMemory)
	defer cleaner.Stop()
	var rendering sync.Mutex
	forgetter := time.AfterFunc(forget, func() {
		rendering.Lock()
		memory.clear()
		rendering.Unlock()
		debug.FreeOSMemory()
	})
	defer forgetter.Stop()
	var garbage allowance
	for {
		garbage.adjust()
		var request Request
		if err := c.receive(&request); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		cleaner.Stop()
		forgetter.Stop()
		rendering.Lock()
		documents, err := render(c, &request)
		rendering.Unlock()
		reply := &Reply{}
		var broken *brokenWire
		switch {
		case errors.As(err, &broken):
			return broken
		case err != nil:
			reply.Error = asError(err)
		default:
			// Never null: a chart may render to nothing.
			reply.OK = &OK{Documents: append([]Document{}, documents...)}
		}
		if err := c.send(reply); err != nil {
			return err
		}
		cleaner.Reset(idle)
		forgetter.Reset(forget)
	}
}

// render runs one request. A panic in a library is this render's failure, not the worker's.
func render(c *channel, request *Request) (documents []Document, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			if broken, ok := cause.(*brokenWire); ok {
				err = broken
				return
			}
			fmt.Fprintf(os.Stderr, "panic: %v\n%s", cause, debug.Stack())
			documents, err = nil, &Error{Kind: ErrorInternal, Message: fmt.Sprintf("the engine failed: %v", cause)}
		}
	}()
	switch {
	case request.Helm != nil && request.Kustomize != nil:
		chart, err := renderHelm(c, request.Helm)
		if err != nil {
			return nil, err
		}
		resource, err := asTemplateOutput(chart, hooksOf(false, request.Helm.SkipTests))
		if err != nil {
			return nil, err
		}
		return renderKustomize(c, request.Kustomize, resource)
	case request.Helm != nil:
		return renderHelm(c, request.Helm)
	case request.Kustomize != nil:
		return renderKustomize(c, request.Kustomize, nil)
	case request.Jsonnet != nil:
		return renderJsonnet(c, request.Jsonnet)
	default:
		return nil, &Error{Kind: ErrorRequest, Message: "the request names neither a chart, nor an overlay, nor a Jsonnet file"}
	}
}

// frame is a reply with its documents behind it, and room for the length in front.
func frame(reply *Reply) ([]byte, error) {
	var documents []Document
	if reply.OK != nil {
		documents = reply.OK.Documents
	}
	size := 0
	for index := range documents {
		documents[index].Size = len(documents[index].Text)
		size += documents[index].Size
	}
	var buffer bytes.Buffer
	buffer.Grow(size + 256*len(documents) + 256)
	if err := encode(&buffer, reply); err != nil {
		return nil, err
	}
	if documents != nil {
		buffer.WriteByte(0)
	}
	for _, document := range documents {
		buffer.WriteString(document.Text)
	}
	return buffer.Bytes(), nil
}

// encode leaves room for the length in front of the JSON.
func encode(buffer *bytes.Buffer, v any) error {
	buffer.Write(make([]byte, 4))
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("encoding a frame: %w", err)
	}
	return nil
}
