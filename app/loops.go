// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/project"
)

// loops are the server's long-running parts; each returns when ctx ends.
func (s *server) loops() []func(context.Context) error {
	return []func(context.Context) error{s.runLoop, s.rolloutLoop, s.watchLoop, s.resume}
}

// every calls f now and then each period; a failure is logged once until it
// changes, so that a lasting one does not fill the log.
func (s *server) every(ctx context.Context, period time.Duration, what string, f func(context.Context) error) error {
	var last string
	t := time.NewTicker(period)
	defer t.Stop()
	for {
		err := f(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.setTrouble(what, err)
		switch {
		case err == nil:
			last = ""
		case err.Error() != last:
			last = err.Error()
			s.house.Log.Error(what+" failed, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
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
	return s.every(ctx, 500*time.Millisecond, "rollouts", s.house.Deploys.Tick)
}

// watchLoop looks for news: a changed lastro.yaml, new data, new answers.
func (s *server) watchLoop(ctx context.Context) error {
	return s.every(ctx, 2*time.Second, "monitors", func(ctx context.Context) error {
		s.reload()
		return s.watch(ctx)
	})
}

// reload takes over an edited lastro.yaml; one that does not load leaves the
// last good one in force.
func (s *server) reload() {
	h := s.house
	if h.Project == nil {
		return
	}
	mark := fileMark(filepath.Join(h.Paths.Project, project.FileName))
	if s.news["lastro.yaml"] == "" {
		s.news["lastro.yaml"] = mark
	}
	if s.news["lastro.yaml"] == mark {
		return
	}
	s.news["lastro.yaml"] = mark
	p, err := project.Load(h.Paths.Project)
	if err != nil {
		h.Log.Warn("the edited lastro.yaml has problems; the one before stays in force", "err", err)
		return
	}
	h.setProject(p)
}

// watch measures environments whose request log or labels have changed.
func (s *server) watch(ctx context.Context) error {
	var errs []error
	for _, spec := range s.house.monitors() {
		mark := s.house.newsOf(spec)
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
func (h *House) newsOf(spec monitor.Spec) string {
	mark := folderMark(h.Paths.RequestLog(spec.Environment))
	if spec.Performance != nil {
		if d, ok := h.Project.Dataset(spec.Performance.Labels); ok {
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
	if h.Project == nil {
		return nil
	}
	left, err := h.Runs.Runs(ctx, pipeline.RunFilter{Project: h.Project.Name, Unfinished: true, Limit: 1})
	if err != nil {
		return err
	}
	if len(left) == 0 {
		return s.settle(ctx)
	}
	run := left[0]
	h.Log.Info("taking over a run", "run", run.Ref())
	if _, err := s.submit(RunRequest{Params: run.Params, Event: run.Event, Actor: run.Actor, Commit: takeOverCommit(run)}); err != nil {
		h.Log.Error("the run could not be taken over", "run", run.Ref(), "err", err)
	}
	return nil
}

// takeOverCommit is the commit of a run of older code; "" for one of the
// folder as it was.
func takeOverCommit(run pipeline.Run) string {
	if run.Event["kind"] == "alert" {
		return run.Git.Commit
	}
	return ""
}

// settle decides about the newest succeeded run when a crash came in between.
func (s *server) settle(ctx context.Context) error {
	h := s.house
	if h.Project.Model == nil {
		return nil
	}
	runs, err := h.Runs.Runs(ctx, pipeline.RunFilter{Project: h.Project.Name, Limit: 1})
	if err != nil || len(runs) == 0 || runs[0].State != pipeline.Succeeded {
		return err
	}
	decided, err := h.Gates.List(ctx, gate.Filter{Model: h.Project.Model.Name, Limit: 20})
	if err != nil {
		return err
	}
	for _, d := range decided {
		if d.Subject.Run == fmt.Sprint(runs[0].Number) {
			return nil
		}
	}
	out := RunResult{Run: runs[0]}
	if err := h.promote(ctx, &out, h.Project, lastro.System("engine")); err != nil {
		h.Log.Error("the run was not decided", "run", runs[0].Ref(), "err", err)
		return nil
	}
	s.follow(ctx, out)
	return nil
}

// setProject makes an edited lastro.yaml the one in force.
func (h *House) setProject(p *project.Project) {
	h.running.Lock()
	defer h.running.Unlock()
	h.Project = p
}
