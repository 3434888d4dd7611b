// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/data"
	"lastro/gate"
	"lastro/pipeline"
	"lastro/project"
	"lastro/registry"
)

// promote registers the model of a succeeded run, asks the gate and, when it
// passes, points candidate at the version. Doing it twice changes nothing.
func (h *House) promote(ctx context.Context, out *RunResult, p *project.Project, actor lastro.Actor) error {
	if p.Model == nil {
		return nil
	}
	steps, err := h.Runs.StepRuns(ctx, out.Run.Number)
	if err != nil {
		return err
	}
	made, artifact, ok := modelArtifact(steps, *p.Model)
	if !ok {
		return nil // a run of some steps only, without the model's
	}
	version, err := h.register(ctx, out.Run, p, made, artifact, actor)
	if err != nil {
		return err
	}
	out.Version = &version
	facts, err := h.gateFacts(ctx, out.Run, p)
	if err != nil {
		return err
	}
	decision, reused, err := h.decide(ctx, out.Run, p, version, facts, actor)
	if err != nil {
		return err
	}
	out.Decision, out.Reused = &decision, reused
	if decision.Verdict != gate.Passed {
		return nil
	}
	return h.Registry.SetAlias(ctx, lastro.System("gate"), version.Model, "candidate", version.Number, decision.ID)
}

// modelArtifact finds the output that holds the model, of the cell that goes on.
func modelArtifact(steps []pipeline.StepRun, m registry.Spec) (pipeline.StepRun, pipeline.Artifact, bool) {
	for _, s := range steps {
		if s.Step == m.Step && s.Selected && s.State.OK() {
			if a, ok := s.Output(m.Output); ok {
				return s, a, true
			}
		}
	}
	return pipeline.StepRun{}, pipeline.Artifact{}, false
}

// register creates the version, or finds the one that has these bytes already.
func (h *House) register(ctx context.Context, run pipeline.Run, p *project.Project, s pipeline.StepRun, a pipeline.Artifact, actor lastro.Actor) (registry.Version, error) {
	v, ok, err := h.versionWith(ctx, p.Model.Name, a.Digest)
	if ok || err != nil {
		return v, err
	}
	v = registry.Version{Model: p.Model.Name, Digest: a.Digest, Run: strconv.FormatInt(run.Number, 10), Step: s.Step, Commit: run.Git.Commit, By: actor,
		Lock: lastro.Digest(s.Ingredients["python"]), Tags: map[string]string{}}
	if s.CachedFrom != 0 {
		v.Run = strconv.FormatInt(s.CachedFrom, 10)
	}
	if s.Cell != 0 {
		v.Cell = strconv.Itoa(s.Cell)
	}
	for _, d := range run.Datasets {
		v.DataVersions = append(v.DataVersions, registry.DataVersion{Dataset: d.Name, Digest: d.Digest})
	}
	if v.TrackedRun, err = h.trackedRunOf(ctx, v.Run, v.Step, v.Cell); err != nil {
		return v, err
	}
	for name, value := range s.Facts {
		if text := strconv.FormatFloat(value, 'g', 6, 64); registry.ValidTag(name, text) { // metrics.precision@5 is none
			v.Tags[name] = text
		}
	}
	v, _, err = h.Registry.Register(ctx, registry.Registration{Version: v, Once: true})
	return v, err
}

// versionWith finds the version that has these bytes.
func (h *House) versionWith(ctx context.Context, model string, d lastro.Digest) (registry.Version, bool, error) {
	known, err := h.Registry.VersionsOf(ctx, model)
	if err != nil && !lastro.Is(err, lastro.ENotFound) {
		return registry.Version{}, false, err
	}
	for _, v := range known {
		if v.Digest == d {
			return v, true, nil
		}
	}
	return registry.Version{}, false, nil
}

