// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"lastro"
)

// Blobs is what this room needs of the content store, for spans too large for
// the database.
type Blobs interface {
	Put(ctx context.Context, r io.Reader) (lastro.Digest, int64, error)
	Open(ctx context.Context, d lastro.Digest) (io.ReadCloser, error)
}

// Service is tracing as every door uses it. It is safe for concurrent use.
type Service struct {
	store Store
	blobs Blobs
	clock lastro.Clock
}

// NewService returns tracing over s.
func NewService(s Store, b Blobs, c lastro.Clock) *Service { return &Service{s, b, c} }

// newID returns 32 random hex digits.
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Start records a whole trace: its client calls this at the end. With the id of
// one that exists, of its own spans or of an earlier try, it completes that one.
// Of t it takes everything but Number, HasSpans, By and Origin; id "" makes one.
func (s *Service) Start(ctx context.Context, c Caller, t Trace) (Trace, error) {
	if t.ID == "" {
		t.ID = newID()
	}
	if err := checkID(t.ID); err != nil {
		return t, err
	}
	if t.ExperimentID == "" {
		return t, &lastro.Error{Code: lastro.EInvalid, ID: "L0743", Msg: "the trace names no experiment", Hint: "set trace_location.mlflow_experiment.experiment_id"}
	}
	if !t.State.Known() {
		return t, lastro.Errorf(lastro.EInvalid, "%.40q is not a state of a trace; use OK, ERROR or IN_PROGRESS", string(t.State))
	}
	if t.At.IsZero() {
		t.At = s.clock.Now()
	}
	t.At = t.At.Truncate(time.Millisecond)
	if t.Took != nil {
		t.Took = new(max(0, t.Took.Truncate(time.Millisecond)))
	}
	if err := t.tidy(); err != nil {
		return t, err
	}
	for i, a := range t.Assessments {
		a.Trace = t.ID
		a = s.filled(a)
		if err := a.check(); err != nil {
			return t, err
		}
		if err := checkID(a.ID); err != nil {
			return t, err
		}
		t.Assessments[i] = a
	}
	t.By, t.Origin = c.By, c.Origin
	return s.store.Start(ctx, c, t)
}

// tidy moves what has a field of its own out of tags and metadata, and refuses
// or cuts what is too long.
func (t *Trace) tidy() error {
	tags, meta := map[string]string{}, map[string]string{}
	for k, v := range t.Tags {
		if err := checkKey("tag", k); err != nil {
			return err
		}
		switch k {
		case TagName:
			t.Name = new(cut(v, MaxTag))
		case TagSpansLocation, TagArtifacts, tagArchive: // the server's own
		default:
			tags[k] = cut(v, MaxTag)
		}
	}
	for k, v := range t.Metadata {
		if err := checkKey("metadata", k); err != nil {
			return err
		}
		switch k {
		case MetaSession:
			t.Session = new(cut(v, MaxMetadata))
		case MetaUsage:
			cost := t.Usage.Cost
			t.Usage = ParseUsage([]byte(v))
			t.Usage.Cost = cost
		case MetaCost:
			t.Usage.Cost = ParseCost([]byte(v))
		case MetaFinalized:
		default:
			meta[k] = cut(v, MaxTag)
		}
	}
	t.Tags, t.Metadata = tags, meta
	for _, p := range []*string{t.Request, t.Response, t.ClientID} {
		if p != nil {
			*p = cut(*p, 10*MaxPreview)
		}
	}
	return nil
}

// Begin is the first half of the older protocol: a trace in progress.
func (s *Service) Begin(ctx context.Context, c Caller, t Trace) (Trace, error) {
	t.ID, t.State = newID(), InProgress
	return s.Start(ctx, c, t)
}

// End is its second half.
func (s *Service) End(ctx context.Context, c Caller, id string, end Ending) (Trace, error) {
	if !end.State.Known() {
		return Trace{}, lastro.Errorf(lastro.EInvalid, "%.40q is not a status of a trace; use OK or ERROR", string(end.State))
	}
	if end.At.IsZero() {
		end.At = s.clock.Now()
	}
	for k, v := range end.Tags {
		if err := checkKey("tag", k); err != nil {
			return Trace{}, err
		}
		end.Tags[k] = cut(v, MaxTag)
	}
	for k, v := range end.Metadata {
		if err := checkKey("metadata", k); err != nil {
			return Trace{}, err
		}
		end.Metadata[k] = cut(v, MaxTag)
	}
	return s.store.End(ctx, c, id, end)
}

