// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	duck "github.com/duckdb/duckdb-go/v2"

	"lastro"
)

// explain turns an error of DuckDB into one that a person can act on; errors
// that are already ours, and cancellations, pass through.
func explain(err error, memoryMB int) error {
	var ours *lastro.Error
	var problems lastro.Problems
	if err == nil || errors.As(err, &ours) || errors.As(err, &problems) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var e *duck.Error
	if !errors.As(err, &e) {
		return err
	}
	msg := tidy(e.Msg)
	switch e.Type {
	case duck.ErrorTypeOutOfMemory:
		return &lastro.Error{Code: lastro.EErrored, ID: "L0520", Msg: fmt.Sprintf("the data engine needed more than its %d MB of memory", memoryMB),
			Hint: "give the data worker more memory, or make the data smaller: " + msg, Err: err}
	case duck.ErrorTypeInterrupt:
		return &lastro.Error{Code: lastro.EErrored, Msg: "the data engine was interrupted", Err: context.Canceled}
	case duck.ErrorTypeInternal, duck.ErrorTypeFatal:
		return &lastro.Error{Code: lastro.EErrored, ID: "L0521", Msg: "the data engine broke: " + msg, Err: err}
	case duck.ErrorTypeIO:
		return &lastro.Error{Code: lastro.EFailed, ID: "L0522", Msg: "a data file cannot be read: " + msg, Hint: "is it complete, and of the format that its name says?"}
	}
	return &lastro.Error{Code: lastro.EFailed, ID: "L0523", Msg: "the data cannot be read as asked: " + msg}
}

// tidy keeps DuckDB's first sentence without its prefix and its SQL excerpt.
func tidy(msg string) string {
	lines := strings.Split(msg, "\n")
	line := lines[0]
	if strings.Contains(line, "Error when sniffing file") {
		return "its CSV is not regular: a line has another number of values than the header, or a quote is not closed"
	}
	// The second line of a CSV error quotes the data, the third says what is wrong.
	if strings.Contains(line, "CSV Error on Line") && len(lines) > 2 {
		line += ": " + strings.TrimSpace(lines[2])
	}
	if kind, rest, ok := strings.Cut(line, ": "); ok && strings.HasSuffix(kind, "Error") && !strings.Contains(kind, `"`) {
		line = rest
	}
	if len(line) > 300 {
		line = line[:300] + "…"
	}
	return line
}

func isDuck(err error, types ...duck.ErrorType) bool {
	var e *duck.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, t := range types {
		if e.Type == t {
			return true
		}
	}
	return false
}
