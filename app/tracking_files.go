// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/pipeline"
	"lastro/track"
)

// metricPrefix begins the names of facts that are metrics.
const metricPrefix = "metrics."

func hasMetrics(facts map[string]float64) bool {
	for name := range facts {
		if strings.HasPrefix(name, metricPrefix) {
			return true
		}
	}
	return false
}

// originOf is what tracking knows of a job.
func originOf(j *pipeline.Job) track.Origin {
	return track.Origin{Run: runName(j), Step: j.Step.Name, Cell: cellName(j)}
}

// ofAttempt reports whether a tracked run was made by this attempt at its step.
// Those of before attempts were marked have no number and count.
func ofAttempt(r track.Run, j *pipeline.Job) bool {
	n := r.Tags[track.TagAttempt]
	return n == "" || n == strconv.Itoa(j.Attempt)
}

// keepFiles writes the metrics that a step's files hold, and the params that it
// had, to the tracked run of the attempt, so that both views of a run show one
// list (ADR 0017). A step that tracked nothing gets a tracked run for them. Doing it
// twice changes nothing.
func (t tracking) keepFiles(ctx context.Context, j *pipeline.Job, runs []track.Run, found map[string]float64) error {
	if !hasMetrics(found) {
		return nil
	}
	c := track.Caller{By: lastro.System("engine"), Origin: originOf(j), Attempt: j.Attempt}
	made := false
	r, ok := mainRun(runs, j)
	if !ok {
		e, err := t.h.Track.ExperimentByName(ctx, t.h.experiment())
		if err == nil {
			r, err = t.h.Track.CreateRun(ctx, c, track.Run{ExperimentID: e.ID, User: "lastro", Tags: map[string]string{"mlflow.source.type": "JOB", "mlflow.source.name": "lastro"}})
		}
		if err != nil {
			return fmt.Errorf("make the tracked run of %s: %w", j.Ref(), err)
		}
		made = true
	}
	b := track.Batch{Metrics: newMetrics(r, found, t.h.Clock), Params: newParams(r, j)}
	for len(b.Metrics)+len(b.Params) > 0 { // in portions that a batch may have
		part := track.Batch{Metrics: b.Metrics[:min(len(b.Metrics), 500)], Params: b.Params[:min(len(b.Params), 100)]}
		b.Metrics, b.Params = b.Metrics[len(part.Metrics):], b.Params[len(part.Params):]
		if err := t.h.Track.Log(ctx, c, r.ID, part); err != nil {
			return fmt.Errorf("keep the metrics of %s in its tracked run: %w", j.Ref(), err)
		}
	}
	if !made {
		return nil
	}
	_, err := t.h.Track.UpdateRun(ctx, c, r.ID, track.RunChange{Status: track.Finished, EndedAt: t.h.Clock.Now()})
	return err
}

// mainRun is the tracked run that stands for an attempt: the last one that it
// created and that is no part of another.
func mainRun(runs []track.Run, j *pipeline.Job) (found track.Run, ok bool) {
	for _, r := range runs { // oldest first
		if ofAttempt(r, j) && r.State == track.Active && r.Tags["mlflow.parentRunId"] == "" {
			found, ok = r, true
		}
	}
	return found, ok
}

// newMetrics are those of files that the tracked run does not show yet. What a
// file declares counts before what was logged, so it becomes the newest point.
func newMetrics(r track.Run, found map[string]float64, clock lastro.Clock) []track.Metric {
	shown := map[string]track.Metric{}
	for _, m := range r.Metrics {
		shown[m.Key] = m
	}
	now := clock.Now()
	var out []track.Metric
	for _, name := range slices.Sorted(maps.Keys(found)) {
		key, isMetric := strings.CutPrefix(name, metricPrefix)
		v := found[name]
		last, there := shown[key]
		if !isMetric || !track.ValidKey(key) || there && (last.Value == v || math.IsNaN(v) && math.IsNaN(last.Value)) {
			continue
		}
		m := track.Metric{Key: key, Value: v, At: now, Step: last.Step}
		if there && !now.After(last.At) {
			m.At = last.At
			m.Step++
		}
		out = append(out, m)
	}
	return out
}

// newParams are the params of the run and the values of the matrix cell that
// the tracked run does not name. One that the client logged stays: it is what
// the code says that it used.
func newParams(r track.Run, j *pipeline.Job) []track.Param {
	named := map[string]bool{}
	for _, p := range r.Params {
		named[p.Key] = true
	}
	all := map[string]string{}
	flatten(all, "", j.Params)
	flatten(all, "", j.Values)
	var out []track.Param
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if p := (track.Param{Key: key, Value: all[key]}); !named[key] && track.ValidParam(p) {
			out = append(out, p)
		}
	}
	return out
}

// flatten writes nested values as a.b = text.
func flatten(into map[string]string, prefix string, values map[string]any) {
	for k, v := range values {
		switch v := v.(type) {
		case map[string]any:
			flatten(into, prefix+k+".", v)
		case string:
			into[prefix+k] = v
		default:
			if text, err := json.Marshal(v); err == nil {
				into[prefix+k] = string(text)
			}
		}
	}
}

// trackedRunOf is the tracked run of a step or cell that ended well, "" when it
// tracked nothing.
func (h *House) trackedRunOf(ctx context.Context, run, step, cell string) (id string, err error) {
	runs, err := h.Track.RunsBy(ctx, track.Origin{Run: run, Step: step, Cell: cell})
	for _, r := range runs { // oldest first
		if r.State == track.Active && r.Status == track.Finished && r.Tags["mlflow.parentRunId"] == "" {
			id = r.ID
		}
	}
	return id, err
}
