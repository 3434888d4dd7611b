// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"lastro"
	"lastro/auth"
	"lastro/trace"
	"lastro/track"
)

// traceEndpoints is the part of the table about traces. Spans come to /v1/traces.
func (h *handler) traceEndpoints() []endpoint {
	if h.Traces == nil {
		return nil
	}
	const v2, v3 = "/2.0/mlflow/traces", "/3.0/mlflow/traces"
	const files = "/2.0/mlflow-artifacts/artifacts/{experiment}/traces/{trace}/artifacts/{file...}"
	out := []endpoint{
		{"POST", v3, writeT, serve(h, h.startTrace), false},
		{"GET", v3 + "/{trace_id}", readT, serve(h, h.getTraceInfo), false},
		{"GET", v3 + "/get", readT, serve(h, h.getTrace), false},
		{"GET", v3 + "/batchGet", readT, serve(h, h.batchGetTraces), false},
		{"POST", v3 + "/batchGetInfos", readT, serve(h, h.batchGetTraceInfos), false},
		{"POST", v3 + "/search", readT, serve(h, h.searchTraces), false},
		{"POST", v3 + "/metrics", readT, serve(h, h.traceMetrics), false},
		{"POST", v3 + "/calculate-filter-correlation", readT, serve(h, h.correlateTraces), false},
		{"PATCH", v3 + "/{trace_id}/tags", writeT, serve(h, h.setTraceTag), false},
		{"DELETE", v3 + "/{trace_id}/tags", writeT, serve(h, h.deleteTraceTag), false},

		{"POST", v2, writeT, serve(h, h.startTrace2), false},
		{"PATCH", v2 + "/{request_id}", writeT, serve(h, h.endTrace2), false},
		{"GET", v2 + "/{request_id}/info", readT, serve(h, h.getTraceInfo2), false},
		{"GET", v2, readT, serve(h, h.searchTraces2), false},
		{"PATCH", v2 + "/{request_id}/tags", writeT, serve(h, h.setTraceTag), false},
		{"DELETE", v2 + "/{request_id}/tags", writeT, serve(h, h.deleteTraceTag), false},
		{"POST", v2 + "/link-to-run", writeT, serve(h, h.linkTraces), false},
		{"POST", v2 + "/link-prompts", writeT, serve(h, h.linkPrompts), false},

		{"PUT", files, writeT, h.uploadTraceFile, true},
		{"GET", files, readT, h.downloadTraceFile, false},
	}
	for _, v := range []string{"/2.0/mlflow/", "/3.0/mlflow/"} {
		out = append(out, endpoint{"POST", v + "traces/delete-traces", writeT, serve(h, h.deleteTraces), false},
			endpoint{"GET", v + "get-trace-artifact", readT, h.traceArtifact, false})
	}
	return out
}

// spanRoute is where OpenTelemetry's exporters send spans.
func (h *handler) spanRoute() auth.Route {
	if h.Traces == nil {
		return auth.Route{Pattern: "/v1/traces", Permission: readT, Handler: h.notBuilt, AnyContentType: true}
	}
	return auth.Route{Pattern: "POST /v1/traces", Permission: writeT, Handler: h.exportTraces, AnyContentType: true}
}

// tracer is the identity of a request as trace knows it.
func tracer(ctx context.Context) trace.Caller {
	id := auth.IdentityOf(ctx)
	return trace.Caller{By: id.Actor, Origin: trace.Origin{Run: id.Run, Step: id.Step, Cell: id.Cell}}
}

func asError(err error, target any) bool { return errors.As(err, target) }

// masked takes the secrets of a step out of spans.
func (h *handler) masked(ctx context.Context, traces []trace.TraceSpans) ([]trace.TraceSpans, error) {
	mask := h.maskOf(ctx)
	if mask == nil {
		return traces, nil
	}
	raw, err := json.Marshal(traces)
	if err != nil {
		return nil, err
	}
	var out []trace.TraceSpans
	return out, json.Unmarshal(mask(raw), &out)
}

func (h *handler) maskOf(ctx context.Context) func([]byte) []byte {
	if h.Mask == nil {
		return nil
	}
	return h.Mask(ctx)
}

type wireTraceAnswer struct {
	Trace wireTrace `json:"trace"`
}

