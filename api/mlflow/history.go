// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/track"
)

type historyRequest struct {
	ID         string `json:"run_id" need:"yes"`
	UUID       string `json:"run_uuid"`
	Key        string `json:"metric_key" need:"yes"`
	PageToken  string `json:"page_token"`
	MaxResults int64s `json:"max_results"`
}

// mostPoints is the size of a page where the protocol names none.
const mostPoints = 25_000

// getHistory writes points as they are read, so a history of any length takes
// no more memory than a short one. Without max_results it is the whole
// history, as in MLflow.
func (h *handler) getHistory(ctx context.Context, req historyRequest) (any, error) {
	id := runID{req.ID, req.UUID}.String()
	if _, err := h.Track.RunInfo(ctx, id); err != nil {
		return nil, err
	}
	after, err := readHistoryToken(req.PageToken)
	if err != nil {
		return nil, err
	}
	return stream(func(w *bufio.Writer) error {
		return writeHistory(w, h.Track.Points(ctx, track.HistoryQuery{Run: id, Key: req.Key, After: after}), req.Key, max(0, int(req.MaxResults)))
	}), nil
}

// writeHistory writes a page of at most limit points (0 = all), and where the
// next one begins when there is one.
func writeHistory(w *bufio.Writer, points iter.Seq2[track.Metric, error], key string, limit int) error {
	name, err := json.Marshal(key)
	if err != nil {
		return err
	}
	w.WriteString(`{"metrics":[`)
	var last track.Metric
	n, next := 0, ""
	for m, err := range points {
		if err != nil {
			return err
		}
		if limit > 0 && n == limit {
			next = historyToken(last)
			break
		}
		if n > 0 {
			w.WriteByte(',')
		}
		if err := writePoint(w, m, name); err != nil {
			return err
		}
		n, last = n+1, m
	}
	w.WriteByte(']')
	if next != "" {
		w.WriteString(`,"next_page_token":"` + next + `"`)
	}
	return w.WriteByte('}')
}

// writePoint writes what json.Marshal would, for a tenth of the time.
func writePoint(w *bufio.Writer, m track.Metric, name []byte) error {
	if m.LoggedModel != "" || m.DatasetName != "" || m.DatasetDigest != "" || math.IsNaN(m.Value) || math.IsInf(m.Value, 0) {
		text, err := json.Marshal(toMetric(m))
		w.Write(text)
		return err
	}
	b := append(w.AvailableBuffer(), `{"key":`...)
	b = append(append(b, name...), `,"value":`...)
	b = strconv.AppendFloat(b, m.Value, 'g', -1, 64)
	b = strconv.AppendInt(append(b, `,"timestamp":`...), m.At.UnixMilli(), 10)
	b = strconv.AppendInt(append(b, `,"step":`...), m.Step, 10)
	_, err := w.Write(append(b, '}'))
	return err
}

// historyToken is where a page of a history ended: the time, step and value
// of its last point, which nothing that is logged later moves.
func historyToken(m track.Metric) string {
	return fmt.Sprintf("%d.%d.%x", m.At.UnixMilli(), m.Step, math.Float64bits(m.Value))
}

func readHistoryToken(token string) (*track.Metric, error) {
	if token == "" {
		return nil, nil
	}
	bad := &lastro.Error{Code: lastro.EInvalid, ID: "L0703", Msg: "page_token does not belong to this history", Hint: "start again without it"}
	at, rest, _ := strings.Cut(token, ".")
	step, value, _ := strings.Cut(rest, ".")
	ms, err1 := strconv.ParseInt(at, 10, 64)
	n, err2 := strconv.ParseInt(step, 10, 64)
	bits, err3 := strconv.ParseUint(value, 16, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return nil, bad
	}
	return &track.Metric{At: time.UnixMilli(ms), Step: n, Value: math.Float64frombits(bits)}, nil
}

type bulkRequest struct {
	Runs       []string `json:"run_ids"`
	Key        string   `json:"metric_key" need:"yes"`
	StartStep  *int64s  `json:"start_step"`
	EndStep    *int64s  `json:"end_step"`
	MaxResults *int64s  `json:"max_results"`
}

// getHistoryBulk samples the history of one metric of several runs at about
// the same steps: every step when they fit, else evenly spread ones with the
// first and the last.
func (h *handler) getHistoryBulk(ctx context.Context, req bulkRequest) (any, error) {
	if len(req.Runs) == 0 || len(req.Runs) > 100 {
		return nil, lastro.Errorf(lastro.EInvalid, "run_ids names %d runs; 1 to 100 are possible", len(req.Runs))
	}
	if (req.StartStep == nil) != (req.EndStep == nil) {
		return nil, lastro.Errorf(lastro.EInvalid, "start_step and end_step come together")
	}
	if req.StartStep != nil && *req.StartStep > *req.EndStep {
		return nil, lastro.Errorf(lastro.EInvalid, "start_step %d is after end_step %d", *req.StartStep, *req.EndStep)
	}
	most := 320 // what MLflow's own server samples
	if req.MaxResults != nil {
		if most = int(*req.MaxResults); most < 1 || most > 2500 {
			return nil, lastro.Errorf(lastro.EInvalid, "max_results is %d; 1 to 2500 are possible", most)
		}
	}
	out := []metric{}
	for _, id := range req.Runs {
		if _, err := h.Track.Run(ctx, id); err != nil {
			return nil, err
		}
		points, err := h.sampled(ctx, id, req, most)
		if err != nil {
			return nil, err
		}
		for _, m := range points {
			w := toMetric(m)
			w.RunID = id
			out = append(out, w)
		}
	}
	return map[string][]metric{"metrics": out}, nil
}

// mostSorted is how many points are held to be sorted by step. Histories that
// are longer and do not go up with time are sampled in order of time.
const mostSorted = 1_000_000

// sampled reads a history twice: to count it, then to take what is wanted.
func (h *handler) sampled(ctx context.Context, id string, req bulkRequest, most int) ([]track.Metric, error) {
	each := func(fn func(track.Metric)) error {
		for m, err := range h.Track.Points(ctx, track.HistoryQuery{Run: id, Key: req.Key}) {
			if err != nil {
				return err
			}
			if req.StartStep == nil || (m.Step >= int64(*req.StartStep) && m.Step <= int64(*req.EndStep)) {
				fn(m)
			}
		}
		return nil
	}
	count, up, last := 0, true, int64(math.MinInt64)
	if err := each(func(m track.Metric) { count, up, last = count+1, up && m.Step >= last, m.Step }); err != nil {
		return nil, err
	}
	var points []track.Metric
	if !up && count <= mostSorted {
		err := each(func(m track.Metric) { points = append(points, m) })
		slices.SortStableFunc(points, func(a, b track.Metric) int { return cmp.Compare(a.Step, b.Step) })
		return sample(points, most), err
	}
	i, next := 0, 0
	err := each(func(m track.Metric) {
		if next < most && i == sampleAt(next, count, most) { // what was logged after the count is left out
			points, next = append(points, m), next+1
		}
		i++
	})
	return points, err
}

// sample keeps at most n entries, evenly spread, with the first and the last.
func sample(points []track.Metric, n int) []track.Metric {
	out := make([]track.Metric, 0, min(n, len(points)))
	for i := range min(n, len(points)) {
		out = append(out, points[sampleAt(i, len(points), n)])
	}
	return out
}

// sampleAt is the place of the i-th of n samples of count entries.
func sampleAt(i, count, n int) int {
	switch {
	case count <= n:
		return i
	case n == 1:
		return count - 1
	}
	return i * (count - 1) / (n - 1)
}
