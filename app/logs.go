// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"lastro"
	"lastro/pipeline"
)

// logChunk bounds what one call reads of a log.
const logChunk = 256 << 10

// ReadLog implements api.Actions; at most 256 KiB a call.
func (s *server) ReadLog(ctx context.Context, run int64, step string, cell, attempt int, offset int64) ([]byte, int64, error) {
	return s.house.ReadLog(ctx, run, step, cell, attempt, offset)
}

// ReadLog returns bytes of what an attempt at a step printed; attempt 0 is the
// newest one.
func (h *House) ReadLog(ctx context.Context, run int64, step string, cell, attempt int, offset int64) ([]byte, int64, error) {
	attempts, err := h.Attempts(ctx, run, step, cell)
	if err != nil {
		return nil, 0, err
	}
	row := attempts[len(attempts)-1]
	if attempt != 0 {
		i := slices.IndexFunc(attempts, func(s pipeline.StepRun) bool { return s.Attempt == attempt })
		if i < 0 {
			return nil, 0, lastro.Errorf(lastro.ENotFound, "step %q of run #%d has no attempt %d", step, run, attempt)
		}
		row = attempts[i]
	}
	if row, err = h.Printed(ctx, row); err != nil {
		return nil, 0, err
	}
	return h.ReadAttempt(row, offset)
}

// Attempts returns the attempts at a step or cell in their order; cell 0 of a
// matrix is all of its cells. ENotFound names what was perhaps meant.
func (h *House) Attempts(ctx context.Context, run int64, step string, cell int) ([]pipeline.StepRun, error) {
	rows, err := h.Runs.StepRuns(ctx, run)
	if err == nil && len(rows) == 0 {
		_, err = h.Runs.Run(ctx, run) // perhaps there is no such run
	}
	if err != nil {
		return nil, err
	}
	var found []pipeline.StepRun
	var names []string
	for _, s := range rows {
		if !slices.Contains(names, s.Step) {
			names = append(names, s.Step)
		}
		if s.Step == step && (cell == 0 || s.Cell == cell) {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return nil, noStep(run, step, cell, names)
	}
	return found, nil
}

// Printed returns the attempt whose log there is: for a step that came from the
// cache the one that did the work. The matrix may have had other cells then, so
// it is found by its key.
func (h *House) Printed(ctx context.Context, s pipeline.StepRun) (pipeline.StepRun, error) {
	if s.Log != "" || s.CachedFrom == 0 || s.CachedFrom == s.Run {
		return s, nil
	}
	rows, err := h.Runs.StepRuns(ctx, s.CachedFrom)
	if err != nil && !lastro.Is(err, lastro.ENotFound) {
		return s, err
	}
	for _, r := range rows {
		if r.Step == s.Step && r.Key == s.Key && r.State == pipeline.Succeeded {
			return r, nil
		}
	}
	return s, nil
}

func noStep(run int64, step string, cell int, names []string) error {
	if slices.Contains(names, step) {
		return &lastro.Error{Code: lastro.ENotFound, ID: "L0006", Msg: fmt.Sprintf("step %q of run #%d has no cell %d", step, run, cell),
			Hint: fmt.Sprintf("lastro logs %d shows what there is", run)}
	}
	e := &lastro.Error{Code: lastro.ENotFound, ID: "L0006", Msg: fmt.Sprintf("run #%d has no step %q", run, step), Hint: didYouMean(step, names)}
	switch {
	case len(names) == 0:
		e.Msg, e.Hint = fmt.Sprintf("run #%d ended before its first step", run), fmt.Sprintf("lastro ls -n 50 says why run #%d ended", run)
	case e.Hint == "":
		e.Hint = "it has " + someNames(names, 8)
	}
	return e
}

func someNames(names []string, n int) string {
	var b bytes.Buffer
	for i, name := range names[:min(n, len(names))] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(name)
	}
	if len(names) > n {
		fmt.Fprintf(&b, " and %d more", len(names)-n)
	}
	return b.String()
}

// ReadAttempt returns bytes of what an attempt printed, from an offset, and
// the offset after them; nothing when it has not printed so much.
func (h *House) ReadAttempt(s pipeline.StepRun, offset int64) ([]byte, int64, error) {
	f, err := h.openLog(s)
	if f == nil || err != nil {
		return nil, offset, err
	}
	defer f.Close()
	buf := make([]byte, logChunk)
	n, err := f.ReadAt(buf, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, offset, err
	}
	return buf[:n], offset + int64(n), nil
}

// TailOffset is where the last n lines of an attempt's log begin.
func (h *House) TailOffset(s pipeline.StepRun, n int) (int64, error) {
	f, err := h.openLog(s)
	if f == nil || err != nil {
		return 0, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, logChunk)
	found := 0
	for at := end; at > 0; {
		size := min(at, int64(len(buf)))
		at -= size
		if _, err := f.ReadAt(buf[:size], at); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		for i := size - 1; i >= 0; i-- {
			if buf[i] != '\n' || at+i == end-1 {
				continue
			}
			if found++; found == n {
				return at + i + 1, nil
			}
		}
	}
	return 0, nil
}

// openLog returns nil when the attempt has no log, or it is no longer kept.
func (h *House) openLog(s pipeline.StepRun) (*os.File, error) {
	if s.Log == "" {
		return nil, nil
	}
	f, err := os.Open(filepath.Join(h.Paths.State, filepath.FromSlash(s.Log)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}
