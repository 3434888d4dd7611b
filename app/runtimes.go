// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"path/filepath"

	"lastro"
	"lastro/pipeline"
	"lastro/python"
)

// runtimes gives steps their Python environments.
type runtimes struct {
	resolver *python.Resolver
	root     string // of the code: holds requirements.txt
	lockRoot string // of the project: holds lastro.lock
}

func (h *House) runtimes(root string, notes, working func(string)) runtimes {
	return runtimes{resolver: &python.Resolver{Progress: notes, Output: working}, root: root, lockRoot: root}
}

func (r runtimes) wanted(p pipeline.Python) python.Wanted {
	w := python.Wanted{Requirements: filepath.Join(r.root, "requirements.txt"), Lock: filepath.Join(r.lockRoot, "lastro.lock"), Version: p.Version}
	if p.Lock != "" {
		w.Lock, w.Own = filepath.Join(r.root, filepath.FromSlash(p.Lock)), true
	}
	return w
}

// Find names an environment without building it.
func (r runtimes) Find(_ context.Context, p pipeline.Python) (pipeline.Runtime, error) {
	if p == (pipeline.Python{}) {
		return pipeline.Runtime{}, nil
	}
	plan, err := r.resolver.Find(r.wanted(p))
	if err != nil || plan.Env == nil {
		return pipeline.Runtime{}, err
	}
	return runtimeOf(plan.Env), nil
}

// Prepare builds what is missing.
func (r runtimes) Prepare(ctx context.Context, p pipeline.Python) (pipeline.Runtime, error) {
	if p == (pipeline.Python{}) {
		return pipeline.Runtime{}, nil
	}
	env, err := r.resolver.Ensure(ctx, r.wanted(p))
	if err != nil {
		return pipeline.Runtime{}, err
	}
	return runtimeOf(env), nil
}

func runtimeOf(e *python.Env) pipeline.Runtime {
	return pipeline.Runtime{Digest: e.Digest, BinDir: e.BinDir, Env: e.Vars(), Name: fmt.Sprintf("python %s, %d packages", e.Exact, e.Pins)}
}

// interpreter finds the Python that a version was trained with, so that it
// serves with the same packages. The environment of the lock as it is now is
// used when the version's own is gone.
func (h *House) interpreter(ctx context.Context, lock lastro.Digest) (string, error) {
	r := h.runtimes(h.Paths.Project, nil, nil)
	if dir, ok := r.resolver.ByDigest(lock); ok {
		return dir.Python, nil
	}
	if h.Project() == nil {
		return "", &lastro.Error{Code: lastro.EErrored, ID: "L0821", Msg: "the Python environment of this version is not on this machine", Hint: "lastro run builds it"}
	}
	env, err := r.resolver.Ensure(ctx, r.wanted(h.Project().Pipeline.Python))
	if err != nil {
		return "", err
	}
	return env.Python, nil
}
