// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lastro"
)

// Recorded is the code of a run that was recorded when the run was submitted:
// what it contained by path, and a folder in which those files lie. The folder
// comes from the store, which verified it on the way, so it is not read again
// before it is copied. It never changes and is safe for concurrent use.
type Recorded struct {
	files map[string]string
	dir   string
}

// NewRecorded returns the code whose files, by path from the root with slashes,
// have the contents that Tree.Select gave, and lie below dir. It does not copy
// the map.
func NewRecorded(files map[string]string, dir string) *Recorded {
	return &Recorded{files: files, dir: dir}
}

// Select returns the recorded files by the rules of Tree.Select.
func (r *Recorded) Select(_ context.Context, under string, globs, exclude []string) (map[string]string, error) {
	selected, err := selection(under, globs, exclude)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for f, content := range r.files {
		if content != "" && selected(f) {
			out[f] = content
		}
	}
	return out, nil
}

// Copy writes selected files below dest, executable where they were recorded
// so. A file that is not there is EErrored; contents are not compared.
func (r *Recorded) Copy(ctx context.Context, files map[string]string, dest string) error {
	return eachPlace(ctx, files, dest, func(f, to, content string) error {
		err := copyFile(filepath.Join(r.dir, filepath.FromSlash(f)), to, content)
		if errors.Is(err, fs.ErrNotExist) {
			return &lastro.Error{Code: lastro.EErrored, ID: "L0156", Msg: fmt.Sprintf("the recorded code of this run lacks %s", f),
				Hint: "start a new run: lastro run", Err: err}
		}
		return inCopy(f, err)
	})
}

// eachPlace calls write for each file of the tree with the path below dest
// where it goes, whose folder is there.
func eachPlace(ctx context.Context, files map[string]string, dest string, write func(f, to, content string) error) error {
	folders := map[string]bool{}
	for f, content := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		to, err := place(dest, f, folders)
		if err == nil {
			err = write(f, to, content)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func inCopy(f string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("copy %s: %w", f, err)
}

// place returns where a file of the tree goes below dest and makes its folder;
// folders remembers which ones are made.
func place(dest, f string, folders map[string]bool) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(f)) {
		return "", lastro.Errorf(lastro.EInvalid, "%q is no path of the tree", f)
	}
	to := filepath.Join(dest, filepath.FromSlash(f))
	if d := filepath.Dir(to); !folders[d] {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return "", err
		}
		folders[d] = true
	}
	return to, nil
}

// copyFile writes a file whose content is recorded as content.
func copyFile(from, to, content string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, modeOf(content))
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}

// modeOf is the mode of a file in a workspace, by its content as Select names it.
func modeOf(content string) fs.FileMode {
	if strings.HasSuffix(content, "+x") {
		return 0o700
	}
	return 0o600
}