func (h *handler) startTrace(ctx context.Context, req struct {
	Trace *struct {
		Info *traceInfo `json:"trace_info"`
	} `json:"trace"`
}) (any, error) {
	if req.Trace == nil || req.Trace.Info == nil {
		return nil, missing("trace")
	}
	t, err := req.Trace.Info.trace()
	if err != nil {
		return nil, err
	}
	t, err = h.Traces.Start(ctx, tracer(ctx), t)
	return wireTraceAnswer{toWireTrace(t, nil)}, err
}

// traceID is how requests name a trace: request_id is its old spelling.
type traceID struct {
	ID  string `json:"trace_id"`
	Old string `json:"request_id"`
}

func (t traceID) String() string {
	if t.ID == "" {
		return t.Old
	}
	return t.ID
}

func (h *handler) getTraceInfo(ctx context.Context, req struct {
	ID string `json:"trace_id"`
}) (any, error) {
	t, err := h.Traces.Trace(ctx, req.ID)
	return wireTraceAnswer{toWireTrace(t, nil)}, err
}

// patience is how long a reader waits for spans that their client is still
// sending: it tells of the trace before its last spans have arrived.
const patience = 3 * time.Second

func (h *handler) getTrace(ctx context.Context, req struct {
	ID      string `json:"trace_id" need:"yes"`
	Partial string `json:"allow_partial"`
}) (any, error) {
	for end := time.Now().Add(patience); ; {
		t, err := h.Traces.Trace(ctx, req.ID)
		if err != nil {
			return nil, err
		}
		spans, err := h.Traces.Spans(ctx, []trace.Trace{t})
		if err != nil {
			return nil, err
		}
		list := spans[t.Number]
		if req.Partial == "true" || len(list) > 0 && len(list) >= expected(t) {
			return wireTraceAnswer{toWireTrace(t, list)}, nil
		}
		if !time.Now().Before(end) {
			return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0750", Msg: "the spans of trace " + req.ID + " are not all there yet", Hint: "try again later"}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(patience / 20):
		}
	}
}

// expected is the number of spans that the client has told of, 0 = it has not.
func expected(t trace.Trace) int {
	var stats struct {
		Spans int `json:"num_spans"`
	}
	_ = json.Unmarshal([]byte(t.Metadata[trace.MetaSizeStats]), &stats)
	return stats.Spans
}

type batchRequest struct {
	IDs         []string `json:"trace_ids" need:"yes"`
	Experiments []string `json:"experiment_ids"`
}

// mostBatch is how many traces one request reads.
const mostBatch = 500

func (r batchRequest) check() error {
	if len(r.IDs) > mostBatch {
		return lastro.Errorf(lastro.EInvalid, "trace_ids has %d entries; %d is the most", len(r.IDs), mostBatch)
	}
	return nil
}

// batchGetTraces answers whole traces only: those whose spans are not all there
// are left out.
func (h *handler) batchGetTraces(ctx context.Context, req batchRequest) (any, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	list, err := h.Traces.Traces(ctx, req.IDs, req.Experiments)
	if err != nil {
		return nil, err
	}
	spans, err := h.Traces.Spans(ctx, list)
	if err != nil {
		return nil, err
	}
	out := []wireTrace{}
	for _, t := range list {
		if have := spans[t.Number]; len(have) > 0 && len(have) >= expected(t) {
			out = append(out, toWireTrace(t, have))
		}
	}
	return map[string][]wireTrace{"traces": out}, nil
}

func (h *handler) batchGetTraceInfos(ctx context.Context, req batchRequest) (any, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	list, err := h.Traces.Traces(ctx, req.IDs, req.Experiments)
	return map[string][]traceInfo{"trace_infos": toTraceInfos(list)}, err
}

// traceQuery is what both versions of the search ask.
type traceQuery struct {
	Filter     string   `json:"filter"`
	MaxResults int64s   `json:"max_results"`
	OrderBy    []string `json:"order_by"`
	PageToken  string   `json:"page_token"`
}

