// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"encoding/json"

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
	Metrics []batchPoint `json:"metrics"`
	Params  []keyValue   `json:"params"`
	Tags    []keyValue   `json:"tags"`
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
