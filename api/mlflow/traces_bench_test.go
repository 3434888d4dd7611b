// SPDX-License-Identifier: Apache-2.0

package mlflow_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"lastro"
	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/blob/file"
	"lastro/store"
	"lastro/trace"
	"lastro/track"
)

// tracing is a server of traces without authentication, and its service.
func tracing(b *testing.B) (*httptest.Server, *trace.Service) {
	b.Helper()
	dir := b.TempDir()
	db, err := store.Open(b.Context(), filepath.Join(dir, "lastro.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	blobs, err := file.OpenWith(filepath.Join(dir, "blobs"), store.NewBlobs(db))
	if err != nil {
		b.Fatal(err)
	}
	s := trace.NewService(store.NewTrace(db), blobs, lastro.SystemClock{})
	door, err := auth.Handler(mlflow.Routes(mlflow.Deps{Track: track.NewService(store.NewTrack(db), lastro.SystemClock{}), Traces: s, Blobs: blobs}),
		auth.Options{None: true, Loopback: true, Refuse: mlflow.Refuse})
	if err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(door)
	b.Cleanup(srv.Close)
	return srv, s
}

// BenchmarkTraces has 16 clients send whole traces of 10 spans over OTLP.
func BenchmarkTraces(b *testing.B) {
	const clients, spans = 16, 10
	srv, _ := tracing(b)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	template, err := proto.Marshal(export(0xee, spans))
	if err != nil {
		b.Fatal(err)
	}
	id := bytes.Repeat([]byte{0xee}, 16)
	var next atomic.Uint64
	before := cpuTime(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > uint64(b.N) {
					return
				}
				mine := binary.BigEndian.AppendUint64(make([]byte, 8), n)
				req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, srv.URL+"/v1/traces", bytes.NewReader(bytes.ReplaceAll(template, id, mine)))
				if err != nil {
					b.Error(err)
					return
				}
				req.Header.Set("Content-Type", protobufType)
				req.Header.Set(experimentID, "0")
				resp, err := client.Do(req)
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Errorf("%v %v", resp, err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "traces/s")
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-µs/trace") // clients and server
}

// cpuTime is what the process has used of the processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// BenchmarkTraceSearch searches 100,000 traces of 10 spans over HTTP and reports
// the median of each question.
func BenchmarkTraceSearch(b *testing.B) {
	const traces = 100_000
	srv, s := tracing(b)
	fillTraces(b, s, traces)
	for _, q := range []struct{ name, filter string }{
		{"newest", ""}, {"state and time", "status = 'ERROR' AND timestamp_ms > 1790000050000"}, {"tag", "tags.env = 'prod'"}, {"rare tag", "tags.request = 'r-77777'"},
		{"span", "span.name = 'call 3' AND span.status = 'OK'"}, {"attribute", "span.attributes.user = 'u-4242'"}, {"duration", "execution_time > 990"},
		{"text", "trace.text LIKE '%words of 99990%'"},
	} {
		b.Run(q.name, func(b *testing.B) {
			body := fmt.Sprintf(`{"locations":[{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":"0"}}],"max_results":100,"filter":%q}`, q.filter)
			var took []time.Duration
			for b.Loop() {
				began := time.Now()
				resp, err := http.Post(srv.URL+"/api/3.0/mlflow/traces/search", "application/json", strings.NewReader(body))
				if err != nil || resp.StatusCode != http.StatusOK {
					b.Fatalf("%v %v", resp, err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
		})
	}
}

func fillTraces(b *testing.B, s *trace.Service, n int) {
	b.Helper()
	who := trace.Caller{By: lastro.System("bench")}
	var batch []trace.TraceSpans
	for i := range n {
		t := trace.TraceSpans{ID: fmt.Sprintf("tr-%032x", i), Resource: map[string]string{"env": []string{"dev", "prod", "test"}[i%3], "request": fmt.Sprint("r-", i)}}
		for k := range 10 {
			start := int64(1_790_000_000_000_000_000) + int64(i)*1e6 + int64(k)
			span := trace.Span{OTelTrace: fmt.Sprintf("%032x", i), ID: fmt.Sprintf("%016x", k+1), Name: fmt.Sprint("call ", k), Start: start, End: start + int64(i%1000)*1e6, Status: trace.SpanOK}
			if k > 0 {
				span.Parent = fmt.Sprintf("%016x", 1)
			} else if i%10 == 0 {
				span.Status = trace.SpanError
			}
			span.Attributes = map[string]json.RawMessage{"mlflow.spanInputs": fmt.Appendf(nil, `{"question":"some words of %d"}`, i), "user": fmt.Appendf(nil, `"u-%d"`, i/10)}
			t.Spans = append(t.Spans, span)
		}
		if batch = append(batch, t); len(batch) == 500 || i == n-1 {
			if err := s.AddSpans(b.Context(), who, "0", batch); err != nil {
				b.Fatal(err)
			}
			batch = batch[:0]
		}
	}
}
