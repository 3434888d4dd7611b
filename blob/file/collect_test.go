// SPDX-License-Identifier: Apache-2.0

package file

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/blob"
	"lastro/blob/blobtest"
)

// folder writes files and stores them as a tree.
func folder(t *testing.T, s *Store, files map[string]string) lastro.Digest {
	t.Helper()
	dir := t.TempDir()
	blobtest.Files(t, dir, files)
	d, _, err := s.PutTree(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// age makes everything in the store look unused for two days.
func age(t *testing.T, s *Store) {
	t.Helper()
	long := time.Now().Add(-48 * time.Hour)
	if err := s.Each(t.Context(), func(o blob.Object) error { return os.Chtimes(s.path(o.Digest), long, long) }); err != nil {
		t.Fatal(err)
	}
}

func rootsAt(digests ...lastro.Digest) func(func(blob.Root) error) error {
	return func(fn func(blob.Root) error) error {
		for _, d := range digests {
			if err := fn(blob.Root{Digest: d, By: "run:1", Sure: true}); err != nil {
				return err
			}
		}
		return nil
	}
}

func objects(t *testing.T, s *Store) (n int) {
	t.Helper()
	if err := s.Each(t.Context(), func(blob.Object) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCollect(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	kept := folder(t, s, map[string]string{"shared": "shared", "a": "kept"})
	folder(t, s, map[string]string{"shared": "shared", "b": "gone"})
	old := folder(t, s, map[string]string{"shared": "shared", "c": "found again"})
	alone, _, err := s.Put(t.Context(), strings.NewReader("nobody's"))
	if err != nil {
		t.Fatal(err)
	}
	age(t, s)
	if ok, err := s.Has(t.Context(), old); !ok || err != nil {
		t.Fatal(ok, err)
	}
	fresh := folder(t, s, map[string]string{"d": "stored just now"})
	before := time.Now().Add(-3 * time.Hour)
	for _, dry := range []bool{true, false} {
		c, err := blob.Collect(t.Context(), s, rootsAt(kept), before, dry)
		// 3 + 2 + 2 + 1 + 2 objects; the manifest of the second folder, "gone" and "nobody's" go.
		if err != nil || c.Objects != 10 || c.Removed != 3 || c.Recent != 3 {
			t.Errorf("dry run %v: %+v, %v", dry, c, err)
		}
		if n := objects(t, s); dry && n != 10 || !dry && n != 7 {
			t.Errorf("dry run %v leaves %d objects", dry, n)
		}
	}
	for _, d := range []lastro.Digest{kept, old, fresh} {
		if err := s.Verify(t.Context(), d); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	if ok, _ := s.Has(t.Context(), alone); ok {
		t.Error("what nothing needs is still there")
	}
}

// TestCollectBesideWriters: what a writer stores or finds stays whole until it
// lets go of it, however often gc passes.
func TestCollectBesideWriters(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	rounds := 60
	if os.Getenv("LASTRO_TORTURE") != "" {
		rounds = 3000
	}
	done := make(chan struct{})
	var writers, collector sync.WaitGroup
	var passing sync.RWMutex // two days do not go by while gc passes
	collector.Go(func() {
		for removed := 0; ; {
			select {
			case <-done:
				t.Logf("gc removed %d objects on its way", removed)
				return
			default:
			}
			passing.Lock()
			c, err := blob.Collect(t.Context(), s, rootsAt(), time.Now().Add(-3*time.Hour), false)
			passing.Unlock()
			if removed += c.Removed; err != nil {
				t.Error(err)
			}
		}
	})
	for w := range 4 {
		dirs := make([]string, 3)
		for i := range dirs {
			dirs[i] = t.TempDir()
			blobtest.Files(t, dirs[i], map[string]string{"shared": fmt.Sprint("shared by folders of writer ", w), "own": fmt.Sprint(w, i), "more": fmt.Sprint("more ", w, i)})
		}
		writers.Go(func() { use(t, s, dirs, rounds, &passing) })
	}
	writers.Wait()
	close(done)
	collector.Wait()
}

// use stores or finds folders, checks that they are whole, and lets time pass.
func use(t *testing.T, s *Store, dirs []string, rounds int, passing *sync.RWMutex) {
	known := map[int]lastro.Digest{}
	for range rounds {
		i := rand.IntN(len(dirs))
		d, there := known[i], false
		var err error
		if d != "" && rand.IntN(2) == 0 {
			there, err = s.Has(t.Context(), d)
		}
		if !there && err == nil {
			d, _, err = s.PutTree(t.Context(), dirs[i], nil)
			known[i] = d
		}
		if err == nil {
			err = s.Verify(t.Context(), d)
		}
		if err != nil {
			t.Errorf("a folder in use: %v", err)
			return
		}
		entries, err := s.Tree(t.Context(), d)
		if err != nil {
			t.Error(err)
			return
		}
		passing.RLock()
		long := time.Now().Add(-48 * time.Hour)
		for _, e := range entries {
			_ = os.Chtimes(s.path(e.Digest), long, long)
		}
		_ = os.Chtimes(s.path(d), long, long)
		passing.RUnlock()
	}
}

// TestKilled: kill -9 at any moment of storing and collecting leaves a store
// whose every name is that of its bytes and in which all that is needed is
// there, and the next collection clears up.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("LASTRO_TEST_KILLED"); dir != "" {
		storeAndCollect(t, dir)
		return
	}
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for i := range 40 {
		files[strconv.Itoa(i)] = fmt.Sprint("needed ", i)
	}
	needed := folder(t, s, files)
	if err := os.WriteFile(filepath.Join(dir, "needed"), []byte(needed), 0o600); err != nil {
		t.Fatal(err)
	}
	kills := 12
	if os.Getenv("LASTRO_TORTURE") != "" {
		kills = 1000
	}
	scratch := t.TempDir() // who is killed removes nothing
	for range kills {
		child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		child.Env = append(os.Environ(), "LASTRO_TEST_KILLED="+dir, "TMPDIR="+scratch)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20*time.Millisecond + time.Duration(rand.IntN(60_000))*time.Microsecond)
		_ = child.Process.Kill()
		_ = child.Wait()
		checked, err := blob.Check(t.Context(), s, rootsAt(), false, nil)
		if err != nil || len(checked.Problems) > 0 {
			t.Fatalf("after kill -9: %+v, %v", checked.Problems, err)
		}
	}
	age(t, s)
	if _, err := blob.Collect(t.Context(), s, rootsAt(needed), time.Now().Add(time.Minute), false); err != nil {
		t.Fatal(err)
	}
	if n := objects(t, s); n != 41 {
		t.Errorf("%d objects are left, want 41", n)
	}
	for _, sub := range []string{"tmp", "trash"} {
		if left, _ := os.ReadDir(filepath.Join(s.dir, sub)); len(left) > 0 {
			t.Errorf("left in %s: %v", sub, left)
		}
	}
	if err := s.Verify(t.Context(), needed); err != nil {
		t.Error(err)
	}
}

func storeAndCollect(t *testing.T, dir string) {
	s, err := Open(filepath.Join(dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	needed, err := os.ReadFile(filepath.Join(dir, "needed"))
	if err != nil {
		t.Fatal(err)
	}
	for {
		files := map[string]string{"large": strings.Repeat(fmt.Sprint(rand.Int64()), 100_000)}
		for i := range 20 {
			files[strconv.Itoa(i)] = fmt.Sprint(rand.IntN(100))
		}
		folder(t, s, files)
		age(t, s)
		if _, err := blob.Collect(t.Context(), s, rootsAt(lastro.Digest(needed)), time.Now().Add(-3*time.Hour), false); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCheck: each problem is found, with who needs it, and repair moves damage aside.
func TestCheck(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	tree := folder(t, s, map[string]string{"model.pkl": "weights", "MLmodel": "flavors", "fine": "fine"})
	weights, flavors := lastro.DigestOf([]byte("weights")), lastro.DigestOf([]byte("flavors"))
	if c, err := blob.Check(t.Context(), s, rootsAt(tree), false, nil); err != nil || len(c.Problems) != 0 || c.Objects != 4 {
		t.Fatalf("a sound store: %+v, %v", c, err)
	}
	p := s.path(weights)
	if err := os.Chmod(p, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte("Weights"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(s.path(flavors)); err != nil {
		t.Fatal(err)
	}
	for _, repair := range []bool{false, true} {
		c, err := blob.Check(t.Context(), s, rootsAt(tree), repair, nil)
		if err != nil || len(c.Problems) != 2 {
			t.Fatalf("%+v, %v", c, err)
		}
		for _, p := range c.Problems {
			want := map[lastro.Digest]string{weights: "run:1 (model.pkl)", flavors: "run:1 (MLmodel)"}[p.Digest]
			if len(p.Needed) != 1 || p.Needed[0] != want || p.Missing != (p.Digest == flavors) || (p.Moved != "") != (repair && !p.Missing) {
				t.Errorf("repair %v: %+v, want needed by %s", repair, p, want)
			}
		}
	}
	if ok, _ := s.Has(t.Context(), weights); ok {
		t.Error("what is damaged is still found")
	}
	if _, _, err := s.Put(t.Context(), strings.NewReader("weights")); err != nil {
		t.Fatal(err)
	}
	if c, err := blob.Check(t.Context(), s, rootsAt(tree), false, nil); err != nil || len(c.Problems) != 1 {
		t.Errorf("after it was made again: %+v, %v", c, err)
	}
}

// TestInputsCannotDamageTheStore: whatever a step does to what it was given,
// also as root, the store stays as it is.
func TestInputsCannotDamageTheStore(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	tree := folder(t, s, map[string]string{"small": "text", "large": strings.Repeat("0123456789", 1<<18)})
	dest := filepath.Join(t.TempDir(), "input")
	if err := s.Materialise(t.Context(), tree, dest); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"small", "large"} {
		p := filepath.Join(dest, name)
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != 0o400 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
		script := `chmod 600 "$1" && printf hostile > "$1" && printf more >> "$1" && truncate -s 3 "$1" && touch -d 2001-01-01 "$1" && rm "$1"`
		if out, err := exec.Command("sh", "-c", script, "sh", p).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if c, err := blob.Check(t.Context(), s, rootsAt(tree), false, nil); err != nil || len(c.Problems) != 0 {
		t.Errorf("%+v, %v", c.Problems, err)
	}
}
