// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"lastro"
	"lastro/deploy"
	"lastro/gate"
	"lastro/lineage"
	"lastro/pipeline"
	"lastro/registry"
	"lastro/trigger"
)

// Why implements api.Actions.
func (s *server) Why(ctx context.Context, ref string) (lineage.Why, error) {
	return s.house.Why(ctx, ref)
}

// Why answers one question for everything: MODEL@3, MODEL@champion, MODEL (the
// version that serves), a step of the newest run, or one of another: 142/train.
func (h *House) Why(ctx context.Context, ref string) (lineage.Why, error) {
	name, version, _ := strings.Cut(ref, "@")
	if _, err := h.Registry.Model(ctx, name); err == nil {
		v, err := h.versionNamed(ctx, name, version)
		if err != nil {
			return lineage.Why{}, err
		}
		return h.whyVersion(ctx, v)
	}
	w, err := h.whyStep(ctx, ref)
	if lastro.Is(err, lastro.ENotFound) {
		return w, &lastro.Error{Code: lastro.ENotFound, ID: "L0007", Msg: fmt.Sprintf("%q is neither a model nor a step of a run", ref),
			Hint: "lastro ls models lists the models, lastro explain the steps; a step of an older run is lastro why 142/train"}
	}
	return w, err
}

// versionNamed finds a version by number or alias; "" is what serves, else the newest.
func (h *House) versionNamed(ctx context.Context, model, version string) (registry.Version, error) {
	if n, err := strconv.Atoi(version); err == nil {
		return h.Registry.Version(ctx, model, n)
	}
	if version != "" {
		return h.Registry.ByAlias(ctx, model, version)
	}
	if v, err := h.Registry.ByAlias(ctx, model, "champion"); err == nil {
		return v, nil
	}
	all, err := h.Registry.VersionsOf(ctx, model)
	if err != nil {
		return registry.Version{}, err
	}
	if len(all) == 0 {
		return registry.Version{}, lastro.Errorf(lastro.ENotFound, "%s has no version yet", model)
	}
	newest := all[0]
	for _, v := range all {
		if v.Number > newest.Number {
			newest = v
		}
	}
	return newest, nil
}

func (h *House) whyVersion(ctx context.Context, v registry.Version) (lineage.Why, error) {
	w := lineage.Why{Subject: fmt.Sprintf("%s@%d", v.Model, v.Number)}
	d, err := h.Gates.ForVersion(ctx, v.Model, strconv.Itoa(v.Number))
	if err != nil && !lastro.Is(err, lastro.ENotFound) {
		return w, err
	}
	decided := err == nil
	if err := h.whyLive(ctx, v, &w); err != nil {
		return w, err
	}
	if w.Verdict == "" {
		w.Verdict = notLive(w.Subject, d, decided)
	}
	if decided {
		if err := h.whyDecision(ctx, d, &w); err != nil {
			return w, err
		}
	}
	return w, h.whyMade(ctx, v, &w)
}

func notLive(subject string, d gate.Decision, decided bool) string {
	switch {
	case !decided:
		return subject + " is registered; no gate was asked about it, so protected aliases may not move to it"
	case d.Verdict == gate.Failed:
		return subject + " is blocked: the gate said no (" + d.ID + ")"
	case d.Verdict == gate.Waiting:
		return subject + " waits for a person: " + d.ID
	}
	return subject + " may serve, and does not yet"
}

// whyLive says where a version serves and how it got there.
func (h *House) whyLive(ctx context.Context, v registry.Version, w *lineage.Why) error {
	names, err := h.Deploys.Store.Environments(ctx)
	if err != nil {
		return err
	}
	for _, env := range names {
		view, err := h.Deploys.Current(ctx, env)
		if err != nil {
			return err
		}
		switch {
		case view.Champion != nil && view.Champion.Model == v.Model && view.Champion.Version == v.Number:
			share := 1.0
			if view.Rollout != nil && view.Rollout.State.Open() {
				share = 1 - view.Rollout.Share()
			}
			w.Verdict = fmt.Sprintf("%s serves %.0f%% of %s since %s", w.Subject, share*100, env, view.Champion.At.Local().Format("2006-01-02 15:04"))
			if view.Champion.Why != "" {
				w.Lines = append(w.Lines, lineage.Reason{Kind: "release", Text: "released because: " + view.Champion.Why})
			}
		case view.Candidate != nil && view.Candidate.Model == v.Model && view.Candidate.Version == v.Number && view.Rollout.State.Open():
			w.Verdict = fmt.Sprintf("%s is the candidate in %s, with %.0f%% of the requests", w.Subject, env, view.Rollout.Share()*100)
		}
		if w.Verdict == "" {
			if w.Verdict, err = h.servedUntil(ctx, env, v, w.Subject); err != nil {
				return err
			}
		}
		if err := h.whyRollout(ctx, env, v, w); err != nil {
			return err
		}
	}
	return nil
}

