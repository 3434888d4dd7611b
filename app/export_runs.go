// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/data"
	"lastro/track"
)

// The formats of ExportTracked.
const (
	ExportCSV      = "csv"
	ExportParquet  = "parquet"
	ExportNotebook = "ipynb"
)

// TrackedExport asks for a table of tracked runs, one row each.
type TrackedExport struct {
	TrackedSearch
	Format string
	Out    string // file; "" = w, for CSV only
	Raw    bool   // CSV: leave texts that a spreadsheet would carry out as they are
}

// ExportTracked writes tracked runs to a file, or to w, and returns their
// number. A file appears when it is whole.
func (h *House) ExportTracked(ctx context.Context, e TrackedExport, w io.Writer) (rows int64, err error) {
	q, err := h.Query(ctx, e.TrackedSearch)
	if err != nil {
		return 0, err
	}
	switch {
	case e.Format == ExportParquet:
		return h.exportParquet(ctx, q, e.Out)
	case e.Out == "":
		return h.writeRunTable(ctx, q, w, !e.Raw)
	}
	err = ReplaceFile(e.Out, func(f io.Writer) error {
		rows, err = h.writeRunTable(ctx, q, f, !e.Raw)
		return err
	})
	return rows, err
}

// ReplaceFile writes beside a file and then takes its place.
func ReplaceFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return diskError(err)
	}
	defer os.Remove(f.Name())
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return diskError(err)
	}
	if err := f.Close(); err != nil {
		return diskError(err)
	}
	return diskError(os.Rename(f.Name(), path))
}

// exportParquet writes the table as CSV first: the types are known, so nothing
// of it is guessed.
func (h *House) exportParquet(ctx context.Context, q track.Query, out string) (int64, error) {
	work, err := os.MkdirTemp("", "lastro-export-")
	if err != nil {
		return 0, diskError(err)
	}
	defer os.RemoveAll(work)
	from := filepath.Join(work, "runs.csv")
	columns, err := h.runColumns(ctx, q)
	if err != nil {
		return 0, err
	}
	f, err := os.Create(from)
	if err != nil {
		return 0, diskError(err)
	}
	if _, err := h.writeRows(ctx, q, columns, f, typedField); err != nil {
		f.Close()
		return 0, err
	}
	if err := f.Close(); err != nil {
		return 0, diskError(err)
	}
	types := make([]string, len(columns))
	for i, c := range columns {
		types[i] = c.kind
	}
	written, err := h.Data.Typed(ctx, data.TypedRequest{From: from, Types: types, Out: out})
	return written.Rows, err
}

// writeRunTable writes CSV for people and spreadsheets.
func (h *House) writeRunTable(ctx context.Context, q track.Query, w io.Writer, guarded bool) (int64, error) {
	columns, err := h.runColumns(ctx, q)
	if err != nil {
		return 0, err
	}
	return h.writeRows(ctx, q, columns, w, func(kind, text string, known bool) string {
		if guarded && kind == data.TextColumn {
			text = track.GuardFormula(text)
		}
		return csvField(text, false)
	})
}

// runColumn is a column of the table of runs.
type runColumn struct {
	name, kind string
	of         func(track.Run) (text string, known bool)
}

