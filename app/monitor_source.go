// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"lastro"
	"lastro/data"
	"lastro/deploy"
	"lastro/monitor"
	"lastro/stats"
)

// watch gives the monitor its rows: the request log of the data plane, the
// outputs of the runs that made the versions, and the label datasets.
type watch struct{ h *House }

func (w watch) Newest(ctx context.Context, environment string) (time.Time, error) {
	w.h.segments.RLock()
	defer w.h.segments.RUnlock()
	t, err := w.log(environment, monitor.Release{}, data.Window{})
	if err != nil {
		return time.Time{}, err
	}
	n, err := w.h.count(ctx, data.CountRequest{Table: t, Time: "_event_time"})
	return n.Last, err
}

// log is the request log of an environment; a release narrows it to the
// answers of its version, without errors. The caller holds segments.
func (w watch) log(environment string, r monitor.Release, window data.Window) (data.Table, error) {
	files, err := logFiles(w.h.Paths.RequestLog(environment))
	t := data.Table{Files: files, Log: true, Window: window}
	if r.Model != "" {
		_, model, version := r.Model.Parts()
		t.Filters = []data.Filter{{Column: "_rev", In: []string{model + "@" + version}}, {Column: "_status", In: []string{"200"}}}
	}
	return t, err
}

// count answers zero for a log that does not exist yet.
func (h *House) count(ctx context.Context, req data.CountRequest) (data.Count, error) {
	if !hasFiles(req.Table) {
		return data.Count{}, nil
	}
	return h.Data.Count(ctx, req)
}