// decide asks the gate, unless it was asked already about the same bytes with
// the same rules and facts.
func (h *House) decide(ctx context.Context, run pipeline.Run, p *project.Project, v registry.Version, facts gate.Facts, actor lastro.Actor) (gate.Decision, bool, error) {
	subject := gate.Subject{Ref: v.Ref(), Digest: v.Digest, Run: strconv.FormatInt(run.Number, 10), Author: actor}
	if last, err := h.Gates.ForVersion(ctx, v.Model, strconv.Itoa(v.Number)); err == nil && sameQuestion(last, p.Rules, facts, h.isChampion(ctx, v)) {
		return last, true, nil
	}
	d, err := h.Gates.Decide(ctx, subject, p.Rules, facts, lastro.System("gate"))
	return d, false, err
}

// isChampion reports whether the bytes that were made again serve already.
func (h *House) isChampion(ctx context.Context, v registry.Version) bool {
	champion, err := h.Registry.ByAlias(ctx, v.Model, "champion")
	return err == nil && champion.Digest == v.Digest
}

// sameQuestion reports whether a decision answered these rules over these
// facts. The champion itself is asked without comparisons: made again it is
// compared with itself, and what it was promoted on must stay on record.
func sameQuestion(d gate.Decision, rules []gate.Rule, facts gate.Facts, champion bool) bool {
	if len(d.Results) != len(rules) {
		return false
	}
	var asked []gate.Rule
	for _, r := range d.Results {
		asked = append(asked, r.Rule)
	}
	was, err1 := lastro.CanonicalJSON([]any{asked, comparable(d.Facts, champion)})
	is, err2 := lastro.CanonicalJSON([]any{rules, comparable(facts, champion)})
	return err1 == nil && err2 == nil && string(was) == string(is)
}

// comparable leaves out what differs between runs that found the same.
func comparable(facts gate.Facts, champion bool) gate.Facts {
	out := gate.Facts{}
	for k, v := range facts {
		room, _, _ := strings.Cut(k, ".")
		if room == "run" || room == "git" || room == "event" || champion && room == "compare" {
			continue
		}
		out[k] = v
	}
	return out
}

// gateFacts gathers what rules may read: the run's facts, the contract's on
// the versions that were read, params, the commit.
func (h *House) gateFacts(ctx context.Context, run pipeline.Run, p *project.Project) (gate.Facts, error) {
	found, err := pipeline.ReadFacts(ctx, h.Runs, run.Number)
	if err != nil {
		return nil, err
	}
	facts := gate.Facts{"run.number": run.Number, "git.commit": run.Git.Commit, "git.branch": run.Git.Branch, "git.dirty": len(run.Git.Changed) > 0}
	for k, v := range found.Values {
		facts[k] = v
	}
	for k := range found.Ambiguous {
		facts[k] = gate.Ambiguous{Steps: writers(found.Values, k)}
	}
	for k, v := range run.Params {
		facts["params."+k] = v
	}
	for k, v := range run.Event {
		facts["event."+k] = v
	}
	for _, d := range run.Datasets {
		if err := h.dataFacts(ctx, d, p, facts); err != nil {
			return nil, err
		}
	}
	if _, err := h.Registry.ByAlias(ctx, p.Model.Name, "champion"); lastro.Is(err, lastro.ENotFound) {
		facts[gate.FirstFact] = true
	}
	return facts, nil
}

func (h *House) dataFacts(ctx context.Context, d pipeline.Dataset, p *project.Project, facts gate.Facts) error {
	spec, ok := p.Dataset(d.Name)
	if !ok || spec.Contract == "" {
		return nil
	}
	report, err := h.checkVersion(ctx, spec, data.Version{Dataset: d.Name, Digest: d.Digest})
	if err != nil {
		return fmt.Errorf("checks of %s: %w", d.Name, err)
	}
	for k, v := range report.Facts() {
		facts[k] = v
	}
	return nil
}

// writers lists the steps that wrote a metric, from the names that say so.
func writers(values map[string]float64, name string) []string {
	var steps []string
	for k := range values {
		if rest, ok := strings.CutPrefix(k, "steps."); ok {
			if step, found := strings.CutSuffix(rest, "."+name); found {
				steps = append(steps, step)
			}
		}
	}
	slices.Sort(steps)
	return steps
}
