// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/project"
)

// How datasets of on.data are watched: they are looked at every so often, and
// read once they have been left alone for a while, so that a run does not begin
// in the middle of a copy.
const (
	dataLook  = 2 * time.Second
	dataQuiet = 10 * time.Second
)

// watched is what the last looks at a dataset saw.
type watched struct {
	mark  string    // sizes and times of its files
	since time.Time // since when they are so
	taken bool      // its version was recorded
}

// dataLoop looks for new versions of the datasets of on.data.
func (s *server) dataLoop(ctx context.Context) error {
	seen := map[string]*watched{}
	return s.every(ctx, or(s.house.watching.Look, dataLook), time.Minute, "new data", func(ctx context.Context) error {
		p := s.house.Project()
		if p == nil {
			return nil
		}
		var errs []error
		for _, d := range p.Trigger.Data {
			if seen[d.Name] == nil {
				seen[d.Name] = &watched{}
			}
			if err := s.house.lookAt(ctx, p, d.Name, seen[d.Name]); err != nil {
				errs = append(errs, fmt.Errorf("dataset %s: %w", d.Name, err))
			}
		}
		return errors.Join(errs...)
	})
}

// lookAt takes a version of a dataset that has changed and is quiet again.
func (h *House) lookAt(ctx context.Context, p *project.Project, name string, w *watched) error {
	spec, ok := p.Dataset(name)
	if !ok {
		return nil
	}
	mark, err := treeMark(ctx, filepath.Join(h.Paths.Project, filepath.FromSlash(spec.Source)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it will come
	}
	if err != nil {
		return err
	}
	now := time.Now() // how long it was quiet has nothing to do with the time of day
	if mark != w.mark {
		*w = watched{mark: mark, since: now}
	}
	if w.taken || now.Sub(w.since) < or(h.watching.Quiet, dataQuiet) {
		return nil
	}
	v, err := h.snapshot(ctx, spec)
	if err != nil {
		return err
	}
	readBy, err := h.readBy(ctx, p, name, v.Digest)
	if err != nil {
		return err
	}
	if _, err := h.triggers(p).Saw(ctx, name, v.Digest, readBy); err != nil {
		return err
	}
	w.taken = true
	return nil
}

// readBy finds a recent run that read a version; 0 = none.
func (h *House) readBy(ctx context.Context, p *project.Project, name string, version lastro.Digest) (int64, error) {
	runs, err := h.Runs.Runs(ctx, pipeline.RunFilter{Project: p.Name, Limit: 20})
	for _, r := range runs {
		if slices.ContainsFunc(r.Datasets, func(d pipeline.Dataset) bool { return d.Name == name && d.Digest == version }) {
			return r.Number, nil
		}
	}
	return 0, err
}

// treeMark sums up names, sizes and times of a file, or of all files below a
// folder, without reading them.
func treeMark(ctx context.Context, root string) (string, error) {
	hash := lastro.NewHasher()
	err := filepath.WalkDir(root, func(p string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile; the next look sees it
		}
		if err == nil {
			fmt.Fprintf(hash, "%s\x00%d\x00%d\x00", p, info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	return string(hash.Digest()), err
}
