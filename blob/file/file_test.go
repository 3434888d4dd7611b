// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"lastro"
	"lastro/blob"
	"lastro/blob/blobtest"
)

func TestContract(t *testing.T) {
	var s *Store
	open := func(t *testing.T) blob.Store {
		var err error
		if s, err = Open(filepath.Join(t.TempDir(), "blobs")); err != nil {
			t.Fatal(err)
		}
		return s
	}
	blobtest.Run(t, open, func(t *testing.T, d lastro.Digest) {
		p := s.path(d)
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		os.Chmod(p, 0o600)
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

// TestModes: nobody else on the machine reads what is stored, and nothing is
// left in tmp.
func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := s.Put(t.Context(), bytes.NewReader([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{dir: 0o700, filepath.Dir(s.path(d)): 0o700, s.path(d): 0o400} {
		if fi, err := os.Stat(p); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", p, fi.Mode().Perm(), want, err)
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

func TestDiskFull(t *testing.T) {
	var e *lastro.Error
	err := diskError(&os.PathError{Op: "write", Path: "/x", Err: syscall.ENOSPC})
	if e, _ = err.(*lastro.Error); e == nil || e.Code != lastro.EErrored || e.ID != "L0410" || e.Hint == "" {
		t.Errorf("%#v", err)
	}
}

func BenchmarkPutSmall(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4096)
	for i := 0; b.Loop(); i++ {
		buf[0], buf[1], buf[2] = byte(i), byte(i>>8), byte(i>>16)
		if _, _, err := s.Put(b.Context(), bytes.NewReader(buf)); err != nil {
			b.Fatal(err)
		}
	}
}
