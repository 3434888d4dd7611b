// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"lastro"
	"lastro/deploy"
	"lastro/serve"
)

// preparation brings a release's files and interpreter to where the data plane
// finds them; it goes on while Apply returns.
type preparation struct {
	release deploy.Release
	ended   chan struct{}
	at      time.Time // when it ended
	python  string
	err     error
}

// retryAfter is how long a failed preparation stands: the reason may go away,
// such as a package mirror that was not reachable.
const retryAfter = 30 * time.Second

func (p *preparation) done() bool {
	if p == nil {
		return true
	}
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *preparation) failed() bool { return p != nil && p.done() && p.err != nil }

func (p *preparation) revision() *serve.Revision {
	if p == nil {
		return nil
	}
	return &serve.Revision{Name: p.release.Name(), Version: strconv.Itoa(p.release.Version), Digest: p.release.Digest, Python: p.python}
}

// prepare returns the release's preparation, starting it when there is none.
// d.mu is held. nil for no release.
func (d *Driver) prepare(rel *deploy.Release) *preparation {
	if rel == nil {
		return nil
	}
	key := string(rel.Ref())
	if p := d.prepared[key]; p != nil && !(p.failed() && time.Since(p.at) > retryAfter) {
		return p
	}
	p := &preparation{release: *rel, ended: make(chan struct{})}
	if d.prepared == nil {
		d.prepared = map[string]*preparation{}
	}
	d.prepared[key] = p
	go func() {
		defer close(p.ended)
		p.python, p.err = d.bring(context.Background(), *rel)
		p.at = time.Now()
		if p.err != nil {
			d.Log.Error("release cannot be prepared", "release", rel.Ref(), "err", p.err)
		}
	}()
	// Most are there already: a moment saves a whole tick.
	select {
	case <-p.ended:
	case <-time.After(100 * time.Millisecond):
	}
	return p
}

// bring materialises the model and finds its interpreter.
func (d *Driver) bring(ctx context.Context, rel deploy.Release) (string, error) {
	dir := serve.ModelDir(d.Dir, rel.Digest)
	if err := d.materialise(ctx, rel.Digest, dir); err != nil {
		return "", err
	}
	if d.Interpreter == nil {
		return "", nil
	}
	if _, err := os.Stat(filepath.Join(dir, "MLmodel")); err != nil {
		return "", nil // no Python model: ONNX, or nothing that can be served
	}
	return d.Interpreter(ctx, rel, dir)
}

// materialise writes the tree beside its place and renames it, so that a crash
// leaves nothing half there. A tree that is there stays as it is: the data
// plane verifies it before each load, and says so when it was changed.
func (d *Driver) materialise(ctx context.Context, digest lastro.Digest, dir string) error {
	if _, err := os.Stat(serve.ManifestPath(d.Dir, digest)); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return fmt.Errorf("make room for the model: %w", err)
	}
	defer os.RemoveAll(tmp)
	manifest, err := d.Trees.Materialise(ctx, digest, filepath.Join(tmp, "tree"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(tmp, "manifest"), manifest, 0o600); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil { // of a crash between the two renames
		return err
	}
	return errors.Join(os.Rename(filepath.Join(tmp, "tree"), dir), os.Rename(filepath.Join(tmp, "manifest"), serve.ManifestPath(d.Dir, digest)))
}
