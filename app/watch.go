// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"

	"lastro/project"
	"lastro/source"
)

// maxWatched bounds how many files of one dataset are looked at for changes.
const maxWatched = 5000

// WatchedFiles lists what a run reads, by path from the project's folder, with
// slashes, sorted: every file that is not ignored, and the datasets of p (nil =
// none), ignored or not.
func WatchedFiles(ctx context.Context, dir string, p *project.Project) ([]string, error) {
	tree, err := source.Open(ctx, dir, nil)
	if err != nil {
		return nil, err
	}
	found, err := tree.Files(ctx)
	if err != nil {
		return nil, err
	}
	files := slices.Clone(found)
	if p != nil {
		for _, d := range p.Datasets {
			files = append(files, datasetFiles(dir, d.Source)...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// datasetFiles are the first files below a dataset's source.
func datasetFiles(dir, from string) []string {
	var out []string
	_ = filepath.WalkDir(filepath.Join(dir, filepath.FromSlash(from)), func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // a dataset that is not there now may be there later
		}
		if rel, err := filepath.Rel(dir, p); err == nil && !d.IsDir() {
			out = append(out, filepath.ToSlash(rel))
		}
		if len(out) >= maxWatched {
			return fs.SkipAll
		}
		return nil
	})
	return out
}