// runColumns looks at every run once: which params and metrics there are.
func (h *House) runColumns(ctx context.Context, q track.Query) ([]runColumn, error) {
	metrics, params, tags := map[string]bool{}, map[string]bool{}, map[string]bool{}
	_, err := h.EachTracked(ctx, q, 0, func(r track.Run) error {
		for _, m := range r.Metrics {
			metrics[m.Key] = true
		}
		for _, p := range r.Params {
			params[p.Key] = true
		}
		for k := range r.Tags {
			if !strings.HasPrefix(k, "mlflow.") && !strings.HasPrefix(k, "lastro.") {
				tags[k] = true
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	columns := slices.Clone(fixedColumns)
	for _, key := range sortedKeys(metrics) {
		columns = append(columns, runColumn{"metrics." + key, data.NumberColumn, func(r track.Run) (string, bool) {
			m, ok := r.Metric(key)
			return csvNumber(m.Value), ok
		}})
	}
	for _, key := range sortedKeys(params) {
		columns = append(columns, runColumn{"params." + key, data.TextColumn, func(r track.Run) (string, bool) {
			return r.Param(key)
		}})
	}
	for _, key := range sortedKeys(tags) {
		columns = append(columns, runColumn{"tags." + key, data.TextColumn, func(r track.Run) (string, bool) {
			v, ok := r.Tags[key]
			return v, ok
		}})
	}
	return columns, nil
}

func sortedKeys(set map[string]bool) []string {
	var out []string
	for k := range set {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// csvNumber is a measurement with all its digits; NaN and Infinity are words
// that pandas, DuckDB and R read as numbers.
func csvNumber(v float64) string {
	return strings.Replace(strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+"), "Inf", "Infinity", 1)
}

var fixedColumns = []runColumn{
	{"run_id", data.TextColumn, func(r track.Run) (string, bool) { return r.ID, true }},
	{"run_name", data.TextColumn, func(r track.Run) (string, bool) { return r.Name, true }},
	{"experiment_id", data.TextColumn, func(r track.Run) (string, bool) { return r.ExperimentID, true }},
	{"status", data.TextColumn, func(r track.Run) (string, bool) { return string(r.Status), true }},
	{"start_time", data.TimeColumn, func(r track.Run) (string, bool) { return moment(r.StartedAt) }},
	{"end_time", data.TimeColumn, func(r track.Run) (string, bool) { return moment(r.EndedAt) }},
	{"user_id", data.TextColumn, func(r track.Run) (string, bool) { return r.User, r.User != "" }},
	{"lastro.run", data.IntegerColumn, func(r track.Run) (string, bool) { return r.Origin.Run, r.Origin.Run != "" }},
	{"lastro.step", data.TextColumn, func(r track.Run) (string, bool) { return r.Origin.Step, r.Origin.Step != "" }},
}

func moment(t time.Time) (string, bool) {
	return t.UTC().Format("2006-01-02T15:04:05.000Z"), !t.IsZero()
}

// writeRows writes the header and a line a run; field makes a field of a value.
func (h *House) writeRows(ctx context.Context, q track.Query, columns []runColumn, w io.Writer, field func(kind, text string, known bool) string) (rows int64, err error) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.name
	}
	head := csv.NewWriter(w)
	if err := head.Write(names); err != nil {
		return 0, diskError(err)
	}
	if head.Flush(); head.Error() != nil {
		return 0, diskError(head.Error())
	}
	fields := make([]string, len(columns))
	_, err = h.EachTracked(ctx, q, 0, func(r track.Run) error {
		rows++
		for i, c := range columns {
			text, known := c.of(r)
			if !known {
				text = ""
			}
			fields[i] = field(c.kind, text, known)
		}
		_, err := io.WriteString(w, strings.Join(fields, ",")+"\n")
		return diskError(err)
	})
	return rows, err
}

// typedField tells a text that is empty from one that is not there.
func typedField(kind, text string, known bool) string {
	return csvField(text, known && kind == data.TextColumn)
}

// csvField writes one CSV field (RFC 4180).
func csvField(text string, always bool) string {
	if !always && !strings.ContainsAny(text, "\",\r\n") && strings.TrimSpace(text) == text {
		return text
	}
	return `"` + strings.ReplaceAll(text, `"`, `""`) + `"`
}

// Check refuses what cannot be written before anything is read.
func (e TrackedExport) Check() error {
	if e.Out == "" && e.Format != ExportCSV {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0786", Msg: fmt.Sprintf("%s is written to a file, not to the terminal", e.Format),
			Hint: "--output runs." + e.Format}
	}
	return nil
}
