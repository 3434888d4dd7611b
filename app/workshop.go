// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/rand"
	"os"
	"path"
	"path/filepath"
	"strings"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
	"lastro/project"
	"lastro/source"
	"lastro/step"
)

// engine returns the house's one engine; it works when somebody lets it.
func (h *House) engine() *pipeline.Engine {
	h.engineOnce.Do(func() {
		h.pipelines = pipeline.NewEngine(pipeline.Options{Store: h.Runs, Blobs: h.Blobs, Tracking: h.tracking(), Clock: h.Clock, Log: h.Log,
			StateDir: h.Paths.State, Place: h.place(), Open: h.openRun, Observer: h.observer, Tasks: placeTasks{h.executor()}})
	})
	return h.pipelines
}

// place names this state directory among all that work on one database.
func (h *House) place() string {
	file := filepath.Join(h.Paths.State, "place")
	if known, err := os.ReadFile(file); err == nil && len(known) > 0 {
		return strings.TrimSpace(string(known))
	}
	host, _ := os.Hostname()
	name := host + "-" + rand.Text()[:10]
	if err := os.WriteFile(file, []byte(name+"\n"), 0o600); err != nil {
		return h.Paths.State // unique on this machine
	}
	return name
}

// workshop is a project with what its steps need.
type workshop struct {
	project *project.Project
	shop    *pipeline.Workshop
	git     pipeline.Git
}

// workshop prepares for a request: the folder as it is, or an older commit.
func (h *House) workshop(ctx context.Context, req RunRequest) (*workshop, error) {
	p, dir := h.Project(), h.Paths.Project
	if p == nil {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0005", Msg: "this server has no project to run", Hint: "start it in the folder that holds lastro.yaml"}
	}
	w := &workshop{project: p, git: h.git(ctx)}
	var err error
	if req.Commit != "" {
		if req.Base != "" || req.Commit != w.git.Commit || len(w.git.Changed) > 0 {
			if dir, err = h.codeDir(ctx, req); err != nil {
				return nil, err
			}
		}
		if w.project, err = project.Load(dir); err != nil {
			return nil, err
		}
		w.git = h.gitOf(ctx, req, w.git)
	}
	tree, err := source.Open(ctx, dir, h.known)
	if err != nil {
		return nil, err
	}
	// Data is where it is now, also for older code.
	w.shop = h.shop(w.project, dir, tree, datasets{h: h, project: p, notes: req.Notes}, h.runtimes(dir, req.Notes, req.Working), !req.Untrusted)
	return w, nil
}

func (h *House) shop(p *project.Project, dir string, code pipeline.Code, data pipeline.Datasets, python pipeline.Runtimes, trusted bool) *pipeline.Workshop {
	return &pipeline.Workshop{Secrets: h.secretsFor(trusted), Code: code, Project: dir, Datasets: data, Runtimes: python, Eval: gate.Expressions{}, Mask: maskSecrets,
		Kinds: step.Kinds(step.Deps{Exec: h.executor(), Store: h.Paths.Blobs(), Hidden: h.hidden(), Data: h.Data, Champions: championOf{h}, Datasets: p, Beside: besideProgram()})}
}

// openRun is the workshop of a run that is under way, with the files that it
// was planned from.
func (h *House) openRun(ctx context.Context, r pipeline.Run) (*pipeline.Workshop, error) {
	w, err := h.recorded(ctx, r)
	if err != nil {
		return nil, err
	}
	return w.shop, nil
}

// recorded is the project of a run as it was then: of its tree when it has one.
func (h *House) recorded(ctx context.Context, r pipeline.Run) (*workshop, error) {
	w := &workshop{project: h.Project(), git: r.Git}
	dir := h.Paths.Project
	if r.Tree != "" {
		var err error
		if dir, err = h.materialised(ctx, r.Tree, "tree"); err != nil {
			return nil, err
		}
		if w.project, err = project.Load(dir); err != nil {
			return nil, err
		}
	}
	if w.project == nil {
		return nil, lastro.Errorf(lastro.ENotFound, "run #%d is of a project that is not here", r.Number)
	}
	note := func(line string) { h.Log.Info("preparing", "line", line) }
	w.shop = h.shop(w.project, dir, source.NewRecorded(r.Code, dir), datasets{h: h, project: w.project}, h.runtimes(dir, note, nil), !r.Options.Untrusted)
	return w, nil
}

// keep are the files that a run keeps besides its code: what its project is
// loaded from, and its environments are made from.
func keep(p *project.Project) []string {
	out := []string{project.FileName, "lastro.lock", "requirements.txt"}
	for _, s := range p.Pipeline.Steps {
		if s.Python != nil && s.Python.Lock != "" {
			out = append(out, path.Clean(s.Python.Lock))
		}
	}
	if lock := p.Pipeline.Python.Lock; lock != "" {
		out = append(out, path.Clean(lock))
	}
	for _, d := range p.Datasets {
		if d.Contract != "" {
			out = append(out, path.Clean(d.Contract))
		}
	}
	return out
}