func (w watch) Releases(ctx context.Context, environment string) ([]monitor.Release, error) {
	live, err := w.h.Deploys.Store.Current(ctx, environment)
	if lastro.Is(err, lastro.ENotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	served, err := w.served(ctx, environment, live.Release)
	if err != nil {
		return nil, err
	}
	var out []monitor.Release
	for i := len(served) - 1; i >= 0; i-- { // the store lists the newest first
		r, err := w.release(ctx, environment, served[i])
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && !r.From.IsZero() {
			out[n-1].To = r.From
		}
		out = append(out, r)
	}
	return out, nil
}

// service is a release that became champion, not before since (wall clock).
type service struct {
	deploy.Release
	since time.Time
}

// served lists the releases that became champion, the newest first, up to the
// live one.
func (w watch) served(ctx context.Context, environment string, live int) ([]service, error) {
	rollouts, err := w.h.Deploys.Store.Rollouts(ctx, environment, 0)
	if err != nil {
		return nil, err
	}
	held := map[int]time.Time{}
	for _, r := range rollouts {
		if r.State == deploy.Succeeded || r.Release == live {
			held[r.Release] = r.At
		}
	}
	all, err := w.h.Deploys.Store.Releases(ctx, environment, 0)
	if err != nil {
		return nil, err
	}
	var out []service
	for _, r := range all {
		if since, ok := held[r.Number]; ok && len(out) < 5 {
			out = append(out, service{r, since})
		}
	}
	return out, nil
}

// release finds the first answer of a release as champion. Its version may have
// served before (a rollback), so answers before its rollout do not count.
func (w watch) release(ctx context.Context, environment string, r service) (monitor.Release, error) {
	version, err := w.h.Registry.Version(ctx, r.Model, r.Version)
	if err != nil {
		return monitor.Release{}, err
	}
	out := monitor.Release{Ref: r.Ref(), Model: version.Ref(), Baseline: map[string]float64{}, Trained: version.CreatedAt}
	if d, err := w.h.Gates.ForVersion(ctx, r.Model, strconv.Itoa(r.Version)); err == nil {
		for name, v := range d.Facts {
			if x, ok := v.(float64); ok && len(name) > len("metrics.") && name[:len("metrics.")] == "metrics." {
				out.Baseline[name[len("metrics."):]] = x
			}
		}
	}
	w.h.segments.RLock()
	defer w.h.segments.RUnlock()
	t, err := w.log(environment, out, data.Window{Column: "_t", From: r.since})
	if err != nil {
		return out, err
	}
	t.Filters = append(t.Filters, data.Filter{Column: "_role", In: []string{"champion"}})
	first, err := w.h.count(ctx, data.CountRequest{Table: t, Time: "_event_time"})
	out.From = first.First
	return out, err
}

func (w watch) Reference(ctx context.Context, r monitor.Release, spec monitor.DriftSpec) ([]stats.Column, error) {
	path, err := w.artifact(ctx, r, spec.Step, spec.Output)
	if err != nil {
		return nil, err
	}
	inputs, err := w.h.modelInputs(ctx, r.Model)
	if err != nil {
		return nil, err
	}
	if spec.Columns != nil {
		inputs = spec.Columns
	}
	return w.columns(ctx, data.Table{Files: []data.File{path}}, inputs, nil)
}

func (w watch) Window(ctx context.Context, q monitor.WindowQuery, reference []stats.Column) (monitor.Window, error) {
	w.h.segments.RLock()
	defer w.h.segments.RUnlock()
	t, err := w.log(q.Environment, q.Release, data.Window{Column: "_event_time", From: q.Start, To: q.End})
	if err != nil {
		return monitor.Window{}, err
	}
	n, err := w.h.count(ctx, data.CountRequest{Table: t})
	if err != nil || n.Rows == 0 {
		return monitor.Window{}, err
	}
	kinds := map[string]stats.ColumnKind{}
	names := q.Columns
	for _, c := range reference {
		kinds[c.Name] = c.Kind
		if q.Columns == nil {
			names = append(names, c.Name)
		}
	}
	columns, err := w.columns(ctx, t, names, kinds)
	return monitor.Window{Rows: int(n.Rows), Columns: columns}, err
}

// columns reads the named columns as stats wants them: sorted values of
// numbers, counts of categories.
func (w watch) columns(ctx context.Context, t data.Table, names []string, kinds map[string]stats.ColumnKind) ([]stats.Column, error) {
	req := data.ColumnsRequest{Table: t}
	if names == nil { // every column: their kinds decide whether values make sense
		schema, err := w.h.Data.Describe(ctx, t)
		if err != nil {
			return nil, err
		}
		for _, c := range schema.Columns {
			names = append(names, c.Name)
		}
	}
	for _, n := range names {
		ask := data.ColumnAsk{Name: n, Kind: string(kinds[n]), Values: kinds[n] != stats.Categorical}
		req.Columns = append(req.Columns, ask)
	}
	got, err := w.h.Data.Columns(ctx, req)
	if err != nil {
		return nil, err
	}
	out := make([]stats.Column, len(got))
	for i, c := range got {
		out[i] = toStats(c)
	}
	return out, nil
}

func toStats(c data.Column) stats.Column {
	if c.Kind == data.Numeric {
		s := stats.NewNumeric(c.Name, c.Values)
		s.Nulls = int(c.Nulls)
		return s
	}
	counts := map[string]int{}
	for _, v := range c.Categories {
		counts[v.Value] = int(v.Rows)
	}
	if c.Other > 0 {
		counts["(other)"] = int(c.Other)
	}
	s := stats.NewCategorical(c.Name, counts)
	s.Nulls = int(c.Nulls)
	return s
}

// ReferenceScores reads the predictions that the version's evaluation kept: an
// output named predictions with a column score beside the truth.
func (w watch) ReferenceScores(ctx context.Context, r monitor.Release) (truth, score []float64, err error) {
	step, ok := w.h.predictionsStep()
	if !ok || w.h.targetColumn() == "" {
		return nil, nil, nil
	}
	path, err := w.artifact(ctx, r, step, "predictions")
	if lastro.Is(err, lastro.ENotFound) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	key := w.h.keyOf()
	if key == "" {
		return nil, nil, nil
	}
	t := data.Table{Files: []data.File{path}}
	s, err := w.h.Data.Scores(ctx, data.ScoresRequest{Log: t, Labels: t, Join: key, Score: "score", Label: w.h.targetColumn()})
	return s.Label, s.Score, err
}

func (w watch) Scores(ctx context.Context, q monitor.WindowQuery) ([]float64, error) {
	w.h.segments.RLock()
	defer w.h.segments.RUnlock()
	t, err := w.log(q.Environment, q.Release, data.Window{Column: "_event_time", From: q.Start, To: q.End})
	if err != nil || !hasFiles(t) {
		return nil, err
	}
	c, err := w.h.Data.Columns(ctx, data.ColumnsRequest{Table: t, Columns: []data.ColumnAsk{{Name: "_out", Kind: data.Numeric, Values: true}}})
	if err != nil || len(c) == 0 {
		return nil, err
	}
	return c[0].Values, nil
}

func (w watch) Scored(ctx context.Context, q monitor.LabelQuery) (monitor.Scored, error) {
	if w.h.targetColumn() == "" {
		return monitor.Scored{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0651", Msg: "the monitor does not know which column is the truth",
			Hint: "name it in a step: uses: lastro/compare, with: {target: COLUMN}"}
	}
	if q.ObservedFor != "" {
		return monitor.Scored{}, lastro.Errorf(lastro.EUnsupported, "observed_for is not supported yet")
	}
	labels, spec, err := w.h.labelTable(ctx, q.Labels)
	if err != nil {
		return monitor.Scored{}, err
	}
	var out monitor.Scored
	if spec.EventTime != "" {
		n, err := w.h.count(ctx, data.CountRequest{Table: labels, Time: spec.EventTime})
		if err != nil {
			return out, err
		}
		out.LabelsUntil = n.Last
	}
	w.h.segments.RLock()
	defer w.h.segments.RUnlock()
	t, err := w.log(q.Environment, q.Release, data.Window{Column: "_event_time", From: q.Start, To: q.End})
	if err != nil || !hasFiles(t) {
		return out, err
	}
	s, err := w.h.Data.Scores(ctx, data.ScoresRequest{Log: t, Labels: labels, Join: q.Join, Label: w.h.targetColumn()})
	if err != nil {
		return out, err
	}
	out.Answers, out.Observed = int(s.Answers), int(s.Answers)
	out.Score, out.Truth = s.Score, s.Label
	return out, nil
}

// NewLabels counts the rows by which the dataset has grown since the version
// was trained.
func (w watch) NewLabels(ctx context.Context, labels string, r monitor.Release) (int, error) {
	table, _, err := w.h.labelTable(ctx, labels)
	if err != nil {
		return 0, err
	}
	now, err := w.h.count(ctx, data.CountRequest{Table: table})
	if err != nil {
		return 0, err
	}
	_, model, number := r.Model.Parts()
	n, err := strconv.Atoi(number)
	if err != nil {
		return 0, fmt.Errorf("version of %s: %w", r.Model, err)
	}
	version, err := w.h.Registry.Version(ctx, model, n)
	if err != nil {
		return 0, err
	}
	for _, d := range version.DataVersions {
		if d.Dataset != labels {
			continue
		}
		trained, err := w.h.DataStore.Version(ctx, labels, d.Digest)
		if err != nil {
			return 0, err
		}
		if trained.Rows >= 0 {
			return int(now.Rows - trained.Rows), nil
		}
	}
	return int(now.Rows), nil
}

// artifact is a file of the run that made a release's version.
func (w watch) artifact(ctx context.Context, r monitor.Release, step, output string) (data.File, error) {
	v, err := w.h.versionOf(ctx, r.Model)
	if err != nil {
		return data.File{}, err
	}
	path, err := w.h.outputOf(ctx, v, step, output)
	return data.File{Path: path}, err
}
