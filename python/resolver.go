// SPDX-License-Identifier: Apache-2.0

package python

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"lastro"
)

// Find says whether Ensure would be quick, and returns the environment when it
// is there. It reads and hashes the small files and starts no process.
func (r *Resolver) Find(w Wanted) (Plan, error) {
	lock, wanted, err := r.current(w)
	if err != nil || lock == nil {
		return Plan{}, err
	}
	plan := Plan{Locked: true}
	if py := r.quickFind(wanted); py != nil && (w.Own || minor(py.version) == lock.python) {
		if env := r.envOf(lock, py); complete(env) {
			plan.Built, plan.Env = true, env
		}
	}
	return plan, nil
}

// Ensure returns the environment, after writing the lock and building it when
// they are missing or do not match. What the user can mend (no such Python, an
// unknown package) is EInvalid with a hint; a tool that failed otherwise is
// EErrored with its last lines. When ctx ends, so do the tools, and what is
// half-built is never used.
func (r *Resolver) Ensure(ctx context.Context, w Wanted) (*Env, error) {
	plan, err := r.Find(w)
	if err != nil || plan.Built {
		return plan.Env, err
	}
	lock, wanted, err := r.current(w)
	if err != nil {
		return nil, err
	}
	py, err := r.find(ctx, wanted)
	if err != nil {
		return nil, err
	}
	if lock == nil || !w.Own && lock.python != minor(py.version) {
		if lock, err = r.relock(ctx, w, py); err != nil {
			return nil, err
		}
	}
	return r.build(ctx, lock, py)
}

// current returns the lock if it is what w asks for, and the Python version to
// look for.
func (r *Resolver) current(w Wanted) (lock *lockText, wanted string, err error) {
	if w.Own {
		lock, err = readLock(w.Lock)
		if err == nil && lock == nil {
			err = &lastro.Error{Code: lastro.EInvalid, ID: "L0461", Pos: lastro.Pos{File: w.Lock}, Msg: fmt.Sprintf("the lock file %s is not there", w.Lock)}
		}
		if err == nil {
			err = lock.checkUsable(w.Lock, true)
		}
		return lock, w.Version, err
	}
	digest, err := digestRequirements(w.Requirements)
	if err != nil {
		return nil, "", err
	}
	if !exists(w.Requirements) { // nothing to pin: no lock is written
		v := w.Version
		if v == "" {
			if py := r.quickFind(""); py != nil {
				v = py.version
			}
		}
		return parseLock([]byte(header{digest, minor(v), platform()}.String())), w.Version, nil
	}
	lock, err = readLock(w.Lock)
	if err != nil || lock == nil {
		return nil, w.Version, err
	}
	wanted = w.Version
	if wanted == "" {
		wanted = lock.python
	}
	if lock.header != (header{digest, minor(wanted), platform()}) {
		return nil, w.Version, nil
	}
	return lock, wanted, nil
}

// envOf returns the place of the environment of a lock, built or not.
func (r *Resolver) envOf(lock *lockText, py *interpreter) *Env {
	e := r.at(lastro.DigestOf([]byte(strings.Join([]string{"lastro python 1", string(lock.digest), py.version, platform()}, "\n"))))
	e.Lock, e.Exact, e.Pins = lock.digest, py.version, len(lock.pins)
	return e
}

// at returns the paths of the environment with a digest.
func (r *Resolver) at(digest lastro.Digest) *Env {
	dir := filepath.Join(r.cacheDir(), "envs", digest.Hex()[:32])
	bin := filepath.Join(dir, "bin")
	return &Env{Dir: dir, BinDir: bin, Python: filepath.Join(bin, "python"), Digest: digest}
}

// ByDigest returns the environment with a digest (Env.Digest) if it is on this
// machine, such as the one that a model was trained in.
func (r *Resolver) ByDigest(digest lastro.Digest) (*Env, bool) {
	if _, err := lastro.ParseDigest(string(digest)); err != nil {
		return nil, false
	}
	e := r.at(digest)
	b, err := os.ReadFile(filepath.Join(e.Dir, completeFile))
	var m made
	if err != nil || json.Unmarshal(b, &m) != nil || !exists(e.Python) {
		return nil, false
	}
	e.Lock, e.Exact, e.Pins = m.Lock, m.Python, m.Pins
	return e, true
}

// made is the text of completeFile.
type made struct {
	Lock   lastro.Digest `json:"lock"`
	Python string        `json:"python"` // exact version
	Pins   int           `json:"pins"`
	From   string        `json:"from"` // the interpreter, for people
}

// completeFile is written last into an environment. A virtual environment
// holds its own path, so it cannot be built elsewhere and renamed.
const completeFile = ".complete"