// servedUntil says until when a version served an environment and what took
// its place; "" when it never did.
func (h *House) servedUntil(ctx context.Context, env string, v registry.Version, subject string) (string, error) {
	rollouts, err := h.Deploys.Store.Rollouts(ctx, env, 0)
	if err != nil {
		return "", err
	}
	var next *deploy.Rollout
	for i, r := range rollouts { // the newest first
		if r.State != deploy.Succeeded {
			continue
		}
		rel, err := h.Deploys.Store.Release(ctx, env, r.Release)
		if err != nil {
			return "", err
		}
		if next == nil || rel.Model != v.Model || rel.Version != v.Number {
			next = &rollouts[i]
			continue
		}
		by, err := h.Deploys.Store.Release(ctx, env, next.Release)
		if err != nil {
			return "", err
		}
		const minute = "2006-01-02 15:04"
		text := fmt.Sprintf("%s served %s from %s until %s, when %s took its place", subject, env, r.EndedAt.Local().Format(minute), next.EndedAt.Local().Format(minute), by.Name())
		if by.EqualTo != 0 && by.Why != "" {
			text += " (rollback: " + by.Why + ")"
		}
		return text, nil
	}
	return "", nil
}

// whyRollout tells how the newest rollout of a version went.
func (h *House) whyRollout(ctx context.Context, env string, v registry.Version, w *lineage.Why) error {
	rollouts, err := h.Deploys.Store.Rollouts(ctx, env, 50)
	if err != nil {
		return err
	}
	for _, r := range rollouts {
		rel, err := h.Deploys.Store.Release(ctx, env, r.Release)
		if err != nil || rel.Model != v.Model || rel.Version != v.Number {
			continue
		}
		ok := r.State == deploy.Succeeded
		text := fmt.Sprintf("rollout %d to %s: %s", r.Number, env, strings.ReplaceAll(string(r.State), "_", " "))
		if r.Reason != "" {
			text += ": " + r.Reason
		}
		if ok && len(r.History) > 0 {
			var requests, errs int64
			for _, s := range r.History {
				requests += s.Evidence.Candidate.Requests
				errs += s.Evidence.Candidate.Errors
			}
			text = fmt.Sprintf("the canary held in %s: %d steps, %d requests, %d errors", env, len(r.History), requests, errs)
		}
		w.Lines = append(w.Lines, lineage.Reason{Kind: "rollout", Text: text, OK: &ok})
		if r.State == deploy.RolledBack && !strings.Contains(w.Verdict, "serves") {
			w.Verdict = fmt.Sprintf("%s was rolled back in %s: %s", w.Subject, env, r.Reason)
		}
		return nil
	}
	return nil
}

