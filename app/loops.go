// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/project"
	"lastro/registry"
)

// loops are the server's long-running parts; each returns when ctx ends.
func (s *server) loops() []func(context.Context) error {
	return append([]func(context.Context) error{s.runLoop, s.rolloutLoop, s.watchLoop, s.compactLoop, s.webhookLoop, s.settleLoop, s.collectLoop, s.resume}, s.triggerLoops()...)
}

// every calls f now and then after each period; a failure is logged once until
// it changes, so that a lasting one does not fill the log. While f fails, the
// pause doubles up to slowest.
func (s *server) every(ctx context.Context, period, slowest time.Duration, what string, f func(context.Context) error) error {
	var last string
	pause := period
	for {
		err := f(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.setTrouble(what, err)
		switch {
		case err == nil:
			last, pause = "", period
		case err.Error() != last:
			last = err.Error()
			s.house.Log.Error(what+" failed, trying again", "err", err)
		default:
			pause = min(2*pause, slowest)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// setTrouble keeps what a loop fails with now, for those who wait for it.
func (s *server) setTrouble(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.troubles, what)
	if err != nil {
		s.troubles[what] = err.Error()
	}
}

func (s *server) rolloutLoop(ctx context.Context) error {
	return s.every(ctx, 500*time.Millisecond, 2*time.Second, "rollouts", s.house.Deploys.Tick)
}

// watchLoop looks for news: a changed lastro.yaml, new data, new answers.
func (s *server) watchLoop(ctx context.Context) error {
	return s.every(ctx, 2*time.Second, 30*time.Second, "monitors", func(ctx context.Context) error {
		s.reload(ctx)
		return s.watch(ctx)
	})
}

// reload takes over an edited lastro.yaml; one that does not load leaves the
// last good one in force.
func (s *server) reload(ctx context.Context) {
	h := s.house
	if h.Project() == nil {
		return
	}
	mark := fileMark(filepath.Join(h.Paths.Project, project.FileName))
	if s.news["lastro.yaml"] == mark {
		return
	}
	s.news["lastro.yaml"] = mark
	p, err := project.Load(h.Paths.Project)
	if err != nil {
		h.Log.Warn("the edited lastro.yaml has problems; the one before stays in force", "err", err)
		return
	}
	if err := h.use(ctx, p); err != nil {
		h.Log.Error("the edited lastro.yaml was not taken over", "err", err)
		delete(s.news, "lastro.yaml")
		return
	}
	clear(s.news) // other rules may see other things in the same rows
	s.news["lastro.yaml"] = mark
}

// use makes a lastro.yaml the one in force. The registry hears first what it
// protects.
func (h *House) use(ctx context.Context, p *project.Project) error {
	if p.Model != nil {
		if err := h.Registry.Declare(ctx, lastro.System("project"), []registry.Spec{*p.Model}); err != nil {
			return err
		}
	}
	h.inForce.Store(p)
	return nil
}

// watch measures environments whose request log or labels have changed.
func (s *server) watch(ctx context.Context) error {
	var errs []error
	for _, spec := range s.house.monitors() {
		mark := s.house.newsOf(ctx, spec)
		if s.news[spec.Environment] == mark {
			continue
		}
		if _, err := s.house.Monitors.Evaluate(ctx, spec, s.house.Clock.Now()); err != nil {
			errs = append(errs, fmt.Errorf("monitor of %s: %w", spec.Environment, err))
			continue
		}
		s.news[spec.Environment] = mark
	}
	return errors.Join(errs...)
}

// newsOf is a mark that changes when the monitor may see something new.
func (h *House) newsOf(ctx context.Context, spec monitor.Spec) string {
	mark := folderMark(h.Paths.RequestLog(spec.Environment))
	if live, err := h.Deploys.Store.Current(ctx, spec.Environment); err == nil {
		mark += fmt.Sprintf("|release %d", live.Release)
	}
	if spec.Performance != nil {
		if d, ok := h.Project().Dataset(spec.Performance.Labels); ok {
			mark += "|" + folderMark(filepath.Join(h.Paths.Project, filepath.FromSlash(d.Source)))
		}
	}
	return mark
}

func fileMark(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "none"
	}
	return fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())
}

// folderMark sums up sizes and times of the files of a folder, one level deep.
func folderMark(path string) string {
	entries, err := os.ReadDir(path)
	if err != nil {
		return fileMark(path)
	}
	mark := fmt.Sprint(len(entries))
	for _, e := range entries {
		mark += "," + fileMark(filepath.Join(path, e.Name()))
	}
	return mark
}

// resume finishes what an earlier server left: runs that were under way, and
// succeeded runs that were not decided yet.
func (s *server) resume(ctx context.Context) error {
	h := s.house
	p := h.Project()
	if p == nil {
		return nil
	}
	left, err := h.engine().Unfinished(ctx)
	if err != nil {
		return err
	}
	if len(left) == 0 {
		return s.settle(ctx)
	}
	for _, run := range left {
		h.Log.Info("going on with a run", "run", run.Ref())
		w, err := h.recorded(ctx, run)
		if err != nil {
			h.Log.Error("the run was not taken over", "run", run.Ref(), "err", err)
			continue
		}
		s.setBusy(run.Number, true)
		select {
		case s.queue <- followed{run: run.Number, project: w.project, actor: run.Actor}:
		case <-ctx.Done(): // nobody takes it any more
			return nil
		}
	}
	return nil
}

// settle finishes what a crash between the end of the newest run and its offer
// left undone; what was decided stays decided. A run that a command made while
// no server was there is offered here too.
func (s *server) settle(ctx context.Context) error {
	h, p := s.house, s.house.Project()
	if p.Model == nil {
		return nil
	}
	runs, err := h.Runs.Runs(ctx, pipeline.RunFilter{Project: p.Name, Limit: 10})
	runs = slices.DeleteFunc(runs, func(r pipeline.Run) bool { return !registers(r) })
	if err != nil || len(runs) == 0 || runs[0].State != pipeline.Succeeded {
		return err
	}
	out := RunResult{Run: runs[0]}
	decided, err := h.decidedOf(ctx, &out, p)
	if err == nil && !decided {
		err = h.decideOnce(ctx, &out, p, lastro.System("engine"))
	}
	if err != nil {
		h.Log.Error("the run was not decided", "run", runs[0].Ref(), "err", err)
		return nil
	}
	s.follow(ctx, out, runs[0].EndedAt)
	return nil
}

// decidedOf finds the version and decision of a run, and lets candidate follow
// a decision that passed when nothing has moved it since.
func (h *House) decidedOf(ctx context.Context, out *RunResult, p *project.Project) (bool, error) {
	steps, err := h.Runs.StepRuns(ctx, out.Run.Number)
	if err != nil {
		return false, err
	}
	_, artifact, ok := modelArtifact(steps, *p.Model)
	if !ok {
		return true, nil // a run of some steps only: there is nothing to decide
	}
	v, ok, err := h.versionWith(ctx, p.Model.Name, artifact.Digest)
	if err != nil || !ok {
		return false, err
	}
	d, err := h.Gates.ForVersion(ctx, v.Model, strconv.Itoa(v.Number))
	if lastro.Is(err, lastro.ENotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	out.Version, out.Decision, out.Reused = &v, &d, true
	if d.Verdict != gate.Passed {
		return true, nil
	}
	moves, err := h.Registry.AliasHistory(ctx, v.Model, "candidate")
	if err != nil && !lastro.Is(err, lastro.ENotFound) {
		return true, err
	}
	for _, m := range moves {
		if m.At.After(d.At) {
			return true, nil
		}
	}
	return true, h.Registry.SetAlias(ctx, lastro.System("gate"), v.Model, "candidate", v.Number, d.ID)
}
