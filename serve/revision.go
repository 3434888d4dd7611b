// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"lastro"
)

// revision is one model that is loading, ready or failed.
type revision struct {
	spec    Revision
	counts  *counters
	started time.Time
	cancel  context.CancelCauseFunc
	loaded  chan struct{} // closed when loading has ended, either way
	using   sync.WaitGroup

	mu      sync.Mutex
	state   string
	err     error
	model   Model
	runtime string
	retired bool
}

// load verifies the bytes and starts the model; it runs in a goroutine of its own.
func (r *revision) load(ctx context.Context, opts Options, workers int) {
	defer close(r.loaded)
	model, name, err := loadModel(ctx, opts, r.spec, workers)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runtime = name
	if err != nil {
		r.state, r.err = Failed, err
		opts.Log.Error("revision does not load", "revision", r.spec.Name, "digest", r.spec.Digest, "err", err)
		return
	}
	r.state, r.model = Ready, model
	opts.Log.Info("revision ready", "revision", r.spec.Name, "digest", r.spec.Digest, "runtime", name, "after", time.Since(r.started))
}

func loadModel(ctx context.Context, opts Options, spec Revision, workers int) (Model, string, error) {
	if err := verifyModel(opts.Dir, spec.Digest); err != nil {
		return nil, "", err
	}
	dir := ModelDir(opts.Dir, spec.Digest)
	rt, err := chooseRuntime(opts.Runtimes, spec, dir)
	if err != nil {
		return nil, "", err
	}
	schema, err := ReadSchema(dir)
	if err != nil {
		return nil, rt.Name(), err
	}
	model, err := rt.Load(ctx, LoadSpec{Dir: dir, Revision: spec, Schema: schema, Workers: workers, Log: opts.Log})
	return model, rt.Name(), err
}

func chooseRuntime(runtimes []Runtime, spec Revision, dir string) (Runtime, error) {
	i := slices.IndexFunc(runtimes, func(rt Runtime) bool {
		if spec.Runtime != "" {
			return rt.Name() == spec.Runtime
		}
		return rt.Accepts(dir)
	})
	if i >= 0 {
		return runtimes[i], nil
	}
	return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0610",
		Msg:  fmt.Sprintf("%s cannot be served: its folder has neither MLmodel nor one *.onnx file", spec.Name),
		Hint: "in the training script write the folder with mlflow.sklearn.save_model(model, path, signature=...) (or the flavour of your library), or export it to ONNX, and run again"}
}

// ready returns the model and counts the caller as its user; done must be
// called after use. False when it is not ready.
func (r *revision) ready() (Model, func(), bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != Ready || r.retired {
		return nil, nil, false
	}
	r.using.Add(1)
	return r.model, r.using.Done, true
}

func (r *revision) status() (state string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.err
}

// retire ends the revision once nobody uses it any more.
func (r *revision) retire() {
	r.mu.Lock()
	r.retired = true
	r.mu.Unlock()
	r.cancel(errors.New("the revision is no longer wanted"))
	<-r.loaded
	r.using.Wait()
	r.mu.Lock()
	model := r.model
	r.model = nil
	r.mu.Unlock()
	if model != nil {
		model.Close()
	}
}

func (r *revision) stats(role string) RevisionStats {
	r.mu.Lock()
	s := RevisionStats{Name: r.spec.Name, Role: role, State: r.state, Digest: r.spec.Digest, Runtime: r.runtime, Since: r.started}
	if r.err != nil {
		s.Reason, s.Code = r.err.Error(), lastro.CodeOf(r.err)
		var e *lastro.Error
		if errors.As(r.err, &e) && len(e.Notes) > 0 {
			s.Notes = e.Notes
		}
	}
	if r.model != nil {
		s.Pids = r.model.Pids()
	}
	r.mu.Unlock()
	s.Step, s.Rollout, s.Total = r.counts.snapshot()
	return s
}
