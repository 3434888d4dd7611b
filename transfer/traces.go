// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"lastro"
	"lastro/trace"
	"lastro/track"
)

// Trace is a trace with its spans; Root is where its attachments are, "" when
// it cannot have any.
type Trace struct {
	trace.Trace
	Spans []trace.Span
	Root  string
	Runs  []string // tracked runs that it was linked to afterwards
}

// Tracing is this lastro's traces.
type Tracing interface {
	Start(ctx context.Context, c trace.Caller, t trace.Trace) (trace.Trace, error)
	AddSpans(ctx context.Context, c trace.Caller, experiment string, traces []trace.TraceSpans) error
	Traces(ctx context.Context, ids, experiments []string) ([]trace.Trace, error)
	Search(ctx context.Context, q trace.Query) (trace.Found, error)
	Spans(ctx context.Context, traces []trace.Trace) (map[int64][]trace.Span, error)
	LinkRun(ctx context.Context, c trace.Caller, ids []string, run string) error
}

// traces moves the traces of an experiment. One that is in the bin is taken
// out for as long as that lasts, because traces are written to active ones only.
func (i *Importer) traces(ctx context.Context, e track.Experiment) error {
	if i.Plan.NoTraces || i.Tracing == nil {
		return nil
	}
	out := e.State == track.Active
	err := i.source.Traces(ctx, e.ID, func(t Trace) error {
		i.t.add(Traces, Count{Found: 1})
		marks, err := i.Write.Marks(ctx, "trace", []string{t.ID})
		if err != nil {
			return err
		}
		mark := markOfTrace(t)
		if marks[t.ID] == mark && !i.Again {
			i.t.add(Traces, Count{There: 1})
			return nil
		}
		if !out {
			out = true
			active := e
			active.State = track.Active
			if err := i.Write.PutExperiment(ctx, active, i.markOfExperiment()); err != nil {
				return err
			}
		}
		return i.trace(ctx, t, mark)
	})
	if e.State != track.Active && out {
		err = errors.Join(err, i.Write.PutExperiment(ctx, e, i.markOfExperiment()))
	}
	return err
}

func (i *Importer) trace(ctx context.Context, t Trace, mark string) error {
	c := trace.Caller{By: i.By}
	ref := string(t.Ref())
	have, err := i.Tracing.Traces(ctx, []string{t.ID}, nil)
	if err != nil {
		return err
	}
	if len(have) == 0 || have[0].State == trace.InProgress {
		_, err = i.Tracing.Start(ctx, c, t.Trace)
	}
	if err == nil && len(t.Spans) > 0 {
		err = i.Tracing.AddSpans(ctx, c, t.ExperimentID, []trace.TraceSpans{{ID: t.ID, Spans: t.Spans}})
	}
	for _, run := range t.Runs {
		if err == nil {
			err = i.Tracing.LinkRun(ctx, c, []string{t.ID}, run)
		}
	}
	if lastro.Is(err, lastro.EInvalid) {
		i.t.skip(Traces, ref, err.Error(), "all")
		return nil
	}
	if err != nil {
		return err
	}
	var files []track.Artifact
	if t.Root != "" {
		if files, err = i.files(ctx, ref, t.Root, trace.Root(t.ExperimentID, t.ID)); err != nil {
			return err
		}
	}
	if err := i.Write.PutTrace(ctx, t.ID, files, mark); err != nil {
		return err
	}
	i.t.add(Traces, Count{Moved: 1})
	return nil
}

// The parts of a trace.
var traceParts = []string{"state or times", "tags", "metadata", "assessments", "spans"}

// serverTags and serverMetadata are what a server writes itself.
var serverTags = []string{trace.TagSpansLocation, trace.TagArtifacts, trace.TagName}
var serverMetadata = []string{trace.MetaFinalized, trace.MetaSession, trace.MetaUsage, trace.MetaCost, trace.MetaSizeStats, "mlflow.trace.sizeBytes"}

func printTrace(t Trace) (out [5]fingerprint) {
	var p printer
	p.text(string(t.State), t.ExperimentID)
	p.time(t.At)
	took := int64(0) // some servers say 0 for what they do not know
	if t.Took != nil {
		took = t.Took.Milliseconds()
	}
	p.number(took)
	out[0] = p.sum()
	p.texts(without(t.Tags, serverTags))
	out[1] = p.sum()
	p.texts(without(t.Metadata, serverMetadata))
	out[2] = p.sum()
	var s set
	for _, a := range t.Assessments {
		p.text(a.ID, a.Name, string(a.Kind), a.SourceType, a.SourceID, a.Span, string(compact(a.Value)))
		if a.Rationale != nil {
			p.text(*a.Rationale)
		}
		p.texts(a.Metadata)
		s.add(p.sum())
	}
	out[3] = s.sum()
	s = set{}
	for _, x := range t.Spans {
		p.text(x.ID, x.Parent, x.Name, string(x.Status), x.Message)
		p.number(x.Start, x.End, int64(len(x.Events)), int64(len(x.Links)))
		for _, k := range slices.Sorted(maps.Keys(x.Attributes)) {
			p.text(k, string(compact(x.Attributes[k])))
		}
		s.add(p.sum())
	}
	out[4] = s.sum()
	return out
}

func without(m map[string]string, keys []string) map[string]string {
	out := maps.Clone(m)
	for _, k := range keys {
		delete(out, k)
	}
	return out
}

func markOfTrace(t Trace) string {
	if t.State == trace.InProgress {
		return "goes on " + time.Now().UTC().Format(time.RFC3339Nano)
	}
	var p printer
	for _, part := range printTrace(t) {
		p.buf = append(p.buf, part[:]...)
	}
	return p.sum().String()
}

// traces compares the traces of an experiment.
func (c comparison) traces(ctx context.Context, experiment string, n map[string]int) error {
	var both [2]map[string][5]fingerprint
	for i, s := range []Source{c.from, c.to} {
		both[i] = map[string][5]fingerprint{}
		if err := s.Traces(ctx, experiment, func(t Trace) error { both[i][t.ID] = printTrace(t); return nil }); err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(both[0])) {
		n[Traces]++
		ref := string(lastro.NewRef("trace", id, ""))
		have, ok := both[1][id]
		if !ok {
			c.t.differ(ref, "missing")
			continue
		}
		for i, part := range traceParts {
			if both[0][id][i] != have[i] {
				c.t.differ(ref, part)
			}
		}
	}
	return nil
}

// Traces implements Source.
func (s Own) Traces(ctx context.Context, experiment string, fn func(Trace) error) error {
	if s.Tracing == nil {
		return nil
	}
	q := trace.Query{Experiments: []string{experiment}, Limit: runsAtOnce}
	for {
		found, err := s.Tracing.Search(ctx, q)
		if err != nil {
			return err
		}
		spans, err := s.Tracing.Spans(ctx, found.Traces)
		if err != nil {
			return err
		}
		for _, t := range found.Traces {
			if err := fn(Trace{Trace: t, Spans: spans[t.Number], Root: artifactScheme + "/" + trace.Root(t.ExperimentID, t.ID)}); err != nil {
				return err
			}
		}
		if q.PageToken = found.Next; q.PageToken == "" {
			return nil
		}
	}
}

// Traces implements Source.
func (s planned) Traces(ctx context.Context, experiment string, fn func(Trace) error) error {
	if s.plan.NoTraces {
		return nil
	}
	return s.Source.Traces(ctx, s.there(experiment), func(t Trace) error {
		t.ExperimentID, t.Tags = experiment, foreign(t.Tags)
		return fn(t)
	})
}
