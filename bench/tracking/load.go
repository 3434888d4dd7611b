// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// client sends requests of one kind to one server.
type client struct {
	http *http.Client
	url  string
}

// load sends requests from several clients, each after the answer to the one
// before, and reports how long they took.
func load(flags *flag.FlagSet, args []string) (any, error) {
	target := flags.String("url", "", "server")
	what := flags.String("what", "metric", "create, metric, batch, history, runs or search")
	clients := flags.Int("clients", 1, "at a time")
	requests := flags.Int("requests", 1000, "in all")
	points := flags.Int("points", 100_000, "of the history")
	filter := flags.String("filter", "", "of the search")
	order := flags.String("order", "", "of the search")
	warm := flags.Int("warm", 50, "requests of each client before")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	c := &client{&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: *clients + 1}}, *target}
	works := map[string]func() (work, error){
		"create":  c.createWork,
		"metric":  c.metricWork,
		"batch":   c.batchWork,
		"history": func() (work, error) { return c.historyWork(*points) },
		"runs":    c.runsWork,
		"search":  func() (work, error) { return c.searchWork(*filter, *order) },
	}
	if works[*what] == nil {
		return nil, fmt.Errorf("no work is called %q", *what)
	}
	return measure(works[*what], *clients, *requests, *warm)
}

// work sends the n-th request of a client.
type work func(n int) error

// figures are of one measurement.
type figures struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
}

func measure(begin func() (work, error), clients, requests, warm int) (figures, error) {
	var next atomic.Int64
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	times := make([][]time.Duration, clients)
	errs := make([]error, clients)
	ready.Add(clients)
	for i := range clients {
		done.Go(func() {
			do, err := begin()
			for n := 0; n < warm && err == nil; n++ {
				err = do(n)
			}
			ready.Done()
			<-start
			for n := warm; err == nil && next.Add(1) <= int64(requests); n++ {
				began := time.Now()
				err = do(n)
				times[i] = append(times[i], time.Since(began))
			}
			errs[i] = err
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	took := time.Since(began)
	all := slices.Sorted(slices.Values(slices.Concat(times...)))
	if len(all) == 0 {
		return figures{}, errors.Join(errs...)
	}
	ms := func(q float64) float64 { return all[int(q*float64(len(all)-1))].Seconds() * 1000 }
	return figures{len(all), took.Seconds(), ms(0.5), ms(0.99)}, errors.Join(errs...)
}

func (c *client) post(path string, body []byte, into any) error {
	resp, err := c.http.Post(c.url+"/api/2.0/mlflow/"+path, "application/json", bytes.NewReader(body))
	return read(resp, err, into)
}

func read(resp *http.Response, err error, into any) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.300s", resp.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // numbers and strings of our own
	}
	return b
}

func now() int64 { return time.Now().UnixMilli() }

func newRun() []byte {
	return encode(createRequest{"0", now(), "clumsy-fox-12", []tag{{"mlflow.user", "ana"}, {"mlflow.source.name", "train.py"},
		{"mlflow.source.type", "LOCAL"}, {"mlflow.runName", "clumsy-fox-12"}}})
}

func (c *client) newRun() (id string, err error) {
	var answer struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	err = c.post("runs/create", newRun(), &answer)
	return answer.Run.Info.ID, err
}

func (c *client) createWork() (work, error) {
	return func(int) error { return c.post("runs/create", newRun(), nil) }, nil
}

// metricWork logs points of one metric to a run of the client's own.
func (c *client) metricWork() (work, error) {
	id, err := c.newRun()
	return func(n int) error {
		return c.post("runs/log-metric", encode(map[string]any{"run_uuid": id, "run_id": id, "key": "loss", "value": 1 / float64(n+1), "timestamp": now(), "step": n}), nil)
	}, err
}

// batchWork logs batches of 1,000 points: 10 metrics at 100 steps.
func (c *client) batchWork() (work, error) {
	id, err := c.newRun()
	return func(n int) error { return c.post("runs/log-batch", encode(batch(id, n)), nil) }, err
}

func batch(id string, n int) batchRequest {
	b := batchRequest{RunID: id, Params: []tag{}, Tags: []tag{}}
	at := now()
	for step := range 100 {
		for k := range 10 {
			b.Metrics = append(b.Metrics, metric{"metric-" + strconv.Itoa(k), math.Sin(float64(n*100+step)) / float64(k+1), at, int64(n*100 + step)})
		}
	}
	return b
}

// historyWork reads the whole history of a metric, in pages as the client does.
func (c *client) historyWork(points int) (work, error) {
	id, err := c.newRun()
	for n := 0; n < points && err == nil; n += 1000 {
		b := batchRequest{RunID: id, Params: []tag{}, Tags: []tag{}}
		for i := n; i < min(points, n+1000); i++ {
			b.Metrics = append(b.Metrics, metric{"loss", 1 / float64(i+1), int64(1_700_000_000_000 + i), int64(i)})
		}
		err = c.post("runs/log-batch", encode(b), nil)
	}
	return func(int) error {
		token, got := "", 0
		for {
			var page struct {
				Metrics []metric `json:"metrics"`
				Next    string   `json:"next_page_token"`
			}
			q := url.Values{"run_id": {id}, "run_uuid": {id}, "metric_key": {"loss"}, "max_results": {"25000"}}
			if token != "" {
				q.Set("page_token", token)
			}
			resp, err := c.http.Get(c.url + "/api/2.0/mlflow/metrics/get-history?" + q.Encode())
			if err := read(resp, err, &page); err != nil {
				return err
			}
			got, token = got+len(page.Metrics), page.Next
			if token == "" || got >= points {
				break
			}
		}
		if got != points {
			return fmt.Errorf("%d points of %d", got, points)
		}
		return nil
	}, err
}

// runsWork makes runs with five metrics and five params each, to be searched.
func (c *client) runsWork() (work, error) {
	return func(n int) error {
		id, err := c.newRun()
		if err != nil {
			return err
		}
		b := batchRequest{RunID: id, Tags: []tag{}}
		for k := range 5 {
			value := math.Mod(float64(n)*0.618033988749+float64(k)/7, 1)
			b.Metrics = append(b.Metrics, metric{"metric-" + strconv.Itoa(k), value, now(), 0})
			b.Params = append(b.Params, tag{"param-" + strconv.Itoa(k), strconv.Itoa((n + k) % 10)})
		}
		return c.post("runs/log-batch", encode(b), nil)
	}, nil
}

func (c *client) searchWork(filter, order string) (work, error) {
	request := map[string]any{"experiment_ids": []string{"0"}, "max_results": 100, "filter": filter}
	if order != "" {
		request["order_by"] = []string{order}
	}
	body := encode(request)
	return func(int) error {
		var answer struct {
			Runs []json.RawMessage `json:"runs"`
		}
		if err := c.post("runs/search", body, &answer); err != nil {
			return err
		}
		if len(answer.Runs) == 0 {
			return errors.New("the search found nothing")
		}
		return nil
	}, nil
}
