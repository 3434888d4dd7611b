// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"encoding/json"

	"lastro"
	"lastro/trace"
)

// evaluationEndpoints is the part of the table about evaluation datasets.
func (h *handler) evaluationEndpoints() []endpoint {
	if h.Traces == nil {
		return nil
	}
	const d = "/3.0/mlflow/datasets"
	return []endpoint{
		{"POST", d + "/create", writeT, serve(h, h.createEvaluation), false},
		{"GET", d + "/search", readT, serve(h, h.searchEvaluations), false},
		{"POST", d + "/search", readT, serve(h, h.searchEvaluations), false},
		{"GET", d + "/{dataset_id}", readT, serve(h, h.getEvaluation), false},
		{"DELETE", d + "/{dataset_id}", writeT, serve(h, h.deleteEvaluation), false},
		{"GET", d + "/{dataset_id}/records", readT, serve(h, h.evaluationRecords), false},
		{"POST", d + "/{dataset_id}/records", writeT, serve(h, h.upsertRecords), false},
		{"DELETE", d + "/{dataset_id}/records", writeT, serve(h, h.deleteRecords), false},
		{"PATCH", d + "/{dataset_id}/tags", writeT, serve(h, h.setEvaluationTags), false},
		{"DELETE", d + "/{dataset_id}/tags/{key...}", writeT, serve(h, h.deleteEvaluationTag), false},
		{"GET", d + "/{dataset_id}/experiment-ids", readT, serve(h, h.evaluationExperiments), false},
		{"POST", d + "/{dataset_id}/add-experiments", writeT, serve(h, h.addEvaluationExperiments), false},
		{"POST", d + "/{dataset_id}/remove-experiments", writeT, serve(h, h.removeEvaluationExperiments), false},
	}
}

// evaluationDataset is a dataset on the wire; tags, schema and profile are JSON
// in strings.
type evaluationDataset struct {
	ID          string   `json:"dataset_id"`
	Name        string   `json:"name"`
	Tags        string   `json:"tags"`
	Schema      string   `json:"schema,omitempty"`
	Profile     string   `json:"profile,omitempty"`
	Digest      string   `json:"digest"`
	CreatedAt   int64s   `json:"created_time"`
	UpdatedAt   int64s   `json:"last_update_time"`
	CreatedBy   string   `json:"created_by,omitempty"`
	UpdatedBy   string   `json:"last_updated_by,omitempty"`
	Experiments []string `json:"experiment_ids,omitempty"`
}

func toEvaluation(d trace.EvaluationDataset) evaluationDataset {
	tags := d.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	raw, _ := json.Marshal(tags) // strings always encode
	return evaluationDataset{d.ID, d.Name, trace.PythonJSON(raw), d.Schema, d.Profile, d.Digest, millis(d.CreatedAt), millis(d.UpdatedAt), d.CreatedBy, d.UpdatedBy, d.Experiments}
}

type evaluationAnswer struct {
	Dataset evaluationDataset `json:"dataset"`
}

// tagsIn reads tags from the JSON in a string; null values are left out.
func tagsIn(text string) (map[string]string, error) {
	var values map[string]*json.RawMessage
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, lastro.Errorf(lastro.EInvalid, "tags is not a JSON object in a string: %v", err)
	}
	tags := map[string]string{}
	for k, raw := range values {
		if raw != nil {
			tags[k] = plainOf(*raw)
		}
	}
	return tags, nil
}

func (h *handler) createEvaluation(ctx context.Context, req struct {
	Name        string   `json:"name" need:"yes"`
	Experiments []string `json:"experiment_ids"`
	Tags        string   `json:"tags"`
}) (any, error) {
	tags, err := tagsIn(req.Tags)
	if err != nil {
		return nil, err
	}
	d, err := h.Traces.CreateDataset(ctx, tracer(ctx), req.Name, req.Experiments, tags)
	return evaluationAnswer{toEvaluation(d)}, err
}

type evaluationID struct {
	ID string `json:"dataset_id"`
}

func (h *handler) getEvaluation(ctx context.Context, req evaluationID) (any, error) {
	d, err := h.Traces.Dataset(ctx, req.ID)
	return evaluationAnswer{toEvaluation(d)}, err
}

func (h *handler) deleteEvaluation(ctx context.Context, req evaluationID) (any, error) {
	return empty{}, h.Traces.DeleteDataset(ctx, tracer(ctx), req.ID)
}

func (h *handler) searchEvaluations(ctx context.Context, req struct {
	Experiments []string `json:"experiment_ids"`
	Filter      string   `json:"filter_string"`
	MaxResults  int64s   `json:"max_results"`
	OrderBy     []string `json:"order_by"`
	PageToken   string   `json:"page_token"`
}) (any, error) {
	q := trace.DatasetQuery{PageToken: req.PageToken, Limit: int(req.MaxResults)}
	switch {
	case q.Limit == 0:
		q.Limit = 1000
	case q.Limit < 0 || q.Limit > 50_000:
		return nil, lastro.Errorf(lastro.EInvalid, "max_results is %d; it must be between 1 and 50000", q.Limit)
	}
	if len(req.Experiments) > 0 {
		q.Experiments = req.Experiments
	}
	var err error
	if q.Where, err = trace.ParseDatasetFilter(req.Filter); err != nil {
		return nil, err
	}
	for _, text := range req.OrderBy {
		o, err := trace.ParseDatasetOrder(text)
		if err != nil {
			return nil, err
		}
		q.Order = append(q.Order, o)
	}
	list, next, err := h.Traces.SearchDatasets(ctx, q)
	out := make([]evaluationDataset, len(list))
	for i, d := range list {
		out[i] = toEvaluation(d)
	}
	return struct {
		Datasets []evaluationDataset `json:"datasets"`
		Next     string              `json:"next_page_token,omitempty"`
	}{out, next}, err
}