func (q traceQuery) search(ctx context.Context, h *handler, experiments []string) (trace.Found, error) {
	limit := int(q.MaxResults)
	switch {
	case limit == 0:
		limit = 100
	case limit < 0 || limit > 500:
		return trace.Found{}, lastro.Errorf(lastro.EInvalid, "max_results is %d; it must be between 1 and 500", limit)
	}
	where, err := trace.ParseFilter(q.Filter)
	if err != nil {
		return trace.Found{}, err
	}
	ask := trace.Query{Experiments: experiments, Where: where, PageToken: q.PageToken, Limit: limit}
	for i, text := range q.OrderBy {
		o, err := trace.ParseOrder(text)
		if err != nil {
			return trace.Found{}, err
		}
		for _, before := range ask.Order[:i] {
			if before.Field == o.Field && before.Key == o.Key {
				return trace.Found{}, lastro.Errorf(lastro.EInvalid, "order_by names %s twice", o.Key)
			}
		}
		ask.Order = append(ask.Order, o)
	}
	return h.Traces.Search(ctx, ask)
}

func (h *handler) searchTraces(ctx context.Context, req struct {
	traceQuery
	Filter     string          `json:"filter"`
	MaxResults int64s          `json:"max_results"`
	OrderBy    []string        `json:"order_by"`
	PageToken  string          `json:"page_token"`
	Locations  []traceLocation `json:"locations" need:"yes"`
}) (any, error) {
	experiments := []string{}
	for _, l := range req.Locations {
		if l.Experiment != nil {
			experiments = append(experiments, l.Experiment.ID)
		}
	}
	found, err := traceQuery{req.Filter, req.MaxResults, req.OrderBy, req.PageToken}.search(ctx, h, experiments)
	return struct {
		Traces []traceInfo `json:"traces"`
		Next   string      `json:"next_page_token,omitempty"`
	}{toTraceInfos(found.Traces), found.Next}, err
}

func (h *handler) searchTraces2(ctx context.Context, req struct {
	Filter      string   `json:"filter"`
	MaxResults  int64s   `json:"max_results"`
	OrderBy     []string `json:"order_by"`
	PageToken   string   `json:"page_token"`
	Experiments []string `json:"experiment_ids" need:"yes"`
}) (any, error) {
	found, err := traceQuery{req.Filter, req.MaxResults, req.OrderBy, req.PageToken}.search(ctx, h, req.Experiments)
	out := make([]traceInfo2, len(found.Traces))
	for i, t := range found.Traces {
		out[i] = toTraceInfo2(t)
	}
	return struct {
		Traces []traceInfo2 `json:"traces"`
		Next   string       `json:"next_page_token,omitempty"`
	}{out, found.Next}, err
}

type trace2Answer struct {
	Info traceInfo2 `json:"trace_info"`
}

func (h *handler) startTrace2(ctx context.Context, req struct {
	Experiment string     `json:"experiment_id" need:"yes"`
	At         int64s     `json:"timestamp_ms"`
	Metadata   []keyValue `json:"request_metadata"`
	Tags       []keyValue `json:"tags"`
}) (any, error) {
	t, err := h.Traces.Begin(ctx, tracer(ctx), trace.Trace{ExperimentID: req.Experiment, At: fromMillis(req.At), Metadata: asMap(req.Metadata), Tags: asMap(req.Tags)})
	return trace2Answer{toTraceInfo2(t)}, err
}

func (h *handler) endTrace2(ctx context.Context, req struct {
	ID       string     `json:"request_id"`
	At       int64s     `json:"timestamp_ms"`
	Status   string     `json:"status"`
	Metadata []keyValue `json:"request_metadata"`
	Tags     []keyValue `json:"tags"`
}) (any, error) {
	state, ok := statuses2[req.Status]
	if !ok {
		return nil, lastro.Errorf(lastro.EInvalid, "status %.40q is not one of OK, ERROR and IN_PROGRESS", req.Status)
	}
	t, err := h.Traces.End(ctx, tracer(ctx), req.ID, trace.Ending{State: state, At: fromMillis(req.At), Metadata: asMap(req.Metadata), Tags: asMap(req.Tags)})
	return trace2Answer{toTraceInfo2(t)}, err
}

func (h *handler) getTraceInfo2(ctx context.Context, req struct {
	ID string `json:"request_id"`
}) (any, error) {
	t, err := h.Traces.Trace(ctx, req.ID)
	return trace2Answer{toTraceInfo2(t)}, err
}

func (h *handler) setTraceTag(ctx context.Context, req struct {
	ID    string `json:"trace_id"`
	Old   string `json:"request_id"`
	Key   string `json:"key" need:"yes"`
	Value string `json:"value"`
}) (any, error) {
	return empty{}, h.Traces.SetTag(ctx, tracer(ctx), traceID{req.ID, req.Old}.String(), req.Key, req.Value)
}

