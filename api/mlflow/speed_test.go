// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"lastro"
	"lastro/store"
	"lastro/track"
)

// hot returns a tracking server without the network and the door: what a
// request costs in this package and below.
func hot(b *testing.B) func(path, body string) string {
	db, err := store.Open(b.Context(), filepath.Join(b.TempDir(), "lastro.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	routes := map[string]http.HandlerFunc{}
	for _, r := range Routes(Deps{Track: track.NewService(store.NewTrack(db), lastro.SystemClock{})}) {
		routes[r.Pattern] = r.Handler
	}
	return func(path, body string) string {
		r := httptest.NewRequest("POST", "/api/2.0/mlflow/"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		routes["POST /api/2.0/mlflow/"+path](w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
		return w.Body.String()
	}
}

func hotRun(b *testing.B, post func(path, body string) string) string {
	var answer struct {
		Run struct{ Info struct{ Run_id string } }
	}
	if err := json.Unmarshal([]byte(post("runs/create", `{"experiment_id":"0"}`)), &answer); err != nil {
		b.Fatal(err)
	}
	return answer.Run.Info.Run_id
}

func BenchmarkCreateRun(b *testing.B) {
	post := hot(b)
	for b.Loop() {
		post("runs/create", `{"experiment_id":"0","start_time":1700000000000,"run_name":"clumsy-fox-12","tags":[{"key":"mlflow.user","value":"ana"},
			{"key":"mlflow.source.name","value":"train.py"},{"key":"mlflow.source.type","value":"LOCAL"},{"key":"mlflow.runName","value":"clumsy-fox-12"}]}`)
	}
}

func BenchmarkLogMetric(b *testing.B) {
	post := hot(b)
	id, n := hotRun(b, post), 0
	for b.Loop() {
		n++
		post("runs/log-metric", fmt.Sprintf(`{"run_uuid":%q,"run_id":%q,"key":"loss","value":%g,"timestamp":%d,"step":%d}`, id, id, 1/float64(n), 1_700_000_000_000+n, n))
	}
}

func BenchmarkLogBatch(b *testing.B) {
	post := hot(b)
	id, n := hotRun(b, post), 0
	for b.Loop() {
		n++
		var body strings.Builder
		fmt.Fprintf(&body, `{"run_id":%q,"metrics":[`, id)
		for i := range 1000 {
			if i > 0 {
				body.WriteByte(',')
			}
			fmt.Fprintf(&body, `{"key":"metric-%d","value":%g,"timestamp":%d,"step":%d}`, i%10, 1/float64(n+i), 1_700_000_000_000+n, n*100+i/10)
		}
		body.WriteString(`],"params":[],"tags":[]}`)
		post("runs/log-batch", body.String())
	}
}

// Sixteen clients at once, each with a run of its own.
func BenchmarkLogMetric16(b *testing.B) {
	post := hot(b)
	b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		id := hotRun(b, post)
		for n := 1; pb.Next(); n++ {
			post("runs/log-metric", fmt.Sprintf(`{"run_uuid":%q,"run_id":%q,"key":"loss","value":%g,"timestamp":%d,"step":%d}`, id, id, 1/float64(n), 1_700_000_000_000+n, n))
		}
	})
}
