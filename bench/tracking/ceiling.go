// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
)

// metric is a metric as clients send it and servers answer it.
type metric struct {
	Key       string  `json:"key"`
	Value     float64 `json:"value"`
	Timestamp int64   `json:"timestamp"`
	Step      int64   `json:"step"`
}

type tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

type createRequest struct {
	ExperimentID string `json:"experiment_id"`
	StartTime    int64  `json:"start_time"`
	Name         string `json:"run_name"`
	Tags         []tag  `json:"tags"`
}

type batchRequest struct {
	RunID   string   `json:"run_id"`
	Metrics []metric `json:"metrics"`
	Params  []tag    `json:"params"`
	Tags    []tag    `json:"tags"`
}

// ceiling serves what can be had on this machine at most: it decodes what the
// others decode and keeps nothing.
func ceiling(flags *flag.FlagSet, args []string) (any, error) {
	listen := flags.String("listen", "127.0.0.1:0", "address")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	const api = "/api/2.0/mlflow/"
	run := []byte(`{"run":{"info":{"run_id":"0123456789abcdef0123456789abcdef","run_uuid":"0123456789abcdef0123456789abcdef","experiment_id":"0","status":"RUNNING"},"data":{}}}`)
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {})
	mux.HandleFunc("POST "+api+"runs/create", discard[createRequest](run))
	mux.HandleFunc("POST "+api+"runs/log-metric", discard[struct {
		RunID string `json:"run_id"`
		metric
	}]([]byte(`{}`)))
	mux.HandleFunc("POST "+api+"runs/log-batch", discard[batchRequest]([]byte(`{}`)))
	mux.HandleFunc("GET "+api+"metrics/get-history", history)
	at, err := net.Listen("tcp", *listen)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(os.Stdout, `{"url":"http://%s"}`+"\n", at.Addr())
	return nil, http.Serve(at, mux)
}

func discard[Request any](answer []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req Request
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(answer)
	}
}

// history answers pages of a history that it makes up: what encoding costs.
func history(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	most, _ := strconv.Atoi(q.Get("max_results"))
	if most <= 0 {
		most = 25_000
	}
	first, _ := strconv.Atoi(q.Get("page_token"))
	var answer struct {
		Metrics []metric `json:"metrics"`
		Next    string   `json:"next_page_token,omitempty"`
	}
	for i := range most {
		answer.Metrics = append(answer.Metrics, metric{"loss", 1 / float64(first+i+1), int64(first + i), int64(first + i)})
	}
	answer.Next = strconv.Itoa(first + most) // the client stops when it has enough
	var b bytes.Buffer
	_ = json.NewEncoder(&b).Encode(answer)
	w.Header().Set("Content-Type", "application/json")
	w.Write(b.Bytes())
}
