// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"lastro"
)

// workspaces are the folders work/RUN/STEP[.CELL]-ATTEMPT of one run. The
// run's code lies beside them once (.code), so all its steps see the same.
type workspaces struct {
	base string // work/
	dir  string // work/RUN

	once  sync.Once
	err   error
	spare spares
	old   []int64 // other runs that were over and left folders
	ended func(run int64) bool
}

// newWorkspaces also notes which earlier runs left something; ended tells which
// runs are over, for several may go on at a time.
func newWorkspaces(state string, run int64, ended func(run int64) bool) *workspaces {
	base := filepath.Join(state, "work")
	w := &workspaces{base: base, dir: filepath.Join(base, strconv.FormatInt(run, 10)), ended: ended}
	for _, n := range runFolders(base) {
		if n < run && ended(n) {
			w.old = append(w.old, n)
		}
	}
	return w
}

// runFolders are the runs that have a folder of workspaces.
func runFolders(base string) []int64 {
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil
	}
	var out []int64
	for _, e := range entries {
		if n, err := strconv.ParseInt(e.Name(), 10, 64); err == nil {
			out = append(out, n)
		}
	}
	return out
}

// sweep removes what an engine of this place left behind when it died: code on
// its way, and what runs that are over do not need. ended tells these.
func sweep(state string, ended func(run int64) bool) {
	base := filepath.Join(state, "work")
	for _, n := range runFolders(base) {
		if ended(n) {
			(&workspaces{dir: filepath.Join(base, strconv.FormatInt(n, 10))}).finish()
		}
	}
	left, _ := filepath.Glob(filepath.Join(base, codePrefix+"*"))
	for _, dir := range left {
		if !strings.HasPrefix(filepath.Base(dir), ownCode()) {
			_ = os.RemoveAll(dir)
		}
	}
}

// path is the workspace of an attempt, scratch its folder for HOME and TMPDIR.
func (w *workspaces) path(s StepRun) string { return filepath.Join(w.dir, attemptName(s)) }
func (w *workspaces) scratch(s StepRun) string {
	return filepath.Join(w.dir, ".tmp", attemptName(s))
}
func (w *workspaces) codePath() string { return filepath.Join(w.dir, ".code") }

func attemptName(s StepRun) string {
	return cellName(s.Step, s.Cell) + "-" + strconv.Itoa(s.Attempt)
}

// fresh makes an empty workspace with code in it; bring puts the run's code
// into the folder that it is given.
func (w *workspaces) fresh(ctx context.Context, j *Job, code map[string]string, bring func(context.Context, string) error) error {
	w.forgetOld(cellName(j.Step.Name, j.Cell))
	for attempt := 1; attempt < j.Attempt; attempt++ {
		s := StepRun{Step: j.Step.Name, Cell: j.Cell, Attempt: attempt}
		w.remove(w.path(s))
		w.remove(w.scratch(s))
	}
	err := w.empty(j.Dir)
	if err == nil && (j.Strict || !w.spare.take(j.Scratch)) {
		err = w.empty(j.Scratch)
	}
	if err != nil {
		return fmt.Errorf("make the workspace: %w", err)
	}
	if len(code) > 0 {
		if w.once.Do(func() { w.err = w.code(ctx, bring) }); w.err != nil {
			return w.err
		}
		if err := copyFiles(w.codePath(), j.Dir, code); err != nil {
			return err
		}
	}
	return makeParents(j)
}

// empty makes a folder that has nothing in it, also when a dead engine left one.
func (w *workspaces) empty(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		w.remove(dir)
	}
	return os.MkdirAll(dir, 0o700)
}

// code brings the run's code once. The folder appears whole or not at all, so
// a run that goes on after a crash finds what it began with.
func (w *workspaces) code(ctx context.Context, bring func(context.Context, string) error) error {
	if _, err := os.Stat(w.codePath()); err == nil {
		return nil
	}
	temp := w.codePath() + ".part"
	w.remove(temp)
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return err
	}
	if err := bring(ctx, temp); err != nil {
		return err
	}
	return os.Rename(temp, w.codePath())
}

// makeParents makes the folders into which the step writes, and the one where
// it starts: a script expects the folders that its author has.
func makeParents(j *Job) error {
	s := j.Step
	files := slices.Concat([]string{filepath.Join(s.Workdir, "x")}, s.Metrics, s.Plots)
	for _, o := range s.Outputs {
		files = append(files, o.Path)
	}
	for _, f := range s.Reports {
		files = append(files, f)
	}
	made := map[string]bool{filepath.Clean(j.Dir): true}
	for _, f := range files {
		d := filepath.Dir(j.Path(f))
		if made[d] {
			continue
		}
		made[d] = true
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
	}
	return nil
}

func copyFiles(from, to string, files map[string]string) error {
	made := map[string]bool{}
	for f := range files {
		src, dest := filepath.Join(from, filepath.FromSlash(f)), filepath.Join(to, filepath.FromSlash(f))
		if d := filepath.Dir(dest); !made[d] {
			if err := os.MkdirAll(d, 0o700); err != nil {
				return err
			}
			made[d] = true
		}
		if err := copyFile(src, dest); err != nil {
			return fmt.Errorf("copy code: %w", err)
		}
	}
	return nil
}

func copyFile(src, dest string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	fi, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(dest, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fi.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// forgetOld removes what earlier runs kept of a cell that failed, unless they
// are being tried again.
func (w *workspaces) forgetOld(cell string) {
	for _, run := range w.old {
		dir := filepath.Join(w.base, strconv.FormatInt(run, 10))
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool {
			rest, ok := strings.CutPrefix(e.Name(), cell+"-")
			return !ok || !isNumber(rest)
		})
		if len(entries) == 0 || !w.ended(run) {
			continue
		}
		for _, e := range entries {
			w.remove(filepath.Join(dir, e.Name()))
		}
		_ = os.Remove(dir) // only when it is empty
	}
}

func isNumber(s string) bool { _, err := strconv.Atoi(s); return err == nil }

// finish removes what a run that is over does not need.
func (w *workspaces) finish() {
	w.remove(filepath.Join(w.dir, ".code"))
	w.remove(filepath.Join(w.dir, ".code.part"))
	w.remove(filepath.Join(w.dir, ".tmp"))
	_ = os.Remove(w.dir)
}

// removeScratch removes the scratch folder of a job, or keeps it for another one.
func (w *workspaces) removeScratch(j *Job) {
	if j.Strict || !w.spare.give(j.Scratch) {
		w.remove(j.Scratch)
	}
}

// removeWorkspace removes the workspace of a job: of a small one all that is in
// it is known.
func (w *workspaces) removeWorkspace(j *Job) {
	if len(j.Inputs)+len(j.Outputs) <= mostKnown {
		for _, in := range j.Inputs {
			_ = syscall.Unlink(j.Path(in.Path))
		}
		for _, o := range j.Outputs {
			_ = syscall.Unlink(j.Path(o.Path))
		}
		if syscall.Rmdir(j.Dir) == nil {
			return
		}
	}
	w.remove(j.Dir)
}

// mostKnown is up to how many files are removed by name.
const mostKnown = 8

// remove deletes a folder, also when a step left folders without write bit.
func (w *workspaces) remove(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// diskFull names what a person can mend.
func diskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0410", Msg: "the disk is full: nothing was lost, nothing more can be stored",
			Hint: "free some space (lastro keeps its state in .lastro), then run the same command again", Err: err}
	}
	return err
}