func (h *handler) deleteTraceTag(ctx context.Context, req struct {
	ID  string `json:"trace_id"`
	Old string `json:"request_id"`
	Key string `json:"key" need:"yes"`
}) (any, error) {
	return empty{}, h.Traces.DeleteTag(ctx, tracer(ctx), traceID{req.ID, req.Old}.String(), req.Key)
}

func (h *handler) deleteTraces(ctx context.Context, req struct {
	Experiment string   `json:"experiment_id" need:"yes"`
	Until      *int64s  `json:"max_timestamp_millis"`
	Most       *int64s  `json:"max_traces"`
	IDs        []string `json:"request_ids"`
}) (any, error) {
	d := trace.Deletion{Experiment: req.Experiment, IDs: req.IDs}
	if req.Until != nil {
		d.Until = new(time.UnixMilli(int64(*req.Until)))
	}
	if req.Most != nil {
		d.Most = new(int(min(*req.Most, 1<<30)))
	}
	n, err := h.Traces.Delete(ctx, tracer(ctx), d)
	return map[string]int{"traces_deleted": n}, err
}

func (h *handler) linkTraces(ctx context.Context, req struct {
	IDs []string `json:"trace_ids" need:"yes"`
	Run string   `json:"run_id" need:"yes"`
}) (any, error) {
	return empty{}, h.Traces.LinkRun(ctx, tracer(ctx), req.IDs, req.Run)
}

