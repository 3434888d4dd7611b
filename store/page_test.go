// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"lastro"
	"lastro/registry"
	"lastro/store"
	"lastro/store/storetest"
	"lastro/track"
)

// searchOf is one kind of search, as TestPagesSurviveInserts needs it.
type searchOf struct {
	orders []string // "" is the usual order; "-x" is descending
	insert func(i int) error
	page   func(order, token string, limit int) (ids []string, next string, err error)
}

// What is inserted between two pages is shown on neither twice, and hides
// nothing that was there before. A token of another question is refused.
func TestPagesSurviveInserts(t *testing.T) { storetest.Each(t, testPagesSurviveInserts) }

func testPagesSurviveInserts(t *testing.T, db *store.DB) {
	for name, s := range searchesOf(t, db) {
		for n, order := range s.orders {
			for i := range 30 {
				if err := s.insert(1000*n + 2*i); err != nil {
					t.Fatal(name, err)
				}
			}
			want, _, err := s.page(order, "", 10_000)
			if err != nil {
				t.Fatal(name, order, err)
			}
			var got []string
			for token, i := "", 0; ; i++ {
				ids, next, err := s.page(order, token, 7)
				if err != nil || len(ids) > 7 {
					t.Fatalf("%s by %q: page %d has %d, %v", name, order, i, len(ids), err)
				}
				got = append(got, ids...)
				if next == "" {
					break
				}
				if _, _, err := s.page(s.orders[(n+1)%len(s.orders)], next, 7); !lastro.Is(err, lastro.EInvalid) {
					t.Errorf("%s: the token of order %q for order %q = %v, want invalid", name, order, s.orders[(n+1)%len(s.orders)], err)
				}
				token = next
				if err := s.insert(1000*n + 500 + i*13%60); err != nil {
					t.Fatal(name, err)
				}
			}
			sorted := slices.Sorted(slices.Values(got))
			if len(slices.Compact(sorted)) != len(got) {
				t.Errorf("%s by %q shows something twice: %v", name, order, got)
			}
			old := slices.DeleteFunc(got, func(id string) bool { return !slices.Contains(want, id) })
			if !slices.Equal(old, want) {
				t.Errorf("%s by %q shows %v of %v", name, order, old, want)
			}
		}
	}
}

// TestBadPageTokens tries tokens that no search has written.
func TestBadPageTokens(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for name, s := range searchesOf(t, db) {
			for i := range 4 {
				if err := s.insert(i); err != nil {
					t.Fatal(err)
				}
			}
			_, good, err := s.page("", "", 2)
			if err != nil || good == "" {
				t.Fatal(name, good, err)
			}
			var p struct {
				Asked  string   `json:"q"`
				Values []string `json:"v"`
			}
			raw, _ := base64.RawURLEncoding.DecodeString(good)
			if err := json.Unmarshal(raw, &p); err != nil {
				t.Fatal(err)
			}
			bad := []string{"x", "%%%", good + "x", good[:len(good)-4], "eyJvIjotMX0", base64.RawURLEncoding.EncodeToString([]byte("null"))}
			for i := range p.Values {
				for _, v := range []string{"", "x", "i", "ix", "fx", "fNaN", "i99999999999999999999", "s\x00", "r3", "r-1", "s"} {
					q := p
					q.Values = slices.Clone(p.Values)
					if q.Values[i] = v; v == "s" && p.Values[i][0] == 's' {
						continue
					}
					raw, _ := json.Marshal(q)
					bad = append(bad, base64.RawURLEncoding.EncodeToString(raw))
				}
			}
			for _, token := range bad {
				if _, _, err := s.page("", token, 2); !lastro.Is(err, lastro.EInvalid) {
					raw, _ := base64.RawURLEncoding.DecodeString(token)
					t.Errorf("%s: token %q (%s) = %v, want invalid", name, token, raw, err)
				}
			}
		}
	})
}

