// SPDX-License-Identifier: Apache-2.0

package storetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"lastro/store"
)

// BenchmarkCommit measures transactions of one row and one event, by one writer
// and by eight, beside the machine's floor: fdatasync of one page, and the time
// that a transaction without any sync takes is what WriteSoon shows.
func BenchmarkCommit(b *testing.B) {
	b.Run("floor/fdatasync", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "f"))
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		page := make([]byte, 4096)
		for n := range b.N {
			if _, err := f.WriteAt(page, int64(n)*4096); err != nil {
				b.Fatal(err)
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, database := range []string{"sqlite", "postgres"} {
		b.Run(database, func(b *testing.B) {
			target := filepath.Join(b.TempDir(), "lastro.db")
			if database == "postgres" {
				target = migrated(b)
			}
			db, err := store.Open(b.Context(), target)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			var n atomic.Int64
			one := func(b *testing.B, soon bool, events bool) {
				name := fmt.Sprint(b.Name(), n.Add(1))
				write := db.Write
				if soon {
					write = db.WriteSoon
				}
				err := write(context.Background(), func(tx *store.Tx) error {
					if events {
						tx.Emit(event(name))
					}
					return putNumber(context.Background(), name)(tx)
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			for _, soon := range []bool{false, true} {
				for _, events := range []bool{true, false} {
					name := map[bool]string{false: "Write", true: "WriteSoon"}[soon] + map[bool]string{false: "-row", true: "-row+event"}[events]
					b.Run(name+"/1", func(b *testing.B) {
						for range b.N {
							one(b, soon, events)
						}
						b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
					})
					b.Run(name+"/8", func(b *testing.B) {
						b.SetParallelism(4)
						b.RunParallel(func(pb *testing.PB) {
							for pb.Next() {
								one(b, soon, events)
							}
						})
						b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
					})
				}
			}
		})
	}
}
