// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/track"
)

// runID is how every request names a tracked run: run_uuid is its old spelling.
type runID struct {
	ID   string `json:"run_id" need:"yes"`
	UUID string `json:"run_uuid"`
}

func (r runID) String() string {
	if r.ID == "" {
		return r.UUID
	}
	return r.ID
}

type createRunRequest struct {
	ExperimentID string     `json:"experiment_id"`
	User         string     `json:"user_id"`
	Name         string     `json:"run_name"`
	StartTime    int64s     `json:"start_time"`
	Tags         []keyValue `json:"tags"`
}

type runAnswer struct {
	Run run `json:"run"`
}

func (h *handler) createRun(ctx context.Context, req createRunRequest) (any, error) {
	if req.ExperimentID == "" {
		req.ExperimentID = "0"
	}
	if err := checkExperimentID(req.ExperimentID); err != nil {
		return nil, err
	}
	if tagged := asMap(req.Tags)[runNameTag]; tagged != "" && req.Name != "" && tagged != req.Name {
		return nil, lastro.Errorf(lastro.EInvalid, "run_name is %q and tag %s is %q; give one of them", req.Name, runNameTag, tagged)
	}
	r, err := h.Track.CreateRun(ctx, caller(ctx), track.Run{ExperimentID: req.ExperimentID, User: req.User, Name: req.Name,
		StartedAt: fromMillis(req.StartTime), Tags: asMap(req.Tags)})
	return runAnswer{toRun(r)}, err
}

type runRequest struct {
	ID   string `json:"run_id" need:"yes"`
	UUID string `json:"run_uuid"`
}

func (h *handler) getRun(ctx context.Context, req runRequest) (any, error) {
	r, err := h.Track.Run(ctx, runID(req).String())
	return runAnswer{toRun(r)}, err
}

type updateRunRequest struct {
	runID
	Status  word   `json:"status"`
	EndTime int64s `json:"end_time"`
	Name    string `json:"run_name"`
}

// statuses are the protocol's numbers of a status; clients may send either.
var statuses = map[string]track.Status{"1": track.Running, "2": track.Scheduled, "3": track.Finished, "4": track.Failed, "5": track.Killed}

func (h *handler) updateRun(ctx context.Context, req updateRunRequest) (any, error) {
	status, ok := statuses[string(req.Status)]
	if !ok {
		status = track.Status(req.Status)
	}
	r, err := h.Track.UpdateRun(ctx, caller(ctx), req.String(), track.RunChange{Name: req.Name, Status: status, EndedAt: fromMillis(req.EndTime)})
	return struct {
		Info runInfo `json:"run_info"`
	}{toRunInfo(r)}, err
}

func (h *handler) deleteRun(ctx context.Context, req runRequest) (any, error) {
	return empty{}, h.Track.SetRunState(ctx, caller(ctx), runID(req).String(), track.Deleted)
}

func (h *handler) restoreRun(ctx context.Context, req runRequest) (any, error) {
	return empty{}, h.Track.SetRunState(ctx, caller(ctx), runID(req).String(), track.Active)
}