func searchesOf(t *testing.T, db *store.DB) map[string]searchOf {
	t.Helper()
	ctx := context.Background()
	tracking, models := store.NewTrack(db), store.NewRegistry(db)
	at := func(i int) time.Time { return time.UnixMilli(int64(1_000_000 + i%40)).UTC() }
	orderOf := func(order string) []track.Order {
		if order == "" {
			return nil
		}
		o := track.Order{Field: track.Attribute, Key: order, Desc: order[0] == '-'}
		if o.Desc {
			o.Key = order[1:]
		}
		switch o.Key {
		case "acc":
			o.Field = track.MetricField
		case "depth":
			o.Field = track.ParamField
		}
		return []track.Order{o}
	}
	registryOrder := func(order string) (out []registry.Order) {
		for _, o := range orderOf(order) {
			out = append(out, registry.Order{Key: o.Key, Desc: o.Desc})
		}
		return out
	}
	if err := models.CreateModel(ctx, registry.Model{Name: "many", CreatedAt: at(0), UpdatedAt: at(0)}); err != nil {
		t.Fatal(err)
	}
	return map[string]searchOf{
		"runs": {
			orders: []string{"", "-acc", "acc", "depth", "-run_name", "start_time"},
			insert: func(i int) error {
				r := track.Run{ID: track.NewID(), ExperimentID: "0", Name: fmt.Sprint("r", i%7), Status: track.Running, State: track.Active, StartedAt: at(i)}
				if err := tracking.CreateRun(ctx, r); err != nil || i%3 == 0 {
					return err
				}
				return tracking.Log(ctx, r.ID, track.Batch{Metrics: []track.Metric{{Key: "acc", Value: float64(i % 11), At: at(i)}}, Params: []track.Param{{Key: "depth", Value: fmt.Sprint(i % 5)}}}, nil)
			},
			page: func(order, token string, limit int) (ids []string, next string, err error) {
				list, next, err := tracking.SearchRuns(ctx, track.Query{Order: orderOf(order), Token: token, Limit: limit})
				for _, r := range list {
					ids = append(ids, r.ID)
				}
				return ids, next, err
			},
		},
		"experiments": {
			orders: []string{"", "name", "-creation_time"},
			insert: func(i int) error {
				return tracking.CreateExperiment(ctx, track.Experiment{ID: fmt.Sprint(7000 + i*7919%100_000), Name: fmt.Sprint("e", i*7919%100_000, " ", i), State: track.Active, CreatedAt: at(i), UpdatedAt: at(i)})
			},
			page: func(order, token string, limit int) (ids []string, next string, err error) {
				list, next, err := tracking.SearchExperiments(ctx, track.Query{Order: orderOf(order), Token: token, Limit: limit})
				for _, e := range list {
					ids = append(ids, e.ID)
				}
				return ids, next, err
			},
		},
		"logged models": {
			orders: []string{"", "-acc", "name"},
			insert: func(i int) error {
				r := track.Run{ID: track.NewID(), ExperimentID: "0", Name: "r", Status: track.Running, State: track.Active, StartedAt: at(i)}
				if err := tracking.CreateRun(ctx, r); err != nil {
					return err
				}
				m := track.LoggedModel{ID: "m-" + track.NewID(), ExperimentID: "0", Name: fmt.Sprint("m", i%5), SourceRun: r.ID, Status: track.ModelReady, CreatedAt: at(i), UpdatedAt: at(i)}
				if err := tracking.CreateLoggedModel(ctx, m); err != nil || i%3 == 0 {
					return err
				}
				return tracking.Log(ctx, r.ID, track.Batch{Metrics: []track.Metric{{Key: "acc", Value: float64(i % 11), At: at(i), LoggedModel: m.ID}}}, nil)
			},
			page: func(order, token string, limit int) (ids []string, next string, err error) {
				list, next, err := tracking.SearchLoggedModels(ctx, track.Query{Order: orderOf(order), Token: token, Limit: limit})
				for _, m := range list {
					ids = append(ids, m.ID)
				}
				return ids, next, err
			},
		},
		"models": {
			orders: []string{"", "-name", "last_updated_timestamp"},
			insert: func(i int) error {
				return models.CreateModel(ctx, registry.Model{Name: fmt.Sprint("m", i*7919%1000, " ", i), CreatedAt: at(i), UpdatedAt: at(i)})
			},
			page: func(order, token string, limit int) (ids []string, next string, err error) {
				list, next, err := models.SearchModels(ctx, registry.Query{Order: registryOrder(order), Token: token, Limit: limit})
				for _, m := range list {
					ids = append(ids, m.Name)
				}
				return ids, next, err
			},
		},
		"versions": {
			orders: []string{"", "-version_number", "last_updated_timestamp"},
			insert: func(i int) error {
				_, _, err := models.CreateVersion(ctx, registry.Version{Model: "many", Stage: "None", CreatedAt: at(i), UpdatedAt: at(i)}, false, func(registry.Version) lastro.Event {
					return lastro.NewEvent(at(i), "user:ana", "version.created", lastro.NewRef("model", "many", ""), nil)
				})
				return err
			},
			page: func(order, token string, limit int) (ids []string, next string, err error) {
				list, next, err := models.SearchVersions(ctx, registry.Query{Order: registryOrder(order), Token: token, Limit: limit})
				for _, v := range list {
					ids = append(ids, fmt.Sprint(v.Number))
				}
				return ids, next, err
			},
		},
	}
}
