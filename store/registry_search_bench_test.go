// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"lastro/registry"
	"lastro/store"
	"lastro/store/storetest"
)

// BenchmarkSearchRegistry measures pages of 10,000 versions, half of them of
// one model, and of 5,001 models with the newest version of each stage.
func BenchmarkSearchRegistry(b *testing.B) {
	for _, database := range []string{"sqlite", "postgres"} {
		b.Run(database, func(b *testing.B) {
			target := filepath.Join(b.TempDir(), "lastro.db")
			if database == "postgres" {
				target = storetest.Postgres(b)
			}
			db, err := store.Open(b.Context(), target)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			if err := store.FillVersions(b.Context(), db, 5_000); err != nil {
				b.Fatal(err)
			}
			s := store.NewRegistry(db)
			is := func(key, op, text string) []registry.Clause { return []registry.Clause{{Key: key, Op: op, Text: text}} }
			for _, q := range []struct {
				name   string
				models bool
				registry.Query
			}{
				{"versions/newest", false, registry.Query{Limit: 200}},
				{"versions/of-one", false, registry.Query{Where: is("name", "=", "many"), Order: []registry.Order{{Key: "version_number", Desc: true}}, Limit: 200}},
				{"versions/name", false, registry.Query{Where: is("name", "ILIKE", "%MODEL 49%"), Limit: 200}},
				{"versions/tag", false, registry.Query{Where: is("tags.k", "=", "7"), Limit: 200}},
				{"versions/by-name", false, registry.Query{Order: []registry.Order{{Key: "name", Desc: true}}, Limit: 200}},
				{"models/first", true, registry.Query{Limit: 100}},
				{"models/name", true, registry.Query{Where: is("name", "ILIKE", "%MODEL 49%"), Limit: 100}},
				{"models/no-prompts", true, registry.Query{Where: is("tags.mlflow.prompt.is_prompt", "LACKS", "true"), Limit: 100}},
				{"models/newest", true, registry.Query{Order: []registry.Order{{Key: "last_updated_timestamp", Desc: true}}, Limit: 100}},
			} {
				b.Run(q.name, func(b *testing.B) {
					var took []time.Duration
					before, n := cpuTime(), 0
					for b.Loop() {
						start := time.Now()
						if q.models {
							list, _, err := s.SearchModels(b.Context(), q.Query)
							names := make([]string, len(list))
							for i, m := range list {
								names[i] = m.Name
							}
							if err == nil {
								_, err = s.LatestVersions(b.Context(), names)
							}
							if n = len(list); err != nil {
								b.Fatal(err)
							}
						} else {
							list, _, err := s.SearchVersions(b.Context(), q.Query)
							if n = len(list); err != nil {
								b.Fatal(err)
							}
						}
						took = append(took, time.Since(start))
					}
					slices.Sort(took)
					b.ReportMetric(float64(n), "rows")
					b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
					b.ReportMetric(float64(took[0].Microseconds())/1000, "best-ms")
					b.ReportMetric(float64((cpuTime()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
				})
			}
		})
	}
}
