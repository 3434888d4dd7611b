// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"lastro"
)

// maxReportBytes bounds metrics files and reports.
const maxReportBytes = 64 << 20

// collector reads what a step wrote besides its outputs, into its row: metrics,
// reports, plots, the summary and values for later steps.
type collector struct {
	job   *Job
	blobs Blobs
	row   *StepRun // Facts must not be nil
	// find returns the absolute path of a file that the step had to write, or why
	// it cannot be read.
	find func(file, what string) (string, error)
	// lenient leaves out what cannot be read: of a step that ended badly, for people.
	lenient bool
	// mask hides secrets in text that is kept; nil = there are none.
	mask func(text string) string
}

// collect reads all of it. A report of failed tests is no error: the exit
// status of the command says how it went, and gates say what may serve.
//
// What can be read is kept also when something else cannot: the first trouble
// is returned at the end.
func (c collector) collect(ctx context.Context) error {
	s := c.job.Step
	var first error
	note := func(what, file string, err error) {
		if err != nil && first == nil && !c.lenient {
			first = inFile(what, file, err)
		}
	}
	for _, m := range s.Metrics {
		note("metrics file", m, c.metrics(m))
	}
	for _, format := range slices.Sorted(maps.Keys(s.Reports)) {
		note(format+" report", s.Reports[format], c.report(format, s.Reports[format]))
	}
	for _, file := range s.Plots {
		note("plot", file, c.plot(ctx, file))
	}
	note("file", "$"+SummaryVar, c.summary())
	note("file", "$"+OutputVar, c.values())
	return first
}

// hide takes secrets out of a text.
func (c collector) hide(text string) string {
	if c.mask == nil {
		return text
	}
	return c.mask(text)
}

func (c collector) metrics(file string) error {
	raw, err := c.read(file, "metrics file", maxReportBytes)
	if err != nil {
		return err
	}
	return readMetrics(raw, c.row.Facts)
}

func (c collector) report(format, file string) error {
	raw, err := c.read(file, format+" report", maxReportBytes)
	if err != nil {
		return err
	}
	r, err := readReport(format, raw, c.hide)
	if err != nil {
		return err
	}
	r.File = file
	r.facts(c.row.Facts)
	c.row.Reports = append(c.row.Reports, r)
	return nil
}

// plot keeps a plot that can be drawn.
func (c collector) plot(ctx context.Context, file string) error {
	raw, err := c.read(file, "plot", maxPlotBytes)
	if err != nil {
		return err
	}
	p, err := c.find(file, "plot")
	if err != nil {
		return err
	}
	if p, raw, err = c.maskedCopy(p, raw); err != nil {
		return err
	}
	if _, err := ParsePlot(file, raw); err != nil {
		return err
	}
	d, size, err := c.blobs.PutPath(ctx, p)
	if err != nil {
		return fmt.Errorf("keep plot %s: %w", file, err)
	}
	c.row.Plots = append(c.row.Plots, Artifact{Name: path.Base(file), Path: path.Clean(file), Digest: d, Size: size})
	return nil
}

func (c collector) summary() error {
	raw, err := regular(c.job.SummaryPath(), MaxSummary)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text := strings.ReplaceAll(strings.ToValidUTF8(string(raw), "�"), "\x00", "�")
	c.row.Summary = clip(c.hide(text), MaxSummary)
	return nil
}

func (c collector) values() error {
	raw, err := regular(c.job.OutputPath(), MaxOutput)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	values, err := ParseOutput(raw)
	if err != nil || len(values) == 0 {
		return err
	}
	for name, v := range values {
		values[name] = c.hide(v)
	}
	c.row.OutValues = values
	outFacts(values, c.row.Facts)
	return nil
}

func (c collector) read(file, what string, limit int64) ([]byte, error) {
	p, err := c.find(file, what)
	if err != nil {
		return nil, err
	}
	return regular(p, limit)
}

// regular reads a file of at most limit bytes. A pipe or device, which may
// never end, is not even opened.
func regular(p string, limit int64) ([]byte, error) {
	fi, err := os.Lstat(p)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() || fi.Size() > limit {
		return nil, lastro.Errorf(lastro.EFailed, "it is no file of at most %s", sizeWords(limit))
	}
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

func sizeWords(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// inFile names the file, and the place in it, in an error about its content.
func inFile(what, file string, err error) error {
	var e *lastro.Error
	if !errors.As(err, &e) || e.ID != "" {
		return err
	}
	named := *e
	at := lastro.Pos{File: file, Line: e.Pos.Line, Col: e.Pos.Col}
	named.Pos = lastro.Pos{} // the place is one of the step's own files, none of the project's
	if named.Hint == "" {
		named.Hint = "look at what the step wrote there; docs/reference/reports.md and docs/steps/run.md say in which forms files are read"
	}
	named.ID, named.Msg = "L0306", fmt.Sprintf("%s %s: %s", what, at, e.Msg)
	return &named
}

// readReport reads a report by its format. What tests printed and tools said
// passes through hide before it is cut, so that no part of a secret is left.
func readReport(format string, raw []byte, hide func(string) string) (Report, error) {
	r := Report{Version: ReportVersion, Format: format}
	raw = trimBOM(raw)
	var err error
	switch format {
	case "junit":
		r.Tests, err = readJUnit(raw, hide)
	case "gotest":
		r.Tests, err = readGoTest(raw, hide)
	case "sarif":
		r.Findings, err = readSARIF(raw, hide)
	case "coverage":
		r.Coverage, err = readCoverage(raw)
	default:
		err = lastro.Errorf(lastro.EUnsupported, "reports in the format %q are not read", format)
	}
	return r, err
}

func trimBOM(raw []byte) []byte {
	if len(raw) >= 3 && string(raw[:3]) == "\ufeff" {
		return raw[3:]
	}
	return raw
}

// facts adds what gates may ask. Counts of several reports of one step add up.
func (r Report) facts(into map[string]float64) {
	if t := r.Tests; t != nil {
		into["tests.total"] += float64(t.Total)
		into["tests.failed"] += float64(t.Failed)
		into["tests.skipped"] += float64(t.Skipped)
	}
	if f := r.Findings; f != nil {
		into["sarif.errors"] += float64(f.Errors)
		into["sarif.warnings"] += float64(f.Warnings)
		into["sarif.notes"] += float64(f.Notes)
	}
	// A report without a line measured nothing: the fact is missing, not 0 or 1.
	if c := r.Coverage; c != nil && c.Lines > 0 {
		into["coverage.lines"] = c.Share()
	}
}