// complete reports whether an environment can be used: it was built to its
// end, and the Python that it was made from is still there.
func complete(e *Env) bool { return exists(filepath.Join(e.Dir, completeFile)) && exists(e.Python) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// relock writes the lock, one process at a time.
func (r *Resolver) relock(ctx context.Context, w Wanted, py *interpreter) (*lockText, error) {
	held, err := r.hold(ctx, "lock-"+lastro.DigestOf([]byte(w.Lock)).Hex()[:32], "another lastro pins "+w.Requirements)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	w.Version = py.version
	if lock, _, err := r.current(w); err != nil || lock != nil {
		return lock, err // the other one did it
	}
	digest, err := digestRequirements(w.Requirements)
	if err != nil {
		return nil, err
	}
	head := header{digest, minor(py.version), platform()}
	if !exists(w.Requirements) {
		return parseLock([]byte(head.String())), nil
	}
	tmp, err := os.MkdirTemp(r.cacheDir(), "lock-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	var pins string
	if uv := r.uv(); uv != "" {
		pins, err = r.compileUV(ctx, w, py, uv, tmp, held)
	} else {
		pins, err = r.compilePip(ctx, w, py, tmp, held)
	}
	if err != nil {
		return nil, err
	}
	lock := parseLock([]byte(head.String() + "\n" + pins))
	if err := lock.checkUsable(w.Requirements, false); err != nil {
		return nil, err
	}
	r.say(fmt.Sprintf("%s pins %d packages", filepath.Base(w.Lock), len(lock.pins)))
	return lock, writeFile(w.Lock, lock.text, 0o644)
}

// build builds the environment of a lock, one process at a time.
func (r *Resolver) build(ctx context.Context, lock *lockText, py *interpreter) (*Env, error) {
	env := r.envOf(lock, py)
	held, err := r.hold(ctx, filepath.Base(env.Dir), "another lastro builds this Python environment")
	if err != nil {
		return nil, err
	}
	defer held.Close()
	if complete(env) {
		return env, nil
	}
	if err := os.RemoveAll(env.Dir); err != nil { // an earlier build that did not come to its end
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(env.Dir), 0o700); err != nil {
		return nil, err
	}
	if uv := r.uv(); uv != "" {
		err = r.installUV(ctx, env, lock, py, uv, held)
	} else {
		err = r.installPip(ctx, env, lock, py, held)
	}
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(made{env.Lock, env.Exact, env.Pins, py.path})
	if err != nil {
		return nil, err
	}
	return env, writeFile(filepath.Join(env.Dir, completeFile), append(text, '\n'), 0o644)
}

// hold takes a lock between processes, saying so when it has to wait. Closing
// the file lets go of it, as does the end of every process that inherited it.
func (r *Resolver) hold(ctx context.Context, name, busy string) (*os.File, error) {
	dir := filepath.Join(r.cacheDir(), "locks")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	fd := int(f.Fd())
	err = syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, syscall.EWOULDBLOCK) {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	r.say(busy + "; waiting for it")
	got := make(chan error, 1)
	go func() { got <- flockWait(fd) }()
	select {
	case err := <-got:
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		return f, nil
	case <-ctx.Done():
		go func() { <-got; f.Close() }() // flock(2) cannot be interrupted; it is let go of as soon as it comes
		return nil, context.Cause(ctx)
	}
}

func flockWait(fd int) error {
	for {
		if err := syscall.Flock(fd, syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// requirementWords are what uv and pip say when the requirements are at fault,
// and not the network or the machine.
var requirementWords = []string{"No solution found", "No matching distribution", "Could not find a version", "was not found in the package registry",
	"ResolutionImpossible", "Invalid requirement", "Couldn't parse requirement", "Expected package name", "DO NOT MATCH THE HASHES", "Hash mismatch"}

// toolError says what a tool could not do, with its last lines.
func toolError(ctx context.Context, c *command, err error, what, file string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	e := &lastro.Error{Code: lastro.EErrored, ID: "L0462", Msg: what, Notes: c.tail.lines, Err: err,
		Hint: "see whether the package index can be reached from here; PIP_INDEX_URL names another one"}
	all := strings.Join(c.tail.lines, " ")
	switch {
	case strings.Contains(all, "ensurepip is not available"):
		e.ID, e.Hint = "L0463", "apt install python3-venv, or install uv"
	case containsAny(all, requirementWords):
		e.Code, e.ID, e.Pos = lastro.EInvalid, "L0464", lastro.Pos{File: file}
		e.Hint = "mend the name or the version in " + filepath.Base(file)
	case strings.Contains(all, "No space left"):
		e.ID, e.Hint = "L0465", "make room, or point XDG_CACHE_HOME at a larger disk"
	}
	return e
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}
