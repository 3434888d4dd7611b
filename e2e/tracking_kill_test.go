// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lastro/store"
	"lastro/track"
)

// TestTrackingServerKilled is the reliability test of tracking: 64 clients log
// points, params and tags while the server is killed without warning, 3 times, or
// 200 with LASTRO_TORTURE=1. What was answered is there, once; a batch is whole
// or not at all.
func TestTrackingServerKilled(t *testing.T) {
	kills := 3
	if os.Getenv("LASTRO_TORTURE") == "1" {
		kills = 200
	} else {
		t.Parallel()
	}
	f := newFolder(t, nil)
	data, address := filepath.Join(f.dir, "data"), freeAddress(t)
	clients := make([]*trackingClient, 64)
	for i := range clients {
		clients[i] = &trackingClient{url: "http://" + address + "/api/2.0/mlflow/", name: i}
	}
	for range kills {
		up := f.start("up", "--listen", address, "--endpoints", "127.0.0.1:0", "--data", data, "--auth", "none")
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, c := range clients {
			wg.Go(func() { c.work(ctx) })
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			if resp, err := http.Get("http://" + address + "/health"); err == nil {
				resp.Body.Close()
				break
			} else if time.Now().After(deadline) {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Duration(50+rand.IntN(950)) * time.Millisecond)
		_ = up.Process.Kill()
		f.finish(up)
		stop()
		wg.Wait()
	}
	db, err := store.Open(t.Context(), filepath.Join(data, "lastro.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	points := 0
	for _, c := range clients {
		points += c.check(t, store.NewTrack(db))
		for _, e := range c.refused {
			t.Error(e)
		}
	}
	t.Logf("%d kills, %d batches answered and there", kills, points)
	if points < 64 {
		t.Errorf("only %d batches were answered", points)
	}
}

// trackingClient logs batches to a run of its own and knows which were answered.
type trackingClient struct {
	url     string
	name    int
	run     string
	sent    int
	answers []int // numbers of batches that were acknowledged
	refused []string
}

// work logs until the server or the test ends.
func (c *trackingClient) work(ctx context.Context) {
	for ctx.Err() == nil {
		if c.run == "" {
			var answer struct {
				Run struct {
					Info struct {
						ID string `json:"run_id"`
					} `json:"info"`
				} `json:"run"`
			}
			if c.post(ctx, "runs/create", map[string]any{"experiment_id": "0"}, &answer) {
				c.run = answer.Run.Info.ID
			}
		} else {
			n := c.sent
			c.sent++
			metrics := []map[string]any{}
			for i := range 3 {
				metrics = append(metrics, map[string]any{"key": fmt.Sprint("m", i), "value": float64(n), "timestamp": 1_700_000_000_000 + n, "step": n})
			}
			if c.post(ctx, "runs/log-batch", map[string]any{"run_id": c.run, "metrics": metrics,
				"params": []map[string]string{{"key": fmt.Sprint("p", n), "value": fmt.Sprint(n)}}, "tags": []map[string]string{{"key": "last", "value": fmt.Sprint(n)}}}, nil) {
				c.answers = append(c.answers, n)
				continue
			}
		}
		select { // the server is not there, or not yet
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// post reports whether the server has acknowledged.
func (c *trackingClient) post(ctx context.Context, path string, body, into any) bool {
	text, _ := json.Marshal(body)
	r, err := http.NewRequestWithContext(ctx, "POST", c.url+path, bytes.NewReader(text))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 400 && resp.StatusCode < 500 {
		c.refused = append(c.refused, fmt.Sprintf("%s: %s %.200s", path, resp.Status, got))
	}
	if err != nil || resp.StatusCode != http.StatusOK {
		return false
	}
	return into == nil || json.Unmarshal(got, into) == nil
}

// check returns how many acknowledged batches are there.
func (c *trackingClient) check(t *testing.T, s store.Track) int {
	if c.run == "" {
		return 0
	}
	r, err := s.Run(t.Context(), c.run)
	if err != nil {
		t.Errorf("client %d: %v", c.name, err)
		return 0
	}
	params := map[string]bool{}
	for _, p := range r.Params {
		params[p.Value] = true
	}
	var there [3]map[int64]bool
	for i := range there {
		there[i] = map[int64]bool{}
		for m, err := range s.Points(t.Context(), track.HistoryQuery{Run: c.run, Key: fmt.Sprint("m", i)}) {
			if err != nil {
				t.Fatal(err)
			}
			if there[i][m.Step] {
				t.Errorf("client %d: point %d is there twice", c.name, m.Step)
			}
			there[i][m.Step] = true
		}
	}
	for _, n := range c.answers {
		if !there[0][int64(n)] || !params[fmt.Sprint(n)] {
			t.Errorf("client %d: batch %d was answered and is lost", c.name, n)
		}
	}
	for n := range c.sent {
		if a := there[0][int64(n)]; a != there[1][int64(n)] || a != there[2][int64(n)] || a != params[fmt.Sprint(n)] {
			t.Errorf("client %d: half of batch %d is there", c.name, n)
		}
	}
	return len(c.answers)
}