func (h *handler) linkPrompts(ctx context.Context, req struct {
	ID       string `json:"trace_id" need:"yes"`
	Versions []struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"prompt_versions"`
}) (any, error) {
	prompts := make([]string, len(req.Versions))
	for i, v := range req.Versions {
		prompts[i] = v.Name + "/" + v.Version
	}
	return empty{}, h.Traces.LinkPrompts(ctx, tracer(ctx), req.ID, prompts)
}

func (h *handler) traceMetrics(ctx context.Context, req struct {
	Experiments  []string `json:"experiment_ids" need:"yes"`
	View         string   `json:"view_type" need:"yes"`
	Metric       string   `json:"metric_name" need:"yes"`
	Aggregations []struct {
		Type       string  `json:"aggregation_type"`
		Percentile float64 `json:"percentile_value"`
	} `json:"aggregations" need:"yes"`
	Dimensions []string `json:"dimensions"`
	Filters    []string `json:"filters"`
	Step       int64s   `json:"time_interval_seconds"`
	From       *int64s  `json:"start_time_ms"`
	To         *int64s  `json:"end_time_ms"`
	MaxResults int64s   `json:"max_results"`
}) (any, error) {
	q := trace.MetricQuery{Experiments: req.Experiments, View: trace.View(req.View), Metric: req.Metric, Dimensions: req.Dimensions, Limit: int(req.MaxResults),
		Step: time.Duration(min(req.Step, 1e9)) * time.Second}
	if q.Limit <= 0 {
		q.Limit = 1000
	}
	for _, a := range req.Aggregations {
		q.Aggregations = append(q.Aggregations, trace.Aggregation{Type: a.Type, Percentile: a.Percentile})
	}
	if req.From != nil {
		q.From = time.UnixMilli(int64(*req.From))
	}
	if req.To != nil {
		q.To = time.UnixMilli(int64(*req.To))
	}
	for _, text := range req.Filters {
		c, err := trace.MetricFilter(text)
		if err != nil {
			return nil, err
		}
		q.Filters = append(q.Filters, c)
	}
	points, err := h.Traces.Metrics(ctx, q)
	type dataPoint struct {
		Metric     string            `json:"metric_name"`
		Dimensions map[string]string `json:"dimensions"`
		Values     map[string]float  `json:"values"`
	}
	out := make([]dataPoint, len(points))
	for i, p := range points {
		out[i] = dataPoint{req.Metric, p.Dimensions, map[string]float{}}
		for k, v := range p.Values {
			out[i].Values[k] = float(v)
		}
	}
	return map[string][]dataPoint{"data_points": out}, err
}

func (h *handler) correlateTraces(ctx context.Context, req struct {
	Experiments []string `json:"experiment_ids" need:"yes"`
	First       string   `json:"filter_string1" need:"yes"`
	Second      string   `json:"filter_string2" need:"yes"`
	Base        string   `json:"base_filter"`
}) (any, error) {
	var filters [3][]trace.Clause
	for i, text := range []string{req.First, req.Second, req.Base} {
		var err error
		if filters[i], err = trace.ParseFilter(text); err != nil {
			return nil, err
		}
	}
	c, err := h.Traces.Correlate(ctx, req.Experiments, filters[0], filters[1], filters[2])
	return struct {
		NPMI     float `json:"npmi"`
		Smoothed float `json:"npmi_smoothed"`
		First    int64 `json:"filter1_count"`
		Second   int64 `json:"filter2_count"`
		Both     int64 `json:"joint_count"`
		Universe int64 `json:"total_count"`
	}{float(c.NPMI), float(c.Smoothed), c.First, c.Second, c.Both, c.Universe}, err
}

// traceArtifact answers the spans of a trace as a file, or one of its attachments.
func (h *handler) traceArtifact(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id := q.Get("request_id")
	if id == "" {
		h.fail(w, r, missing("request_id"))
		return
	}
	t, err := h.Traces.Trace(r.Context(), id)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if p := q.Get("path"); p != "" {
		r.SetPathValue("path", trace.Root(t.ExperimentID, t.ID)+"/attachments/"+p)
		h.download(w, r)
		return
	}
	h.sendSpans(w, r, t, false)
}

// sendSpans sends the spans of a trace as a file.
func (h *handler) sendSpans(w http.ResponseWriter, r *http.Request, t trace.Trace, version2 bool) {
	spans, err := h.Traces.Spans(r.Context(), []trace.Trace{t})
	if err == nil {
		var raw []byte
		if raw, err = tracesJSON(spans[t.Number], version2); err == nil {
			head := w.Header()
			head.Set("Content-Type", "application/octet-stream")
			head.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": tracesFile}))
			head.Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(raw)
			return
		}
	}
	h.fail(w, r, err)
}

// maxTracesFile is the largest traces.json whose spans are taken out of it.
const maxTracesFile = maxOTLPInflated

// uploadTraceFile stores a file of a trace. The spans of a traces.json, which
// older clients send so, are kept as every span is.
func (h *handler) uploadTraceFile(w http.ResponseWriter, r *http.Request) {
	if err := h.storeTraceFile(r); err != nil {
		h.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, empty{})
}

func (h *handler) storeTraceFile(r *http.Request) error {
	ctx, file := r.Context(), r.PathValue("file")
	if err := track.CheckPath(file); err != nil {
		return err
	}
	t, err := h.Traces.MayWriteArtifact(ctx, tracer(ctx), r.PathValue("experiment"), r.PathValue("trace"))
	if err != nil {
		return err
	}
	body := io.Reader(r.Body)
	if file == tracesFile && r.ContentLength <= maxTracesFile {
		raw, err := io.ReadAll(io.LimitReader(r.Body, maxTracesFile+1))
		if err != nil {
			return err
		}
		if mask := h.maskOf(ctx); mask != nil {
			raw = mask(raw)
		}
		if spans, err := parseTraces(raw); err == nil && len(spans) > 0 && len(raw) <= maxTracesFile {
			return h.Traces.AddSpans(ctx, tracer(ctx), t.ExperimentID, []trace.TraceSpans{{ID: t.ID, Spans: spans}})
		}
		body = io.MultiReader(bytes.NewReader(raw), r.Body) // something else under this name
	}
	digest, size, err := h.Blobs.Put(ctx, body)
	if err != nil {
		return err
	}
	return h.Traces.PutArtifact(ctx, t, file, digest, size)
}

// downloadTraceFile sends a file of a trace; traces.json is made of its spans
// when there is none.
func (h *handler) downloadTraceFile(w http.ResponseWriter, r *http.Request) {
	ctx, file := r.Context(), r.PathValue("file")
	at := r.PathValue("experiment") + "/traces/" + r.PathValue("trace") + "/artifacts/" + file
	if file == tracesFile {
		t, err := h.Traces.Trace(ctx, r.PathValue("trace"))
		if err != nil {
			h.fail(w, r, err)
			return
		}
		if t.HasSpans && t.ExperimentID == r.PathValue("experiment") {
			h.sendSpans(w, r, t, strings.HasPrefix(r.UserAgent(), "mlflow-python-client/2."))
			return
		}
	}
	r.SetPathValue("path", at)
	h.download(w, r)
}
