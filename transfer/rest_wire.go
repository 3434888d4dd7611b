// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"lastro/track"
)

// whole64 is a 64-bit number that comes as a number or, by the rules of
// protobuf's JSON, as a string.
type whole64 int64

// UnmarshalJSON reads both.
func (n *whole64) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" || text == "" {
		return nil
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		f, ferr := strconv.ParseFloat(text, 64)
		if ferr != nil {
			return err
		}
		v = int64(f)
	}
	*n = whole64(v)
	return nil
}

func (n whole64) time() time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(n)).UTC()
}

// number is a float that may be "NaN", "Infinity" or "-Infinity", quoted or not.
type number float64

// UnmarshalJSON reads all of these.
func (f *number) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		*f = number(math.NaN())
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil && !math.IsInf(v, 0) {
		return err
	}
	*f = number(v)
	return nil
}

// text64 is a text that some servers write as a number (a version).
type text64 string

// UnmarshalJSON reads both.
func (t *text64) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	*t = text64(b)
	return nil
}

type wirePair struct{ Key, Value string }

func mapOf(list []wirePair) map[string]string {
	m := make(map[string]string, len(list))
	for _, kv := range list {
		m[kv.Key] = kv.Value
	}
	return m
}

type wireExperiment struct {
	ID      string     `json:"experiment_id"`
	Name    string     `json:"name"`
	State   string     `json:"lifecycle_stage"`
	Created whole64    `json:"creation_time"`
	Updated whole64    `json:"last_update_time"`
	Tags    []wirePair `json:"tags"`
}

type wireMetric struct {
	Key     string  `json:"key"`
	Value   number  `json:"value"`
	At      whole64 `json:"timestamp"`
	Step    whole64 `json:"step"`
	Dataset string  `json:"dataset_name"`
	Digest  string  `json:"dataset_digest"`
	Model   string  `json:"model_id"`
	Run     string  `json:"run_id"`
}

func (m wireMetric) track() track.Metric {
	return track.Metric{Key: m.Key, Value: float64(m.Value), Step: int64(m.Step), At: time.UnixMilli(int64(m.At)).UTC(),
		LoggedModel: m.Model, DatasetName: m.Dataset, DatasetDigest: m.Digest}
}

type wireRun struct {
	Info struct {
		ID    string  `json:"run_id"`
		Name  string  `json:"run_name"`
		User  string  `json:"user_id"`
		State string  `json:"lifecycle_stage"`
		Stat  string  `json:"status"`
		Start whole64 `json:"start_time"`
		End   whole64 `json:"end_time"`
		Root  string  `json:"artifact_uri"`
	} `json:"info"`
	Data struct {
		Metrics []wireMetric `json:"metrics"`
		Params  []wirePair   `json:"params"`
		Tags    []wirePair   `json:"tags"`
	} `json:"data"`
	Inputs struct {
		Datasets []struct {
			Tags    []wirePair `json:"tags"`
			Dataset struct {
				Name    string `json:"name"`
				Digest  string `json:"digest"`
				Type    string `json:"source_type"`
				Source  string `json:"source"`
				Schema  string `json:"schema"`
				Profile string `json:"profile"`
			} `json:"dataset"`
		} `json:"dataset_inputs"`
		Models []struct {
			ID string `json:"model_id"`
		} `json:"model_inputs"`
	} `json:"inputs"`
	Outputs struct {
		Models []struct {
			ID   string  `json:"model_id"`
			Step whole64 `json:"step"`
		} `json:"model_outputs"`
	} `json:"outputs"`
}

func (w wireRun) run(experiment string) Run {
	r := Run{Root: w.Info.Root}
	r.ID, r.ExperimentID, r.Name, r.User = w.Info.ID, experiment, w.Info.Name, w.Info.User
	r.Status, r.State = track.Status(w.Info.Stat), track.Lifecycle(w.Info.State)
	r.StartedAt, r.EndedAt, r.Tags = w.Info.Start.time(), w.Info.End.time(), mapOf(w.Data.Tags)
	r.Params = sortedParams(mapOf(w.Data.Params))
	for _, m := range w.Data.Metrics {
		r.Metrics = append(r.Metrics, m.track())
	}
	for _, in := range w.Inputs.Datasets {
		d := in.Dataset
		r.Inputs = append(r.Inputs, track.Input{Name: d.Name, Digest: d.Digest, SourceType: d.Type, Source: d.Source, Schema: d.Schema, Profile: d.Profile, Tags: mapOf(in.Tags)})
	}
	for _, m := range w.Inputs.Models {
		r.ModelInputs = append(r.ModelInputs, m.ID)
	}
	for _, m := range w.Outputs.Models {
		r.ModelOutputs = append(r.ModelOutputs, track.ModelOutput{ModelID: m.ID, Step: int64(m.Step)})
	}
	return r
}

type wireLoggedModel struct {
	Info struct {
		ID      string     `json:"model_id"`
		Name    string     `json:"name"`
		Created whole64    `json:"creation_timestamp_ms"`
		Updated whole64    `json:"last_updated_timestamp_ms"`
		Root    string     `json:"artifact_uri"`
		Status  string     `json:"status"`
		Message string     `json:"status_message"`
		Type    string     `json:"model_type"`
		Run     string     `json:"source_run_id"`
		Tags    []wirePair `json:"tags"`
	} `json:"info"`
	Data struct {
		Params  []wirePair   `json:"params"`
		Metrics []wireMetric `json:"metrics"`
	} `json:"data"`
}

var wireStatus = map[string]track.ModelStatus{
	"LOGGED_MODEL_PENDING": track.ModelPending, "LOGGED_MODEL_READY": track.ModelReady, "LOGGED_MODEL_UPLOAD_FAILED": track.ModelFailed,
}

func (w wireLoggedModel) model(experiment string) LoggedModel {
	m := LoggedModel{Root: w.Info.Root}
	m.ID, m.ExperimentID, m.Name, m.Type, m.SourceRun = w.Info.ID, experiment, w.Info.Name, w.Info.Type, w.Info.Run
	m.Status, m.StatusText = wireStatus[w.Info.Status], w.Info.Message
	if m.Status == "" {
		m.Status = track.ModelPending
	}
	m.CreatedAt, m.UpdatedAt, m.Tags = w.Info.Created.time(), w.Info.Updated.time(), mapOf(w.Info.Tags)
	m.Params = sortedParams(mapOf(w.Data.Params))
	for _, p := range w.Data.Metrics {
		t := p.track()
		t.LoggedModel, t.Run = m.ID, p.Run
		m.Metrics = append(m.Metrics, t)
	}
	return m
}

type wireModel struct {
	Name        string     `json:"name"`
	Created     whole64    `json:"creation_timestamp"`
	Updated     whole64    `json:"last_updated_timestamp"`
	Description string     `json:"description"`
	Tags        []wirePair `json:"tags"`
	Aliases     []struct {
		Alias   string `json:"alias"`
		Version text64 `json:"version"`
	} `json:"aliases"`
}

type wireVersion struct {
	Name        string     `json:"name"`
	Version     text64     `json:"version"`
	Created     whole64    `json:"creation_timestamp"`
	Updated     whole64    `json:"last_updated_timestamp"`
	User        string     `json:"user_id"`
	Stage       string     `json:"current_stage"`
	Description string     `json:"description"`
	Source      string     `json:"source"`
	Run         string     `json:"run_id"`
	Status      string     `json:"status"`
	Message     string     `json:"status_message"`
	Model       string     `json:"model_id"`
	Tags        []wirePair `json:"tags"`
}