// TraceSpans are spans of one trace, and what tells of all of them.
type TraceSpans struct {
	ID       string            // "tr-" and the id of OpenTelemetry, unless the client chose another
	Resource map[string]string // tags that the trace gets when it has no other
	Spans    []Span
}

// AddSpans records spans of traces of one experiment, all or none. A trace that
// does not exist is made; a span that exists is replaced.
func (s *Service) AddSpans(ctx context.Context, c Caller, experiment string, traces []TraceSpans) error {
	batches := make([]Batch, 0, len(traces))
	n := 0
	for _, t := range traces {
		if err := checkID(t.ID); err != nil {
			return err
		}
		if n += len(t.Spans); n > MaxSpans {
			return &lastro.Error{Code: lastro.EInvalid, ID: "L0744", Msg: fmt.Sprintf("the request has more than %d spans", MaxSpans), Hint: "send them in several requests"}
		}
		if len(t.Spans) == 0 {
			continue
		}
		b, err := s.batch(ctx, t)
		if err != nil {
			return err
		}
		batches = append(batches, b)
	}
	if len(batches) == 0 {
		return nil
	}
	// Always in the order of their ids, so that two requests never wait for each other.
	slices.SortFunc(batches, func(a, b Batch) int { return strings.Compare(a.ID, b.ID) })
	return s.store.AddSpans(ctx, c, experiment, batches)
}

func (s *Service) batch(ctx context.Context, t TraceSpans) (Batch, error) {
	spans := lastOfEach(t.Spans)
	b := Batch{ID: t.ID, Facts: factsOf(spans), Spans: rowsOf(spans)}
	tags := map[string]string{}
	for k, v := range t.Resource {
		if checkKey("tag", k) == nil {
			tags[k] = cut(v, MaxTag)
		}
	}
	maps.Copy(tags, b.Facts.Tags)
	b.Facts.Tags = tags
	var err error
	if b.Body, err = encode(spans); err != nil || len(b.Body.Bytes) <= inRow {
		return b, err
	}
	b.Body.Blob, _, err = s.blobs.Put(ctx, bytes.NewReader(b.Body.Bytes))
	b.Body.Bytes = nil
	return b, err
}

// lastOfEach keeps the last of several spans with one id.
func lastOfEach(spans []Span) []Span {
	at := make(map[string]int, len(spans))
	out := make([]Span, 0, len(spans))
	for _, s := range spans {
		if i, ok := at[s.ID]; ok {
			out[i] = s
			continue
		}
		at[s.ID] = len(out)
		out = append(out, s)
	}
	return out
}

// Trace returns one trace with its assessments.
func (s *Service) Trace(ctx context.Context, id string) (Trace, error) {
	list, err := s.store.Traces(ctx, []string{id}, nil)
	if err != nil {
		return Trace{}, err
	}
	if len(list) == 0 {
		return Trace{}, notFound(id)
	}
	return list[0], nil
}

func notFound(id string) error {
	return lastro.Errorf(lastro.ENotFound, "there is no trace with id %.80q", id)
}

// Traces returns those of the ids that exist, in their order; experiments nil = all.
func (s *Service) Traces(ctx context.Context, ids, experiments []string) ([]Trace, error) {
	return s.store.Traces(ctx, ids, experiments)
}

// Spans returns the spans of traces by their Number: roots first, then by time.
func (s *Service) Spans(ctx context.Context, traces []Trace) (map[int64][]Span, error) {
	out := map[int64][]Span{}
	err := s.eachSpans(ctx, traces, nil, func(trace int64, spans []Span) {
		out[trace] = append(out[trace], spans...)
	})
	for n, spans := range out {
		spans = lastOfEach(spans)
		slices.SortStableFunc(spans, func(a, b Span) int {
			if (a.Parent == "") != (b.Parent == "") {
				return map[bool]int{true: -1, false: 1}[a.Parent == ""]
			}
			return int(min(max(a.Start-b.Start, -1), 1))
		})
		out[n] = spans
	}
	return out, err
}

