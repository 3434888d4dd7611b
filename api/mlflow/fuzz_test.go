// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/registry"
	"lastro/store"
	"lastro/track"
)

// seeds are the filters and orders of testdata/search/golden.json.
func seeds(f *testing.F) (filters, orders []string) {
	f.Helper()
	raw, err := os.ReadFile("testdata/search/golden.json")
	if err != nil {
		f.Fatal(err)
	}
	var g struct {
		Questions []struct {
			Body struct {
				Filter string `json:"filter"`
				Order  any    `json:"order_by"`
			} `json:"body"`
		} `json:"questions"`
	}
	if err := json.Unmarshal(raw, &g); err != nil {
		f.Fatal(err)
	}
	for _, q := range g.Questions {
		filters = append(filters, q.Body.Filter)
		list, _ := q.Body.Order.([]any)
		for _, o := range append(list, q.Body.Order) {
			if text, ok := o.(string); ok {
				orders = append(orders, text)
			}
		}
	}
	return append(filters, "a = ''''", "\"", "IS NOT NULL", strings.Repeat("(", 100), "metrics.a > 1 AND tags.`b` IN ('c','d')"), orders
}

// A filter is read or refused, quickly; what is read and written is read as the same.
func FuzzParseFilter(f *testing.F) {
	filters, _ := seeds(f)
	for _, seed := range filters {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start := time.Now()
		list, err := parseFilter(text)
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("parseFilter of %d bytes took %s", len(text), took)
		}
		if err != nil {
			if !lastro.Is(err, lastro.EInvalid) {
				t.Errorf("parseFilter(%q) = %v", text, err)
			}
			return
		}
		written := make([]string, len(list))
		for i, c := range list {
			written[i] = c.String()
		}
		again, err := parseFilter(strings.Join(written, " AND "))
		if err != nil || len(again)+len(list) > 0 && !reflect.DeepEqual(again, list) {
			t.Errorf("parseFilter(%q) = %v, written and read again %v, %v", text, list, again, err)
		}
	})
}

// Whatever a search accepts is SQL that the database accepts, with any page token.
func FuzzSearch(f *testing.F) {
	db, err := store.Open(f.Context(), filepath.Join(f.TempDir(), "lastro.db"))
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	tracking := track.NewService(store.NewTrack(db), lastro.SystemClock{})
	models := registry.NewService(store.NewRegistry(db), nil, lastro.SystemClock{})
	for i := range 3 {
		r, err := tracking.CreateRun(f.Context(), track.Caller{By: "user:ana"}, track.Run{ExperimentID: "0", Tags: map[string]string{"team": "red"}})
		if err != nil {
			f.Fatal(err)
		}
		b := track.Batch{Params: []track.Param{{Key: "depth", Value: "3"}}, Metrics: []track.Metric{{Key: "acc", Value: float64(i), At: time.Now()}}}
		if err := tracking.Log(f.Context(), track.Caller{By: "user:ana"}, r.ID, b); err != nil {
			f.Fatal(err)
		}
	}
	_, token, err := tracking.Runs(f.Context(), track.Query{Limit: 1})
	if err != nil || token == "" {
		f.Fatal(token, err)
	}
	filters, orders := seeds(f)
	for i, filter := range filters {
		f.Add(filter, orders[i%len(orders)], []string{"", token, "x"}[i%3])
	}
	f.Fuzz(func(t *testing.T, filter, order, token string) {
		var by []string
		if order != "" {
			by = []string{order}
		}
		check := func(what string, err error) {
			if err != nil && !lastro.Is(err, lastro.EInvalid) {
				t.Errorf("%s: filter %q, order %q, token %q: %v", what, filter, order, token, err)
			}
		}
		for _, w := range []words{runWords, experimentWords, loggedModelWords} {
			q, err := w.query(filter, by)
			if check(w.what, err); err != nil {
				continue
			}
			q.Token, q.Limit = token, 2
			switch w.what {
			case runWords.what:
				_, _, err = tracking.Runs(t.Context(), q)
			case experimentWords.what:
				_, _, err = tracking.Experiments(t.Context(), q)
			default:
				_, _, err = tracking.LoggedModels(t.Context(), q)
			}
			check(w.what, err)
		}
		for _, w := range []words{modelWords, versionWords} {
			q, err := w.registryQuery(filter, by)
			if check(w.what, err); err != nil {
				continue
			}
			q.Token, q.Limit = token, 2
			if w.what == modelWords.what {
				_, _, err = models.Models(t.Context(), q)
			} else {
				_, _, err = models.Versions(t.Context(), q)
			}
			check(w.what, err)
		}
	})
}
