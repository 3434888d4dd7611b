// SPDX-License-Identifier: Apache-2.0

// Package servetest is the contract that every serve.Runtime passes: a runtime
// is done when Run is green on it. It also has the small Go runtime with which
// the gateway is tested, and finds the Python of the tests.
package servetest

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lastro"
	"lastro/serve"
)

// Case is a runtime with a real model and what that model must answer.
type Case struct {
	Runtime  serve.Runtime
	Spec     serve.LoadSpec
	Broken   serve.LoadSpec // a folder that the runtime accepts and cannot load
	BrokenIn string         // text that the error about Broken contains
	Input    serve.Batch
	Scores   []float64 // of Input's rows, from an independent source
	Within   float64   // tolerance on Scores
}

// Run is the contract.
func Run(t *testing.T, c Case) {
	t.Helper()
	ctx := t.Context()
	if !c.Runtime.Accepts(c.Spec.Dir) {
		t.Fatalf("%s does not accept %s", c.Runtime.Name(), c.Spec.Dir)
	}
	if c.Runtime.Accepts(t.TempDir()) {
		t.Errorf("%s accepts an empty folder", c.Runtime.Name())
	}
	model, err := c.Runtime.Load(ctx, c.Spec)
	if err != nil {
		t.Fatalf("Load(%s): %v %v", c.Spec.Dir, err, notes(err))
	}
	defer model.Close()

	t.Run("answers", func(t *testing.T) { c.answers(t, model) })
	t.Run("answers many at once", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() { c.answers(t, model) })
		}
		wg.Wait()
	})
	t.Run("returns when its context ends", func(t *testing.T) {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := model.Predict(ended, c.Input); !errors.Is(err, context.Canceled) {
			t.Errorf("Predict with an ended context: %v, want context.Canceled", err)
		}
		c.answers(t, model)
	})
	t.Run("survives a killed process", func(t *testing.T) { c.survivesKill(t, model) })
	t.Run("says why a model does not load", func(t *testing.T) {
		broken, err := c.Runtime.Load(ctx, c.Broken)
		if err == nil {
			broken.Close()
			t.Fatalf("Load(%s) is no error", c.Broken.Dir)
		}
		var e *lastro.Error
		if !errors.As(err, &e) || !strings.Contains(e.Error()+strings.Join(e.Notes, "\n"), c.BrokenIn) {
			t.Errorf("Load(%s): %v %v; want a *lastro.Error with %q", c.Broken.Dir, err, notes(err), c.BrokenIn)
		}
	})
	t.Run("closes", func(t *testing.T) {
		pids := model.Pids()
		for range 2 {
			if err := model.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				t.Errorf("process %d is alive after Close", pid)
			}
		}
		if _, err := model.Predict(ctx, c.Input); err == nil {
			t.Error("Predict after Close is no error")
		}
	})
}

func (c Case) answers(t *testing.T, model serve.Model) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	a, err := model.Predict(ctx, c.Input)
	if err != nil {
		t.Errorf("Predict: %v", err)
		return
	}
	got, err := serve.RowAnswers(a, c.Input.Rows)
	if err != nil {
		t.Errorf("answer %+v: %v", a, err)
		return
	}
	for i, want := range c.Scores {
		x, ok := got[i].(float64)
		if !ok || math.Abs(x-want) > c.Within {
			t.Errorf("row %d: score %v, want %v within %v", i, got[i], want, c.Within)
		}
	}
}

func (c Case) survivesKill(t *testing.T, model serve.Model) {
	pids := model.Pids()
	if len(pids) == 0 {
		t.Skip("this runtime has no processes")
	}
	for _, pid := range pids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	c.answers(t, model)
	for _, pid := range model.Pids() {
		for _, dead := range pids {
			if pid == dead {
				t.Errorf("process %d was killed and is still counted", pid)
			}
		}
	}
}

func notes(err error) []string {
	var e *lastro.Error
	if errors.As(err, &e) {
		return e.Notes
	}
	return nil
}

// Python returns the interpreter with the tests' packages, which `make test`
// installs, or skips the test.
func Python(t testing.TB) string {
	t.Helper()
	candidates := []string{os.Getenv("LASTRO_TEST_PYTHON")}
	if cache, err := os.UserCacheDir(); err == nil {
		candidates = append(candidates, filepath.Join(cache, "lastro", "test-python", "bin", "python"))
	}
	for _, p := range candidates {
		if p != "" && exec.Command(p, "-c", "import sys").Run() == nil {
			return p
		}
	}
	t.Skip("no Python with the tests' packages: make python installs it")
	return ""
}

// Install puts a model's folder where a gateway on dir looks for it, and
// returns its digest.
func Install(t testing.TB, dir, folder string) lastro.Digest {
	t.Helper()
	manifest := Manifest(t, folder)
	digest := lastro.DigestOf(manifest)
	dest := serve.ModelDir(dir, digest)
	if err := os.MkdirAll(filepath.Dir(dest), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dest, os.DirFS(folder)); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(serve.ManifestPath(dir, digest), manifest, 0o600); err != nil {
		t.Fatal(err)
	}
	return digest
}