// evaluationRecord is a record as a client reads it.
type evaluationRecord struct {
	ID           string          `json:"dataset_record_id"`
	Dataset      string          `json:"dataset_id"`
	Inputs       json.RawMessage `json:"inputs"`
	Outputs      json.RawMessage `json:"outputs,omitempty"`
	Expectations json.RawMessage `json:"expectations,omitempty"`
	Tags         json.RawMessage `json:"tags,omitempty"`
	Source       json.RawMessage `json:"source,omitempty"`
	SourceID     string          `json:"source_id,omitempty"`
	SourceType   string          `json:"source_type,omitempty"`
	CreatedAt    int64s          `json:"created_time"`
	UpdatedAt    int64s          `json:"last_update_time"`
	CreatedBy    string          `json:"created_by,omitempty"`
	UpdatedBy    string          `json:"last_updated_by,omitempty"`
}

func (h *handler) evaluationRecords(ctx context.Context, req struct {
	ID         string `json:"dataset_id"`
	MaxResults int64s `json:"max_results"`
	PageToken  string `json:"page_token"`
}) (any, error) {
	q := trace.RecordQuery{Dataset: req.ID, PageToken: req.PageToken, Limit: int(req.MaxResults)}
	switch {
	case q.Limit == 0:
		q.Limit = 1000
	case q.Limit < 0 || q.Limit > 50_000:
		return nil, lastro.Errorf(lastro.EInvalid, "max_results is %d; it must be between 1 and 50000", q.Limit)
	}
	list, next, err := h.Traces.Records(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]evaluationRecord, len(list))
	for i, r := range list {
		out[i] = evaluationRecord{r.ID, r.Dataset, r.Inputs, r.Outputs, r.Expectations, r.Tags, r.Source, r.SourceID, r.SourceType,
			millis(r.CreatedAt), millis(r.UpdatedAt), r.CreatedBy, r.UpdatedBy}
	}
	raw, err := json.Marshal(out)
	return struct {
		Records string `json:"records"` // JSON, in a string
		Next    string `json:"next_page_token,omitempty"`
	}{string(raw), next}, err
}

func (h *handler) upsertRecords(ctx context.Context, req struct {
	ID      string `json:"dataset_id"`
	Records string `json:"records" need:"yes"`
}) (any, error) {
	var records []trace.RecordInput
	if err := json.Unmarshal([]byte(req.Records), &records); err != nil {
		return nil, lastro.Errorf(lastro.EInvalid, "records is not a list of records as JSON in a string: %v", err)
	}
	inserted, updated, err := h.Traces.UpsertRecords(ctx, tracer(ctx), req.ID, records)
	return map[string]int{"inserted_count": inserted, "updated_count": updated}, err
}

func (h *handler) deleteRecords(ctx context.Context, req struct {
	ID      string   `json:"dataset_id"`
	Records []string `json:"dataset_record_ids"`
}) (any, error) {
	n, err := h.Traces.DeleteRecords(ctx, tracer(ctx), req.ID, req.Records)
	return map[string]int{"deleted_count": n}, err
}

func (h *handler) setEvaluationTags(ctx context.Context, req struct {
	ID   string `json:"dataset_id"`
	Tags string `json:"tags" need:"yes"`
}) (any, error) {
	tags, err := tagsIn(req.Tags)
	if err != nil {
		return nil, err
	}
	return empty{}, h.Traces.SetDatasetTags(ctx, tracer(ctx), req.ID, tags)
}

func (h *handler) deleteEvaluationTag(ctx context.Context, req struct {
	ID  string `json:"dataset_id"`
	Key string `json:"key"`
}) (any, error) {
	return empty{}, h.Traces.DeleteDatasetTag(ctx, tracer(ctx), req.ID, req.Key)
}

func (h *handler) evaluationExperiments(ctx context.Context, req evaluationID) (any, error) {
	d, err := h.Traces.Dataset(ctx, req.ID)
	if d.Experiments == nil {
		d.Experiments = []string{}
	}
	return map[string][]string{"experiment_ids": d.Experiments}, err
}

type experimentsRequest struct {
	ID          string   `json:"dataset_id"`
	Experiments []string `json:"experiment_ids"`
}

func (h *handler) addEvaluationExperiments(ctx context.Context, req experimentsRequest) (any, error) {
	d, err := h.Traces.AddToExperiments(ctx, tracer(ctx), req.ID, req.Experiments)
	return evaluationAnswer{toEvaluation(d)}, err
}

func (h *handler) removeEvaluationExperiments(ctx context.Context, req experimentsRequest) (any, error) {
	d, err := h.Traces.RemoveFromExperiments(ctx, tracer(ctx), req.ID, req.Experiments)
	return evaluationAnswer{toEvaluation(d)}, err
}
