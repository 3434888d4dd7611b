// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"lastro"
	"lastro/exec"
	"lastro/exec/process"
	"lastro/pipeline"
)

// lateExecutor connects to the supervisor when a step first needs it: a run
// whose steps are all cached starts no process.
type lateExecutor struct {
	h    *House
	mu   sync.Mutex
	real *process.Executor
}

var _ exec.Executor = (*lateExecutor)(nil)

// executor returns the house's one executor.
func (h *House) executor() *lateExecutor {
	h.execOnce.Do(func() {
		h.exec = &lateExecutor{h: h}
		h.onClose(h.exec.Close)
	})
	return h.exec
}

func (l *lateExecutor) open(ctx context.Context) (*process.Executor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.real != nil {
		return l.real, nil
	}
	dir := l.h.Paths.Run()
	e, err := process.Open(ctx, process.Options{Dir: dir, TrackSocket: l.h.trackSocket(), Args: []string{"supervisor", "--control", dir}})
	if err == nil {
		l.real = e
	}
	return e, err
}

// trackURL is where steps reach tracking.
func (l *lateExecutor) trackURL(ctx context.Context) (string, error) {
	e, err := l.open(ctx)
	if err != nil {
		return "", err
	}
	return e.TrackURL(), nil
}

// Start implements exec.Executor.
func (l *lateExecutor) Start(ctx context.Context, t exec.Task) error {
	e, err := l.open(ctx)
	if err != nil {
		return err
	}
	return e.Start(ctx, t)
}

// Run is Start and Wait in one exchange.
func (l *lateExecutor) Run(ctx context.Context, t exec.Task) (exec.Exit, error) {
	e, err := l.open(ctx)
	if err != nil {
		return exec.Exit{}, err
	}
	return e.Run(ctx, t)
}

// Wait implements exec.Executor.
func (l *lateExecutor) Wait(ctx context.Context, id string) (exec.Exit, error) {
	e, err := l.open(ctx)
	if err != nil {
		return exec.Exit{}, err
	}
	return e.Wait(ctx, id)
}

// Stop implements exec.Executor.
func (l *lateExecutor) Stop(ctx context.Context, id, why string) error {
	e, err := l.open(ctx)
	if err != nil {
		return err
	}
	return e.Stop(ctx, id, why)
}

// List implements exec.Executor.
func (l *lateExecutor) List(ctx context.Context) ([]exec.Status, error) {
	e, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	return e.List(ctx)
}

// Forget implements exec.Executor.
func (l *lateExecutor) Forget(ctx context.Context, id string) error {
	e, err := l.open(ctx)
	if err != nil {
		return err
	}
	return e.Forget(ctx, id)
}

// placeTasks are the tasks of the supervisor, when one lives: without it there
// are none, and none is started to hear that.
type placeTasks struct{ l *lateExecutor }

var _ pipeline.Tasks = placeTasks{}

// Tasks implements pipeline.Tasks.
func (p placeTasks) Tasks(ctx context.Context) ([]string, error) {
	if !process.Lives(p.l.h.Paths.Run()) {
		return nil, nil
	}
	list, err := p.l.List(ctx)
	ids := make([]string, len(list))
	for i, s := range list {
		ids[i] = s.ID
	}
	return ids, err
}

// End implements pipeline.Tasks.
func (p placeTasks) End(ctx context.Context, id, why string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second) // longer than between SIGTERM and SIGKILL
	defer cancel()
	err := p.l.Stop(ctx, id, why)
	if lastro.Is(err, lastro.ENotFound) {
		return nil
	}
	if err == nil {
		_, err = p.l.Wait(ctx, id)
	}
	if err != nil {
		return err
	}
	return p.l.Forget(ctx, id)
}

// Close implements exec.Executor.
func (l *lateExecutor) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.real == nil {
		return nil
	}
	return l.real.Close()
}

func (h *House) trackSocket() string { return filepath.Join(h.Paths.Run(), "track.sock") }