// eachSpans calls fn with the spans of each request, in the order in which they came.
func (s *Service) eachSpans(ctx context.Context, traces []Trace, worth func([]byte) bool, fn func(trace int64, spans []Span)) error {
	var numbers []int64
	for _, t := range traces {
		if t.HasSpans {
			numbers = append(numbers, t.Number)
		}
	}
	return s.store.Bodies(ctx, numbers, func(trace int64, b Body) error {
		raw := b.Bytes
		if b.Blob != "" {
			var err error
			if raw, err = s.read(ctx, b.Blob); err != nil {
				return fmt.Errorf("read spans of a trace: %w", err)
			}
		}
		spans, err := decode(raw, worth)
		if err != nil {
			return err
		}
		fn(trace, spans)
		return nil
	})
}

func (s *Service) read(ctx context.Context, d lastro.Digest) ([]byte, error) {
	r, err := s.blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// lookAt is how many candidates are looked at together when the store can only narrow.
const lookAt = 500

// Search returns one page of the traces that a query asks for.
func (s *Service) Search(ctx context.Context, q Query) (Found, error) {
	look, err := newChecks(q.Where)
	if err != nil {
		return Found{}, err
	}
	want := max(1, q.Limit)
	var rows []Row
	if look.none() {
		q.Limit = want + 1
		rows, err = s.store.Search(ctx, q)
	} else {
		rows, err = s.narrow(ctx, q, look, want+1)
	}
	if err != nil {
		return Found{}, err
	}
	var out Found
	if len(rows) > want {
		out.Next, rows = rows[want-1].Token, rows[:want]
	}
	out.Traces = make([]Trace, len(rows))
	ids := make([]string, len(rows))
	for i, r := range rows {
		out.Traces[i], ids[i] = r.Trace, r.ID
	}
	if !look.none() && len(look.ofTrace) == 0 {
		out.Traces, err = s.store.Traces(ctx, ids, nil) // they were bare
	}
	return out, err
}

// narrow goes through candidates until it has as many as wanted.
func (s *Service) narrow(ctx context.Context, q Query, look checks, want int) ([]Row, error) {
	var out []Row
	q.Bare = len(look.ofTrace) == 0
	for q.Limit = max(want, min(lookAt, 4*want)); ; q.Limit = lookAt {
		rows, err := s.store.Search(ctx, q)
		if err != nil {
			return nil, err
		}
		held, err := s.held(ctx, rows, look)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if held[r.Number] {
				if out = append(out, r); len(out) == want {
					return out, nil
				}
			}
		}
		if len(rows) < q.Limit {
			return out, nil
		}
		q.PageToken = rows[len(rows)-1].Token
	}
}

// held says which of the rows all checks hold for.
func (s *Service) held(ctx context.Context, rows []Row, look checks) (map[int64]bool, error) {
	held := map[int64]bool{}
	var candidates []Trace
	for _, r := range rows {
		switch {
		case !look.trace(r.Trace):
		case len(look.ofSpan) == 0:
			held[r.Number] = true
		default:
			candidates = append(candidates, r.Trace)
		}
	}
	if len(candidates) == 0 {
		return held, nil
	}
	return held, s.eachSpans(ctx, candidates, look.worth, func(trace int64, spans []Span) {
		held[trace] = held[trace] || slices.ContainsFunc(spans, look.span)
	})
}

// count counts the traces that all clauses hold for.
func (s *Service) count(ctx context.Context, experiments []string, where [][]Clause) (int64, error) {
	if !slices.ContainsFunc(where, func(list []Clause) bool { return slices.ContainsFunc(list, Clause.Inexact) }) {
		return s.store.Count(ctx, experiments, where...)
	}
	// Each filter's clauses about spans hold for a span of their own.
	var all []map[string]bool
	for _, list := range where {
		ids := map[string]bool{}
		for q := (Query{Experiments: experiments, Where: list, Limit: lookAt}); ; {
			found, err := s.Search(ctx, q)
			if err != nil {
				return 0, err
			}
			for _, t := range found.Traces {
				ids[t.ID] = true
			}
			if q.PageToken = found.Next; q.PageToken == "" {
				break
			}
		}
		all = append(all, ids)
	}
	n := int64(0)
	for id := range all[0] {
		if !slices.ContainsFunc(all, func(ids map[string]bool) bool { return !ids[id] }) {
			n++
		}
	}
	return n, nil
}

