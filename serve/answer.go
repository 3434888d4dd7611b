// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"lastro"
)

// reply is what the gateway gives a protocol to encode.
type reply struct {
	answer   Answer
	revision Revision
	role     string
	failed   string // name of the candidate that failed first
}

// failure is an error with the HTTP status that clients expect.
type failure struct {
	status int
	err    error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(status int, format string, args ...any) *failure {
	return &failure{status, lastro.Errorf(lastro.EErrored, format, args...)}
}

// statusOf maps an error to its HTTP status, in one place.
func statusOf(err error) int {
	var f *failure
	switch {
	case errors.As(err, &f):
		return f.status
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case lastro.Is(err, lastro.EInvalid):
		return http.StatusBadRequest
	case lastro.Is(err, lastro.ENotFound):
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// attempt is one revision's try at a request.
type attempt struct {
	rev    *revision
	role   string
	took   time.Duration
	answer Answer
	rows   []any // one answer a row, for counters and log
	sent   []Column
	err    error
}

// answer routes one request: the candidate's share to the candidate, and to
// the champion whatever the candidate fails at (SEMANTICS 21).
func (g *Gateway) answer(ctx context.Context, ep *endpoint, q *request) (reply, error) {
	t := ep.table.Load()
	deadline := t.routing.Deadline
	if deadline == 0 {
		deadline = defaultDeadline
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	rev, role, err := t.pick(q)
	if err != nil {
		return reply{}, err
	}
	times, err := q.eventTimes(t.routing.EventTime)
	if err != nil {
		g.logRejected(t, q, started, err)
		return reply{}, err
	}
	var failed *attempt
	if role == "candidate" {
		first := g.try(ctx, t, rev, role, q, deadline/2)
		if first.err == nil || q.version != "" || t.champion == nil {
			return g.settle(ctx, t, q, started, times, first, nil)
		}
		if ctx.Err() != nil && context.Cause(ctx) == context.Canceled {
			return reply{}, fail(499, "the client went away")
		}
		failed, rev, role = &first, t.champion, "champion"
	}
	return g.settle(ctx, t, q, started, times, g.try(ctx, t, rev, role, q, deadline), failed)
}

// pick chooses the revision that is asked first.
func (t *table) pick(q *request) (*revision, string, error) {
	if q.version != "" {
		if t.candidate != nil && t.candidate.spec.Version == q.version {
			return t.candidate, "candidate", nil
		}
		if t.champion == nil || t.champion.spec.Version != q.version {
			return nil, "", lastro.Errorf(lastro.ENotFound, "version %s of %s is not served here", q.version, t.routing.Model)
		}
		return t.champion, "champion", nil
	}
	if t.champion == nil {
		return nil, "", t.unavailable()
	}
	if t.candidate != nil && fraction(q.id) < t.routing.Share {
		return t.candidate, "candidate", nil
	}
	return t.champion, "champion", nil
}

// unavailable says why nothing answers.
func (t *table) unavailable() error {
	if t.wanted == nil {
		return fail(http.StatusServiceUnavailable, "nothing is deployed to %s yet", t.routing.Endpoint)
	}
	state, err := t.wanted.status()
	if state == Failed {
		return &failure{http.StatusServiceUnavailable, err}
	}
	return fail(http.StatusServiceUnavailable, "%s is loading", t.wanted.spec.Name)
}

// fraction maps a request id evenly to [0, 1), so that the same id always meets the same side.
func fraction(id string) float64 {
	sum := sha256.Sum256([]byte(id))
	return float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
}

// try asks one revision.
func (g *Gateway) try(ctx context.Context, t *table, rev *revision, role string, q *request, within time.Duration) attempt {
	a := attempt{rev: rev, role: role}
	model, done, ok := rev.ready()
	if !ok {
		a.err = fail(http.StatusServiceUnavailable, "%s is leaving", rev.spec.Name)
		return a
	}
	defer done()
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var batch Batch
	batch, a.sent, a.err = q.prepare(model.Schema(), t.routing, rev.spec.Name)
	if a.err != nil {
		return a
	}
	a.answer, a.err = model.Predict(ctx, batch)
	if a.err == nil {
		a.rows, a.err = RowAnswers(a.answer, batch.Rows)
	}
	if errors.Is(a.err, context.DeadlineExceeded) {
		a.err = &failure{http.StatusGatewayTimeout, lastro.Errorf(lastro.EErrored, "%s did not answer within %s", rev.spec.Name, within)}
	}
	a.took = time.Since(started)
	return a
}

// settle counts and logs a request that is done. failed is the candidate's
// attempt when the champion was asked after it.
func (g *Gateway) settle(ctx context.Context, t *table, q *request, started time.Time, times []int64, a attempt, failed *attempt) (reply, error) {
	if a.err != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return reply{}, fail(499, "the client went away")
	}
	// When both sides refuse the input the client is at fault and neither side is counted sick.
	invalid := lastro.Is(a.err, lastro.EInvalid)
	if failed != nil && !(invalid && lastro.Is(failed.err, lastro.EInvalid)) {
		failed.rev.counts.failed(failed.took)
	}
	switch {
	case invalid:
		a.rev.counts.rejected()
	case a.err != nil:
		a.rev.counts.failed(a.took)
	case failed != nil:
		// Its rows are those that the candidate cannot answer: in the champion's
		// score they would bend the comparison.
		a.rev.counts.rescued()
	default:
		a.rev.counts.answered(a.took, a.rows, t.routing.Favourable)
	}
	e := logEntry{at: started, id: q.id, endpoint: t.routing.Endpoint, rev: a.rev.spec.Name, role: a.role, status: http.StatusOK,
		took: time.Since(started), rows: q.count(), columns: a.sent, eventTime: times, out: a.rows}
	if a.err != nil {
		e.status, e.err, e.out = statusOf(a.err), a.err.Error(), nil
	}
	r := reply{answer: a.answer, revision: a.rev.spec, role: a.role}
	if failed != nil {
		e.failedRev, e.failedErr = failed.rev.spec.Name, failed.err.Error()
		r.failed = failed.rev.spec.Name
	}
	g.log.put(e)
	return r, a.err
}

func (g *Gateway) logRejected(t *table, q *request, started time.Time, err error) {
	e := logEntry{at: started, id: q.id, endpoint: t.routing.Endpoint, status: statusOf(err), took: time.Since(started), rows: q.count(), err: err.Error()}
	for _, c := range q.columns {
		e.columns = append(e.columns, Column{Name: c.Name, Values: guess(c.Values)})
	}
	g.log.put(e)
}

func (q *request) count() int {
	if q.matrix != nil {
		return len(q.matrix)
	}
	return q.rows
}

// RowAnswers reduces an answer to one value a row: the score when the answer
// is numeric, the decision when it is a string or boolean. Of two columns of
// probabilities it is the last (scikit-learn's order of classes); of more
// columns there is none. An answer of another number of rows, or with a
// missing or infinite number, is malformed and an error.
func RowAnswers(a Answer, rows int) ([]any, error) {
	if len(a.Outputs) == 0 {
		return nil, lastro.Errorf(lastro.EFailed, "the model answered nothing")
	}
	for _, o := range a.Outputs {
		if err := o.check(rows); err != nil {
			return nil, err
		}
	}
	o, width := scoreOutput(a.Outputs), 1
	for _, d := range o.Shape[1:] {
		width *= int(d)
	}
	out := make([]any, rows)
	if width > 2 || width == 0 {
		return out, nil
	}
	for i := range out {
		out[i] = o.Data[i*width+width-1]
	}
	return out, nil
}

// scoreOutput picks the output that holds the score: two probabilities beside a
// label (ONNX classifiers), the last of two columns of numbers, else the first.
func scoreOutput(outputs []Output) Output {
	for _, o := range outputs {
		if o.Datatype == "FP64" && len(o.Shape) == 2 && o.Shape[1] == 2 {
			return o
		}
	}
	if len(outputs) == 2 && outputs[0].Datatype == "FP64" && outputs[1].Datatype == "FP64" {
		return outputs[1]
	}
	return outputs[0]
}

func (o Output) check(rows int) error {
	size := int64(1)
	for _, d := range o.Shape {
		size *= d
	}
	if len(o.Shape) == 0 || o.Shape[0] != int64(rows) || size != int64(len(o.Data)) {
		return lastro.Errorf(lastro.EFailed, "the model answered %d values of shape %v to %d rows", len(o.Data), o.Shape, rows)
	}
	for i, v := range o.Data {
		x, isFloat := v.(float64)
		if o.Datatype == "FP64" && (v == nil || isFloat && (math.IsNaN(x) || math.IsInf(x, 0))) {
			return lastro.Errorf(lastro.EFailed, "the model answered no number in output %q, value %s", o.Name, fmt.Sprint(i))
		}
	}
	return nil
}
