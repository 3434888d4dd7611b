// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"lastro"
)

// codeFolder is a run's code on its way into the workspaces: written once,
// stored by digest, then moved to where the run's steps copy it from.
type codeFolder struct {
	path   string // "" = there is no code
	digest lastro.Digest
}

// codePrefix begins the names of such folders, ownCode those of this process,
// whose number may be that of one before: in a container it always is 1.
const codePrefix = ".code-"

var ownCode = sync.OnceValue(func() string { return codePrefix + rand.Text()[:10] + "-" })

// keepCode stores the files that a plan was made from, so that any engine can
// carry the run out, also of a tree with changes that no commit has.
func (e *Engine) keepCode(ctx context.Context, p *Plan) (*codeFolder, error) {
	files := maps.Clone(p.Code)
	maps.Copy(files, p.kept)
	if len(files) == 0 || p.shop.Code == nil {
		return &codeFolder{}, nil
	}
	work := filepath.Join(e.o.StateDir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, diskFull(err)
	}
	dir, err := os.MkdirTemp(work, ownCode())
	if err != nil {
		return nil, diskFull(err)
	}
	f := &codeFolder{path: dir}
	if err := p.shop.Code.Copy(ctx, files, dir); err != nil {
		f.discard()
		return nil, diskFull(err)
	}
	if f.digest, _, err = e.o.Blobs.PutPath(ctx, dir); err != nil {
		f.discard()
		return nil, fmt.Errorf("keep the code: %w", err)
	}
	return f, nil
}

// become moves the folder to where the workspaces of its run look for it.
func (f *codeFolder) become(path string) error {
	if f == nil || f.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Rename(f.path, path); err != nil {
		return err
	}
	f.path = ""
	return nil
}

// discard removes the folder unless it has become a run's.
func (f *codeFolder) discard() {
	if f != nil && f.path != "" {
		_ = os.RemoveAll(f.path)
	}
}

// bringCode writes the run's code to dest, which does not exist.
func (a *active) bringCode(ctx context.Context, dest string) error {
	if a.run.Tree == "" {
		return os.Mkdir(dest, 0o700)
	}
	return a.e.o.Blobs.Materialise(ctx, a.run.Tree, dest)
}
