// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"lastro/track"
)

func pointsOf(list ...track.Metric) iter.Seq2[track.Metric, error] {
	return func(yield func(track.Metric, error) bool) {
		for _, m := range list {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// What is written by hand is what encoding/json writes, to the last digit.
func TestHistoryIsJSON(t *testing.T) {
	var list []track.Metric
	for i, v := range []float64{0, 1, -1, 0.1, 1e300, 1e-300, 5e-324, math.MaxFloat64, 1e21, 123456789.125, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1)} {
		list = append(list, track.Metric{Key: `a "key"/é` + "\u2028", Value: v, Step: int64(-i), At: time.UnixMilli(int64(i))})
	}
	list = append(list, track.Metric{Key: list[0].Key, LoggedModel: "m-1", DatasetName: "d", At: time.UnixMilli(1)})
	var b bytes.Buffer
	w := bufio.NewWriterSize(&b, 16)
	if err := errors.Join(writeHistory(w, pointsOf(list...), list[0].Key, 0), w.Flush()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Metrics []metric `json:"metrics"`
		Next    string   `json:"next_page_token"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil || got.Next != "" || len(got.Metrics) != len(list) {
		t.Fatalf("%s: %v", b.String(), err)
	}
	for i, m := range got.Metrics {
		want := toMetric(list[i])
		if math.Float64bits(float64(m.Value)) != math.Float64bits(float64(want.Value)) && !math.IsNaN(float64(want.Value)) {
			t.Errorf("%v is %v", float64(want.Value), float64(m.Value))
		}
		m.Value, want.Value = 0, 0
		if m != want {
			t.Errorf("%+v, want %+v", m, want)
		}
	}
}

func TestHistoryPages(t *testing.T) {
	a, b := track.Metric{Key: "k", Value: 0.1, Step: 7, At: time.UnixMilli(5)}, track.Metric{Key: "k", Step: 8, At: time.UnixMilli(6)}
	for limit, token := range map[int]string{1: historyToken(a), 2: "", 3: "", 0: ""} {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := errors.Join(writeHistory(w, pointsOf(a, b), "k", limit), w.Flush()); err != nil {
			t.Fatal(err)
		}
		var got struct {
			Next string `json:"next_page_token"`
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Next != token {
			t.Errorf("limit %d: %s, %v", limit, out.String(), err)
		}
	}
	back, err := readHistoryToken(historyToken(a))
	if err != nil || back.Value != a.Value || back.Step != a.Step || !back.At.Equal(a.At) {
		t.Errorf("%+v, %v", back, err)
	}
}

// A failure before anything is out is an error as the protocol has it; later,
// the connection breaks.
func TestLongAnswerThatFails(t *testing.T) {
	h := &handler{}
	r := httptest.NewRequest("GET", "/api/2.0/mlflow/metrics/get-history", nil)
	w := httptest.NewRecorder()
	h.sendLong(w, r, func(*bufio.Writer) error { return errors.New("the disk is gone") })
	if w.Code != http.StatusInternalServerError {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("panic %v", got)
		}
	}()
	h.sendLong(httptest.NewRecorder(), r, func(w *bufio.Writer) error {
		w.Write(make([]byte, 100_000))
		return errors.New("the disk is gone")
	})
	t.Error("a half answer went through")
}

func FuzzHistoryToken(f *testing.F) {
	f.Add("5.7.3fb999999999999a")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if m, err := readHistoryToken(token); err == nil && token != "" {
			again, err := readHistoryToken(historyToken(*m))
			if err != nil || again.Step != m.Step {
				t.Fatalf("%q: %v", token, err)
			}
		}
	})
}