// whyDecision tells what the gate decided, and what people have added since.
func (h *House) whyDecision(ctx context.Context, d gate.Decision, w *lineage.Why) error {
	waivers, err := h.Gates.Waivers(ctx, d.ID)
	if err != nil {
		return err
	}
	stands, reason := d.Stands(waivers, h.Clock.Now())
	passed := 0
	for _, r := range d.Results {
		if r.Outcome == gate.Passed || r.Outcome == gate.Waived {
			passed++
		}
	}
	text := fmt.Sprintf("%d of %d conditions held (%s, frozen %s)", passed, len(d.Results), d.ID, d.Digest.Short())
	if d.Verdict == gate.Waiting && stands {
		text += "; the rest was waived by name"
		w.Verdict = strings.Replace(w.Verdict, " waits for a person: "+d.ID, " may serve: "+reason, 1)
	}
	w.Lines = append(w.Lines, lineage.Reason{Kind: "decision", OK: &stands, Text: text})
	for _, r := range d.Results {
		ok := r.Outcome == gate.Passed || r.Outcome == gate.Waived
		w.Lines = append(w.Lines, lineage.Reason{Kind: "rule", OK: &ok, Text: r.Rule.Name + ": " + r.Message})
	}
	for _, x := range waivers {
		w.Lines = append(w.Lines, lineage.Reason{Kind: "waiver", Text: fmt.Sprintf("%s waived %s until %s: %s", x.Actor, x.Rule, x.Until.Format("2006-01-02"), x.Reason)})
	}
	if d.Verdict == gate.Waiting && !stands {
		w.Next = append(w.Next, "lastro approve "+d.ID)
	}
	return nil
}

// whyMade says from what a version was made, and checks that its bytes are
// still those.
func (h *House) whyMade(ctx context.Context, v registry.Version, w *lineage.Why) error {
	if n, err := strconv.ParseInt(v.Run, 10, 64); err == nil {
		run, err := h.Runs.Run(ctx, n)
		if err != nil {
			return err
		}
		w.Lines = append(w.Lines, lineage.Reason{Kind: "run", Text: fmt.Sprintf("made by run #%d, started by %s", n, startedBy(run))})
	} else if v.TrackedRun != "" {
		w.Lines = append(w.Lines, lineage.Reason{Kind: "run", Text: "registered by " + string(v.By) + " from tracked run " + v.TrackedRun})
	}
	var from []string
	if v.Commit != "" {
		from = append(from, "code "+v.Commit[:min(7, len(v.Commit))])
	}
	for _, d := range v.DataVersions {
		from = append(from, fmt.Sprintf("data %s@%s", d.Dataset, d.Digest.Short()))
	}
	if v.Lock != "" {
		from = append(from, "lock "+v.Lock.Short())
	}
	if len(from) > 0 {
		w.Lines = append(w.Lines, lineage.Reason{Kind: "made-from", Text: "from " + strings.Join(from, " · ")})
	}
	err := h.Blobs.Verify(ctx, v.Digest)
	ok := err == nil
	text := "the stored bytes are those that were decided about: " + v.Digest.Short()
	if !ok {
		text = "the stored bytes are NOT those that were decided about: " + err.Error()
	}
	w.Lines = append(w.Lines, lineage.Reason{Kind: "bytes", Text: text, OK: &ok})
	return nil
}

// startedBy says what a run was started by, as a person would.
func startedBy(r pipeline.Run) string {
	commit := fmt.Sprintf("%.7v", r.Event["commit"])
	switch trigger.Kind(fmt.Sprint(r.Event["kind"])) {
	case trigger.KindAlert:
		return fmt.Sprintf("an alert (%v)", r.Event["reason"])
	case trigger.KindData:
		if version, ok := r.Event["version"].(string); ok {
			return fmt.Sprintf("new data (%v@%s)", r.Event["dataset"], lastro.Digest(version).Short())
		}
		return "new data"
	case trigger.KindPush:
		return fmt.Sprintf("a push to %v (%s, %s)", r.Event["branch"], commit, r.Actor)
	case trigger.KindTag:
		return fmt.Sprintf("the tag %s (%s, %s)", strings.TrimPrefix(fmt.Sprint(r.Event["ref"]), "refs/tags/"), commit, r.Actor)
	case trigger.KindPullRequest:
		return fmt.Sprintf("pull request %d into %v (%s, %s)", trigger.Cause{Detail: r.Event}.Number(), r.Event["base"], commit, r.Actor)
	case trigger.KindSchedule:
		return fmt.Sprintf("the schedule %v (tick %v)", r.Event["schedule"], r.Event["tick"])
	}
	return string(r.Actor)
}

// cellLabel writes the values of a cell in the order of the file.
func cellLabel(spec pipeline.Spec, s pipeline.StepRun) string {
	for _, step := range spec.Steps {
		if step.Name == s.Step {
			return pipeline.CellLabel(step.Matrix, s.Values)
		}
	}
	return fmt.Sprintf("[%d]", s.Cell)
}
