// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"lastro"
)

// collect reads metrics and reports and keeps the declared outputs. Of a step
// that did not end well it reads what there is, for people, and keeps nothing.
func (a *attempt) collect(ctx context.Context, err error) error {
	c := collector{job: a.job, blobs: a.r.e.o.Blobs, row: &a.row, find: a.written, lenient: err != nil, mask: a.mask()}
	if cerr := c.collect(ctx); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	for _, o := range a.job.Outputs {
		p, err := a.written(o.Path, fmt.Sprintf("output %q", o.Name))
		if err != nil {
			return err
		}
		if err := a.speakable(p, o.Name); err != nil {
			return err
		}
		d, size, err := a.r.e.o.Blobs.PutPath(ctx, p)
		if err != nil {
			return fmt.Errorf("keep output %q: %w", o.Name, err)
		}
		a.row.Outputs = append(a.row.Outputs, Artifact{Name: o.Name, Path: path.Clean(o.Path), Digest: d, Size: size})
	}
	return nil
}

// written returns the absolute path of what a step had to write. A link that
// leads out of the workspace is refused.
func (a *attempt) written(file, what string) (string, error) {
	p := a.job.Path(file)
	if plain(a.job.Dir, file) {
		return p, nil
	}
	real, err := filepath.EvalSymlinks(p)
	if errors.Is(err, fs.ErrNotExist) {
		e := &lastro.Error{Code: lastro.EFailed, ID: "L0305", Pos: a.cell.spec.Pos,
			Msg: fmt.Sprintf("step %q ended well but did not write %s, its %s", a.row.Step, file, what)}
		if news := a.news(); len(news) > 0 {
			e.Hint = "it wrote " + someOf(news, 5) + "; declare that path, or write to this one"
		} else {
			e.Hint = "it wrote no file at all; paths count from the repository root"
		}
		return "", e
	}
	if err != nil {
		return "", err
	}
	root, err := filepath.EvalSymlinks(a.job.Dir)
	if err != nil {
		return "", err
	}
	if real != root && !strings.HasPrefix(real, root+string(filepath.Separator)) {
		return "", &lastro.Error{Code: lastro.EFailed, ID: "L0308", Pos: a.cell.spec.Pos,
			Msg: fmt.Sprintf("step %q: %s (%s) is a link that leads out of the workspace", a.row.Step, file, what), Hint: "write the file itself"}
	}
	return real, nil
}

// speakable refuses an output with a file whose name holds a line break or
// another control character, or is no UTF-8: no list of files could show it, and
// some would take it for two.
func (a *attempt) speakable(p, output string) error {
	info, err := os.Lstat(p)
	if err != nil || !info.IsDir() {
		return err // the name of a file is the one that lastro.yaml declares
	}
	return filepath.WalkDir(p, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); at != p && (strings.ContainsFunc(name, unicode.IsControl) || !utf8.ValidString(name)) {
			rel, _ := filepath.Rel(p, at)
			return &lastro.Error{Code: lastro.EFailed, ID: "L0314", Pos: a.cell.spec.Pos,
				Msg: fmt.Sprintf("step %q: output %q has a file named %q, with characters that no file name may have", a.row.Step, output, rel), Hint: "use names without line breaks and other control characters, in UTF-8"}
		}
		return nil
	})
}

// plain reports whether a path of the workspace is there and no part of it
// below the workspace is a link: then it cannot lead out of it.
func plain(dir, file string) bool {
	at := dir
	for part := range strings.SplitSeq(filepath.FromSlash(path.Clean(file)), string(filepath.Separator)) {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil || part == ".." || info.Mode()&fs.ModeSymlink != 0 {
			return false
		}
	}
	return true
}

// news lists files of the workspace that were not there before the step.
func (a *attempt) news() []string {
	given := map[string]bool{}
	for p := range a.cell.code {
		given[p] = true
	}
	var out []string
	_ = filepath.WalkDir(a.job.Dir, func(p string, d fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(a.job.Dir, p)
		if err != nil || rerr != nil {
			return fs.SkipDir
		}
		rel = filepath.ToSlash(rel)
		for _, in := range a.job.Inputs {
			if rel == in.Path && d.IsDir() {
				return fs.SkipDir
			}
			given[in.Path] = true
		}
		if d.IsDir() && (d.Name() == "__pycache__" || d.Name() == ".pytest_cache") {
			return fs.SkipDir
		}
		if !d.IsDir() && !given[rel] {
			out = append(out, rel)
		}
		if len(out) > 100 {
			return fs.SkipAll
		}
		return nil
	})
	return out
}
