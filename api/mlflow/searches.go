// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"fmt"
	"strings"

	"lastro"
	"lastro/track"
)

func (h *handler) searchEndpoints() []endpoint {
	const p = "/2.0/mlflow/"
	return []endpoint{
		{"POST", p + "runs/search", readT, serve(h, h.searchRuns), false},
		{"GET", p + "experiments/search", readT, serve(h, h.searchExperiments), false},
		{"POST", p + "experiments/search", readT, serve(h, h.searchExperiments), false},
		{"POST", p + "experiments/search-datasets", readT, serve(h, h.searchDatasets), false},
		// The path that MLflow's own server has for it, and its pages ask: without a slash.
		{"POST", "/2.0mlflow/experiments/search-datasets", readT, serve(h, h.searchDatasets), false},
		{"POST", p + "logged-models/search", readT, serve(h, h.searchLoggedModels), false},
		{"GET", p + "registered-models/search", readR, serve(h, h.searchModels), false},
		{"GET", p + "model-versions/search", readR, serve(h, h.searchVersions), false},
	}
}

// searchRequest is what all searches but that of logged models read.
type searchRequest struct {
	Experiments []string `json:"experiment_ids"`
	Filter      string   `json:"filter"`
	OrderBy     []string `json:"order_by"`
	ViewType    viewType `json:"view_type"`
	RunViewType viewType `json:"run_view_type"`
	MaxResults  *int64s  `json:"max_results"`
	PageToken   string   `json:"page_token"`
}

// pageOf reads what a request says about its page: the token and the size. No
// size means usual. Tokens are the store's.
func pageOf(token string, size *int64s, usual, most int) (string, int, error) {
	if size == nil {
		return token, usual, nil
	}
	if *size < 1 || int64(*size) > int64(most) {
		return "", 0, &lastro.Error{Code: lastro.EInvalid, ID: "L0703", Msg: fmt.Sprintf("max_results is %d; it must be between 1 and %d", *size, most),
			Hint: "ask for smaller pages, and go on with next_page_token"}
	}
	return token, int(*size), nil
}

func (h *handler) searchRuns(ctx context.Context, req searchRequest) (any, error) {
	state, err := req.RunViewType.state()
	if err != nil {
		return nil, err
	}
	q, err := runWords.query(req.Filter, req.OrderBy)
	if err != nil {
		return nil, err
	}
	if q.Experiments, err = experimentIDs(req.Experiments); err != nil {
		return nil, err
	}
	q.State = state
	if q.Token, q.Limit, err = pageOf(req.PageToken, req.MaxResults, 1000, 50_000); err != nil {
		return nil, err
	}
	list, next, err := h.Track.Runs(ctx, q)
	out := make([]run, len(list))
	for i, r := range list {
		out[i] = toRun(r)
	}
	return struct {
		Runs []run  `json:"runs"`
		Next string `json:"next_page_token,omitempty"`
	}{out, next}, err
}

// experimentIDs refuses what cannot be one; the list is never nil.
func experimentIDs(ids []string) ([]string, error) {
	for _, id := range ids {
		if id == "" || !isDigits(id) {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0703", Msg: fmt.Sprintf("experiment_ids has %.40q, which is no id of an experiment", id),
				Hint: "ids have digits only; experiments/search finds them by name"}
		}
	}
	if len(ids) > mostValues {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0703", Msg: fmt.Sprintf("experiment_ids has %d ids; %d are the most", len(ids), mostValues), Hint: "ask in several searches"}
	}
	return append([]string{}, ids...), nil
}

func (h *handler) searchExperiments(ctx context.Context, req searchRequest) (any, error) {
	state, err := req.ViewType.state()
	if err != nil {
		return nil, err
	}
	q, err := experimentWords.query(req.Filter, req.OrderBy)
	if err != nil {
		return nil, err
	}
	q.State = state
	if q.Token, q.Limit, err = pageOf(req.PageToken, req.MaxResults, 1000, 50_000); err != nil {
		return nil, err
	}
	list, next, err := h.Track.Experiments(ctx, q)
	out := make([]experiment, len(list))
	for i, e := range list {
		out[i] = toExperiment(e)
	}
	return struct {
		Experiments []experiment `json:"experiments"`
		Next        string       `json:"next_page_token,omitempty"`
	}{out, next}, err
}

// mostDatasets is how many datasets one answer has, as many as MLflow's.
const mostDatasets = 1000

type datasetsRequest struct {
	Experiments []string `json:"experiment_ids"`
}

type datasetUse struct {
	ExperimentID string `json:"experiment_id"`
	Name         string `json:"name"`
	Digest       string `json:"digest"`
	Context      string `json:"context,omitempty"`
}