// SetTag writes one tag of a trace.
func (s *Service) SetTag(ctx context.Context, c Caller, id, key, value string) error {
	if err := checkTag(key); err != nil {
		return err
	}
	return s.store.SetTag(ctx, c, id, key, cut(value, MaxTag))
}

// DeleteTag removes one tag of a trace.
func (s *Service) DeleteTag(ctx context.Context, c Caller, id, key string) error {
	if err := checkTag(key); err != nil {
		return err
	}
	return s.store.DeleteTag(ctx, c, id, key)
}

func checkTag(key string) error {
	if key == TagSpansLocation || key == tagArchive || key == tagArchiveFailure || key == TagArtifacts {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0745", Msg: fmt.Sprintf("tag %q is the server's own and cannot be changed", key), Hint: "choose another name"}
	}
	return checkKey("tag", key)
}

// Delete removes traces for ever and returns how many. Content that only they
// needed goes with the next lastro gc.
func (s *Service) Delete(ctx context.Context, c Caller, d Deletion) (int, error) {
	switch {
	case d.Experiment == "":
		return 0, lastro.Errorf(lastro.EInvalid, "experiment_id is missing")
	case len(d.IDs) == 0 && d.Until == nil:
		return 0, &lastro.Error{Code: lastro.EInvalid, ID: "L0746", Msg: "it is not said which traces to delete", Hint: "give their ids, or max_timestamp_millis"}
	case len(d.IDs) > 0 && (d.Until != nil || d.Most != nil):
		return 0, lastro.Errorf(lastro.EInvalid, "traces are deleted by their ids or by their time, not by both")
	case d.Most != nil && *d.Most <= 0:
		return 0, lastro.Errorf(lastro.EInvalid, "max_traces is %d; it must be 1 or more", *d.Most)
	}
	return s.store.Delete(ctx, c, d, func(n int) lastro.Event {
		return lastro.NewEvent(s.clock.Now(), c.By, "traces.deleted", lastro.NewRef("experiment", d.Experiment, ""), map[string]any{"traces": n})
	})
}

// LinkRun ties traces to a tracked run, so that a search by run finds them.
func (s *Service) LinkRun(ctx context.Context, c Caller, ids []string, run string) error {
	if len(ids) > MaxLinks {
		return lastro.Errorf(lastro.EInvalid, "trace_ids has %d entries; %d is the most", len(ids), MaxLinks)
	}
	if run == "" {
		return lastro.Errorf(lastro.EInvalid, "run_id is missing")
	}
	if len(ids) == 0 {
		return nil
	}
	return s.store.LinkRun(ctx, c, ids, run)
}

// LinkPrompts ties versions of prompts ("name/version") to a trace.
func (s *Service) LinkPrompts(ctx context.Context, c Caller, id string, prompts []string) error {
	if len(prompts) > MaxLinks {
		return lastro.Errorf(lastro.EInvalid, "prompt_versions has %d entries; %d is the most", len(prompts), MaxLinks)
	}
	for _, p := range prompts {
		if err := checkKey("prompt version", p); err != nil {
			return err
		}
	}
	return s.store.LinkPrompts(ctx, c, id, prompts)
}

// MayWriteArtifact reports whether the caller may write below the root of a trace.
func (s *Service) MayWriteArtifact(ctx context.Context, c Caller, experiment, id string) (Trace, error) {
	t, err := s.Trace(ctx, id)
	if err != nil {
		return t, err
	}
	if t.ExperimentID != experiment {
		return t, lastro.Errorf(lastro.EInvalid, "trace %s is not of experiment %.40q", id, experiment)
	}
	return t, c.MayWrite("trace", id, t.Origin)
}

// PutArtifact names bytes below the root of a trace; ask MayWriteArtifact first.
func (s *Service) PutArtifact(ctx context.Context, t Trace, path string, digest lastro.Digest, size int64) error {
	return s.store.PutArtifact(ctx, Root(t.ExperimentID, t.ID)+"/"+path, digest, size, s.clock.Now())
}