type keyValueRequest struct {
	runID
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (h *handler) setTag(ctx context.Context, req keyValueRequest) (any, error) {
	return h.log(ctx, req.runID, track.Batch{Tags: []track.Tag{{Key: req.Key, Value: req.Value}}})
}

func (h *handler) deleteTag(ctx context.Context, req keyValueRequest) (any, error) {
	return empty{}, h.Track.DeleteTag(ctx, caller(ctx), req.String(), req.Key)
}

func (h *handler) logParam(ctx context.Context, req keyValueRequest) (any, error) {
	return h.log(ctx, req.runID, track.Batch{Params: []track.Param{{Key: req.Key, Value: req.Value}}})
}

// point is a metric as clients send it.
type point struct {
	Key           string  `json:"key" need:"yes"`
	Value         *float  `json:"value" need:"yes"`
	Timestamp     *int64s `json:"timestamp" need:"yes"`
	Step          int64s  `json:"step"`
	ModelID       string  `json:"model_id"`
	DatasetName   string  `json:"dataset_name"`
	DatasetDigest string  `json:"dataset_digest"`
}

func (p point) track() (track.Metric, error) {
	switch {
	case p.Key == "":
		return track.Metric{}, missing("the key of a metric")
	case p.Value == nil:
		return track.Metric{}, missing("the value of metric " + quoted(p.Key))
	case p.Timestamp == nil:
		return track.Metric{}, missing("the timestamp of metric " + quoted(p.Key))
	case *p.Timestamp < 0:
		return track.Metric{}, lastro.Errorf(lastro.EInvalid, "the timestamp of metric %q is %d; it is milliseconds since 1970", p.Key, *p.Timestamp)
	}
	return metric{Key: p.Key, Value: *p.Value, Timestamp: *p.Timestamp, Step: p.Step, ModelID: p.ModelID,
		DatasetName: p.DatasetName, DatasetDigest: p.DatasetDigest}.track(), nil
}

type logMetricRequest struct {
	runID
	point
}

func (h *handler) logMetric(ctx context.Context, req logMetricRequest) (any, error) {
	m, err := req.track()
	if err != nil {
		return nil, err
	}
	return h.log(ctx, req.runID, track.Batch{Metrics: []track.Metric{m}})
}

type logBatchRequest struct {
	runID
	Metrics []point    `json:"metrics"`
	Params  []keyValue `json:"params"`
	Tags    []keyValue `json:"tags"`
}

func (h *handler) logBatch(ctx context.Context, req logBatchRequest) (any, error) {
	b := track.Batch{Params: asParams(req.Params), Tags: asTags(req.Tags), Metrics: make([]track.Metric, len(req.Metrics))}
	for i, m := range req.Metrics {
		var err error
		if b.Metrics[i], err = m.track(); err != nil {
			return nil, err
		}
	}
	return h.log(ctx, req.runID, b)
}

func (h *handler) log(ctx context.Context, id runID, b track.Batch) (any, error) {
	if err := checkBatch(&b); err != nil {
		return nil, err
	}
	return empty{}, h.Track.Log(ctx, caller(ctx), id.String(), b)
}

type logInputsRequest struct {
	runID
	Datasets []datasetInput `json:"datasets"`
	Models   []modelInput   `json:"models"`
}

func (h *handler) logInputs(ctx context.Context, req logInputsRequest) (any, error) {
	in := make([]track.Input, len(req.Datasets))
	for i, d := range req.Datasets {
		if err := d.check(); err != nil {
			return nil, err
		}
		in[i] = track.Input{Name: d.Dataset.Name, Digest: d.Dataset.Digest, SourceType: d.Dataset.SourceType, Source: d.Dataset.Source,
			Schema: d.Dataset.Schema, Profile: d.Dataset.Profile, Tags: asMap(d.Tags)}
	}
	models := make([]string, len(req.Models))
	for i, m := range req.Models {
		models[i] = m.ModelID
	}
	return empty{}, h.Track.LogInputs(ctx, caller(ctx), req.String(), in, models)
}

type logOutputsRequest struct {
	runID
	Models []modelOutput `json:"models" need:"yes"`
}

func (h *handler) logOutputs(ctx context.Context, req logOutputsRequest) (any, error) {
	out := make([]track.ModelOutput, len(req.Models))
	for i, m := range req.Models {
		out[i] = track.ModelOutput{ModelID: m.ModelID, Step: int64(m.Step)}
	}
	return empty{}, h.Track.LogOutputs(ctx, caller(ctx), req.String(), out)
}

// historyTag is where older clients keep the models of a run, as a JSON list.
const historyTag = "mlflow.log-model.history"

type logModelRequest struct {
	runID
	Model string `json:"model_json"`
}

func (h *handler) logModel(ctx context.Context, req logModelRequest) (any, error) {
	var model map[string]json.RawMessage
	if err := json.Unmarshal([]byte(req.Model), &model); err != nil {
		return nil, lastro.Errorf(lastro.EInvalid, "model_json is not a JSON object: %v", err)
	}
	for _, name := range []string{"artifact_path", "flavors", "utc_time_created", "run_id"} {
		if _, ok := model[name]; !ok {
			return nil, missing("model_json." + name)
		}
	}
	r, err := h.Track.Run(ctx, req.String())
	if err != nil {
		return nil, err
	}
	var history []json.RawMessage
	if have := r.Tags[historyTag]; have != "" {
		if err := json.Unmarshal([]byte(have), &history); err != nil {
			return nil, lastro.Errorf(lastro.EInvalid, "tag %s of run %s is not a list", historyTag, r.ID)
		}
	}
	text, err := json.Marshal(append(history, json.RawMessage(req.Model)))
	if err != nil {
		return nil, err
	}
	return h.log(ctx, req.runID, track.Batch{Tags: []track.Tag{{Key: historyTag, Value: string(text)}}})
}

type historyRequest struct {
	ID         string `json:"run_id" need:"yes"`
	UUID       string `json:"run_uuid"`
	Key        string `json:"metric_key" need:"yes"`
	PageToken  string `json:"page_token"`
	MaxResults int64s `json:"max_results"`
}

// mostPoints is the size of a page of points when the client names none; clients follow the token.
const mostPoints = 25_000

func (h *handler) getHistory(ctx context.Context, req historyRequest) (any, error) {
	id := runID{req.ID, req.UUID}.String()
	if _, err := h.Track.RunInfo(ctx, id); err != nil {
		return nil, err
	}
	limit := int(req.MaxResults)
	if limit <= 0 {
		limit = mostPoints
	}
	limit = min(limit, 50_000)
	after, err := readHistoryToken(req.PageToken)
	if err != nil {
		return nil, err
	}
	points, err := h.Track.History(ctx, track.HistoryQuery{Run: id, Key: req.Key, After: after, Limit: limit + 1})
	next := ""
	if len(points) > limit {
		points = points[:limit]
		next = historyToken(points[limit-1])
	}
	return struct {
		Metrics []metric `json:"metrics"`
		Next    string   `json:"next_page_token,omitempty"`
	}{toMetrics(points), next}, err
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
		points, err := h.Track.History(ctx, track.HistoryQuery{Run: id, Key: req.Key})
		if err != nil {
			return nil, err
		}
		points = slices.DeleteFunc(points, func(m track.Metric) bool {
			return req.StartStep != nil && (m.Step < int64(*req.StartStep) || m.Step > int64(*req.EndStep))
		})
		slices.SortStableFunc(points, func(a, b track.Metric) int { return int(min(max(a.Step-b.Step, -1), 1)) })
		for _, m := range sample(points, most) {
			w := toMetric(m)
			w.RunID = id
			out = append(out, w)
		}
	}
	return map[string][]metric{"metrics": out}, nil
}

// sample keeps at most n entries, evenly spread, with the first and the last.
func sample(points []track.Metric, n int) []track.Metric {
	if len(points) <= n {
		return points
	}
	if n == 1 {
		return points[len(points)-1:]
	}
	out := make([]track.Metric, n)
	for i := range n {
		out[i] = points[i*(len(points)-1)/(n-1)]
	}
	return out
}