func (h *handler) searchDatasets(ctx context.Context, req datasetsRequest) (any, error) {
	ids, err := experimentIDs(req.Experiments)
	if err == nil && len(ids) == 0 {
		err = &lastro.Error{Code: lastro.EInvalid, ID: "L0703", Msg: "experiment_ids is missing", Hint: `name the experiments to look into, such as ["0"]`}
	}
	if err != nil {
		return nil, err
	}
	list, err := h.Track.Datasets(ctx, ids, mostDatasets)
	out := make([]datasetUse, len(list))
	for i, d := range list {
		out[i] = datasetUse(d)
	}
	return map[string][]datasetUse{"dataset_summaries": out}, err
}

func (h *handler) searchModels(ctx context.Context, req searchRequest) (any, error) {
	q, err := modelWords.registryQuery(req.Filter, req.OrderBy)
	if err != nil {
		return nil, err
	}
	if q.Token, q.Limit, err = pageOf(req.PageToken, req.MaxResults, 100, 1000); err != nil {
		return nil, err
	}
	list, next, err := h.Registry.Models(ctx, q)
	out := make([]registeredModel, len(list))
	for i, m := range list {
		out[i] = toModel(m)
	}
	return struct {
		Models []registeredModel `json:"registered_models"`
		Next   string            `json:"next_page_token,omitempty"`
	}{out, next}, err
}

func (h *handler) searchVersions(ctx context.Context, req searchRequest) (any, error) {
	q, err := versionWords.registryQuery(req.Filter, req.OrderBy)
	if err != nil {
		return nil, err
	}
	if q.Token, q.Limit, err = pageOf(req.PageToken, req.MaxResults, 200, 200_000); err != nil {
		return nil, err
	}
	list, next, err := h.Registry.Versions(ctx, q)
	return struct {
		Versions []modelVersion `json:"model_versions"`
		Next     string         `json:"next_page_token,omitempty"`
	}{toVersions(list), next}, err
}

type searchLoggedModelsRequest struct {
	Experiments []string     `json:"experiment_ids"`
	Filter      string       `json:"filter"`
	Datasets    []datasetRef `json:"datasets"`
	OrderBy     []struct {
		Field     string `json:"field_name"`
		Ascending *bool  `json:"ascending"`
		datasetRef
	} `json:"order_by"`
	MaxResults *int64s `json:"max_results"`
	PageToken  string  `json:"page_token"`
}

type datasetRef struct {
	Name   string `json:"dataset_name"`
	Digest string `json:"dataset_digest"`
}

// mostLoggedModels bounds a page; who asks for more gets as many, and a token.
const mostLoggedModels = 1000

func (h *handler) searchLoggedModels(ctx context.Context, req searchLoggedModelsRequest) (any, error) {
	q, err := req.query()
	if err != nil {
		return nil, err
	}
	list, next, err := h.Track.LoggedModels(ctx, q)
	out := make([]loggedModel, len(list))
	for i, m := range list {
		out[i] = toLoggedModel(m)
	}
	return struct {
		Models []loggedModel `json:"models"`
		Next   string        `json:"next_page_token,omitempty"`
	}{out, next}, err
}

func (req searchLoggedModelsRequest) query() (q track.Query, err error) {
	if req.Experiments == nil {
		return q, &lastro.Error{Code: lastro.EInvalid, ID: "L0703", Msg: "experiment_ids is missing", Hint: `name the experiments to search, such as ["0"]`}
	}
	if q, err = loggedModelWords.query(req.Filter, nil); err != nil {
		return q, err
	}
	for i, c := range q.Where {
		if c.Field == track.Attribute && c.Key == "status" {
			q.Where[i].Text = strings.TrimPrefix(c.Text, "LOGGED_MODEL_")
		}
	}
	for _, d := range req.Datasets {
		if d.Name == "" {
			return q, &lastro.Error{Code: lastro.EInvalid, ID: "L0703", Msg: "an entry of datasets has no dataset_name", Hint: "name the dataset, and its digest if only that one is meant"}
		}
		q.Datasets = append(q.Datasets, track.DatasetRef(d))
	}
	for _, o := range req.OrderBy {
		order, err := loggedModelWords.order(o.Field)
		if err != nil {
			return q, err
		}
		order.Desc, order.Dataset = o.Ascending != nil && !*o.Ascending, track.DatasetRef(o.datasetRef)
		q.Order = append(q.Order, order)
	}
	if q.Experiments, err = experimentIDs(req.Experiments); err != nil {
		return q, err
	}
	q.State = track.Active
	if req.MaxResults != nil {
		*req.MaxResults = min(*req.MaxResults, mostLoggedModels)
	}
	q.Token, q.Limit, err = pageOf(req.PageToken, req.MaxResults, 100, mostLoggedModels)
	return q, err
}
