// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"encoding/json"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/track"
)

// int64s is a 64-bit number that may come as a number or as a string; it goes
// out as a number, which every client reads.
type int64s int64

// UnmarshalJSON reads 12, "12" and 12.0.
func (n *int64s) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return lastro.Errorf(lastro.EInvalid, "%.40q is not a whole number", text)
		}
		v = int64(f)
	}
	*n = int64s(v)
	return nil
}

// word is a name that old clients send as its number.
type word string

// UnmarshalJSON reads "FINISHED" and 3.
func (w *word) UnmarshalJSON(b []byte) error {
	*w = word(strings.Trim(string(b), `"`))
	return nil
}

// float is a number that may be "NaN", "Infinity" or "-Infinity", as protobuf's
// JSON spells them.
type float float64

// UnmarshalJSON reads numbers, numbers in strings and the three names.
func (f *float) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return lastro.Errorf(lastro.EInvalid, "%.40q is not a number", text)
	}
	*f = float(v)
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (f float) MarshalJSON() ([]byte, error) {
	switch v := float64(f); {
	case math.IsNaN(v):
		return []byte(`"NaN"`), nil
	case math.IsInf(v, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(v, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return json.Marshal(v)
	}
}

// keyValue is a tag or a param on the wire.
type keyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func keyValues(m map[string]string) []keyValue {
	out := make([]keyValue, 0, len(m))
	for k, v := range m {
		out = append(out, keyValue{k, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}

func asMap(list []keyValue) map[string]string {
	m := make(map[string]string, len(list))
	for _, kv := range list {
		m[kv.Key] = kv.Value
	}
	return m
}

func asTags(list []keyValue) []track.Tag {
	out := make([]track.Tag, len(list))
	for i, kv := range list {
		out[i] = track.Tag{Key: kv.Key, Value: kv.Value}
	}
	return out
}

func asParams(list []keyValue) []track.Param {
	out := make([]track.Param, len(list))
	for i, kv := range list {
		out[i] = track.Param{Key: kv.Key, Value: kv.Value}
	}
	return out
}

// millis is a time on the wire; 0 for none.
func millis(t time.Time) int64s {
	if t.IsZero() {
		return 0
	}
	return int64s(t.UnixMilli())
}

func fromMillis(ms int64s) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

type viewType string

func (v viewType) state() (track.Lifecycle, error) {
	switch v {
	case "", "ACTIVE_ONLY", "1":
		return track.Active, nil
	case "DELETED_ONLY", "2":
		return track.Deleted, nil
	case "ALL", "3":
		return "", nil
	}
	return "", lastro.Errorf(lastro.EInvalid, "%q is not a view type; use ACTIVE_ONLY, DELETED_ONLY or ALL", string(v))
}

type experiment struct {
	ID        string     `json:"experiment_id"`
	Name      string     `json:"name"`
	Location  string     `json:"artifact_location"`
	Lifecycle string     `json:"lifecycle_stage"`
	CreatedAt int64s     `json:"creation_time"`
	UpdatedAt int64s     `json:"last_update_time"`
	Tags      []keyValue `json:"tags"`
}

func toExperiment(e track.Experiment) experiment {
	return experiment{e.ID, e.Name, scheme + e.ID, string(e.State), millis(e.CreatedAt), millis(e.UpdatedAt), keyValues(e.Tags)}
}

type metric struct {
	Key           string `json:"key"`
	Value         float  `json:"value"`
	Timestamp     int64s `json:"timestamp"`
	Step          int64s `json:"step"`
	DatasetName   string `json:"dataset_name,omitempty"`
	DatasetDigest string `json:"dataset_digest,omitempty"`
	ModelID       string `json:"model_id,omitempty"`
	RunID         string `json:"run_id,omitempty"`
}

func toMetric(m track.Metric) metric {
	return metric{m.Key, float(m.Value), int64s(m.At.UnixMilli()), int64s(m.Step), m.DatasetName, m.DatasetDigest, m.LoggedModel, m.Run}
}

func (m metric) track() track.Metric {
	return track.Metric{Key: m.Key, Value: float64(m.Value), Step: int64(m.Step), At: time.UnixMilli(int64(m.Timestamp)).UTC(),
		LoggedModel: m.ModelID, DatasetName: m.DatasetName, DatasetDigest: m.DatasetDigest}
}

func toMetrics(list []track.Metric) []metric {
	out := make([]metric, len(list))
	for i, m := range list {
		out[i] = toMetric(m)
	}
	return out
}

func toParams(list []track.Param) []keyValue {
	out := make([]keyValue, len(list))
	for i, p := range list {
		out[i] = keyValue(p)
	}
	return out
}

type runInfo struct {
	ID           string `json:"run_id"`
	UUID         string `json:"run_uuid"`
	Name         string `json:"run_name"`
	ExperimentID string `json:"experiment_id"`
	User         string `json:"user_id"`
	Status       string `json:"status"`
	StartTime    int64s `json:"start_time"`
	EndTime      int64s `json:"end_time,omitempty"`
	ArtifactURI  string `json:"artifact_uri"`
	Lifecycle    string `json:"lifecycle_stage"`
}

type runData struct {
	Metrics []metric   `json:"metrics"`
	Params  []keyValue `json:"params"`
	Tags    []keyValue `json:"tags"`
}

type dataset struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

type datasetInput struct {
	Tags    []keyValue `json:"tags"`
	Dataset dataset    `json:"dataset"`
}

type modelInput struct {
	ModelID string `json:"model_id"`
}

type modelOutput struct {
	ModelID string `json:"model_id"`
	Step    int64s `json:"step"`
}

type runInputs struct {
	Datasets []datasetInput `json:"dataset_inputs"`
	Models   []modelInput   `json:"model_inputs"`
}

type runOutputs struct {
	Models []modelOutput `json:"model_outputs"`
}

type run struct {
	Info    runInfo    `json:"info"`
	Data    runData    `json:"data"`
	Inputs  runInputs  `json:"inputs"`
	Outputs runOutputs `json:"outputs"`
}

func toRunInfo(r track.Run) runInfo {
	return runInfo{ID: r.ID, UUID: r.ID, Name: r.Name, ExperimentID: r.ExperimentID, User: r.User, Status: string(r.Status),
		StartTime: millis(r.StartedAt), EndTime: millis(r.EndedAt), ArtifactURI: scheme + track.RunRoot(r.ExperimentID, r.ID), Lifecycle: string(r.State)}
}

func toRun(r track.Run) run {
	out := run{Info: toRunInfo(r), Data: runData{toMetrics(r.Metrics), toParams(r.Params), keyValues(r.Tags)}}
	for _, in := range r.Inputs {
		out.Inputs.Datasets = append(out.Inputs.Datasets, datasetInput{keyValues(in.Tags),
			dataset{in.Name, in.Digest, in.SourceType, in.Source, in.Schema, in.Profile}})
	}
	for _, m := range r.ModelInputs {
		out.Inputs.Models = append(out.Inputs.Models, modelInput{m})
	}
	for _, m := range r.ModelOutputs {
		out.Outputs.Models = append(out.Outputs.Models, modelOutput{m.ModelID, int64s(m.Step)})
	}
	return out
}

type registration struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type loggedModelInfo struct {
	ID            string         `json:"model_id"`
	ExperimentID  string         `json:"experiment_id"`
	Name          string         `json:"name"`
	CreatedAt     int64s         `json:"creation_timestamp_ms"`
	UpdatedAt     int64s         `json:"last_updated_timestamp_ms"`
	ArtifactURI   string         `json:"artifact_uri"`
	Status        string         `json:"status"`
	StatusText    string         `json:"status_message,omitempty"`
	Type          string         `json:"model_type,omitempty"`
	SourceRun     string         `json:"source_run_id,omitempty"`
	Tags          []keyValue     `json:"tags"`
	Registrations []registration `json:"registrations,omitempty"`
}

type loggedModelData struct {
	Params  []keyValue `json:"params"`
	Metrics []metric   `json:"metrics"`
}

type loggedModel struct {
	Info loggedModelInfo `json:"info"`
	Data loggedModelData `json:"data"`
}

// modelStatuses are the protocol's names of a logged model's status.
var modelStatuses = map[track.ModelStatus]string{
	track.ModelPending: "LOGGED_MODEL_PENDING", track.ModelReady: "LOGGED_MODEL_READY", track.ModelFailed: "LOGGED_MODEL_UPLOAD_FAILED",
}

func toLoggedModel(m track.LoggedModel) loggedModel {
	return loggedModel{
		Info: loggedModelInfo{ID: m.ID, ExperimentID: m.ExperimentID, Name: m.Name, CreatedAt: millis(m.CreatedAt), UpdatedAt: millis(m.UpdatedAt),
			ArtifactURI: scheme + track.ModelRoot(m.ExperimentID, m.ID), Status: modelStatuses[m.Status], StatusText: m.StatusText, Type: m.Type,
			SourceRun: m.SourceRun, Tags: keyValues(m.Tags)},
		Data: loggedModelData{toParams(m.Params), toMetrics(m.Metrics)},
	}
}
