// SPDX-License-Identifier: Apache-2.0

package pipeline_test

import (
	"testing"

	"lastro/store"
	"lastro/store/storetest"
)

// TestSimulationPostgres is TestSimulationSQL on the other database.
func TestSimulationPostgres(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		db, err := store.Open(t.Context(), storetest.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		err = simulate(seed, &faulty{Store: store.NewPipeline(db)}, func(string, ...any) {})
		db.Close()
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
