// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"lastro"
	"lastro/blob"
	"lastro/blob/file"
)

func BenchmarkPutSmall(b *testing.B) {
	db, err := Open(b.Context(), filepath.Join(b.TempDir(), "lastro.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s := NewBlobs(db)
	for i := 0; b.Loop(); i++ {
		text := fmt.Appendf(nil, "output %d", i)
		if err := s.PutSmall(b.Context(), []blob.Content{{Digest: lastro.DigestOf(text), Bytes: text}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutSmallPath is what an output of a few bytes costs a step: equal
// ones of many steps, and different ones. The target is 0.3 ms.
func BenchmarkPutSmallPath(b *testing.B) {
	for _, name := range []string{"equal", "different"} {
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			db, err := Open(b.Context(), filepath.Join(dir, "lastro.db"))
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			s, err := file.OpenWith(filepath.Join(dir, "blobs"), NewBlobs(db))
			if err != nil {
				b.Fatal(err)
			}
			for i := 0; b.Loop(); i++ {
				out, text := filepath.Join(dir, fmt.Sprint(i)), fmt.Appendf(nil, "output %d", i)
				if name == "equal" {
					text = []byte("x\n")
				}
				if err := os.WriteFile(out, text, 0o600); err != nil {
					b.Fatal(err)
				}
				if _, _, err := s.PutPath(b.Context(), out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
