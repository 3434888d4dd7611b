// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/lineage"
	"lastro/pipeline"
	"lastro/source"
)

// whyStep says why a step ran again, or came from the cache: train, train[2],
// 142/train[2].
func (h *House) whyStep(ctx context.Context, ref string) (lineage.Why, error) {
	number, name, cell := splitStepRef(ref)
	run, err := h.runOr(ctx, number)
	if err != nil {
		return lineage.Why{}, err
	}
	rows, err := h.Runs.StepRuns(ctx, run.Number)
	if err != nil {
		return lineage.Why{}, err
	}
	own := newestAttempts(rows, name, cell)
	switch len(own) {
	case 0:
		return lineage.Why{}, lastro.Errorf(lastro.ENotFound, "run #%d has no step %q", run.Number, name)
	case 1:
		return h.whyCell(ctx, run, rows, own[0])
	}
	return whyCells(run, name, own), nil
}

// splitStepRef reads [RUN/]STEP[CELL]; what cannot be read is part of the name.
func splitStepRef(ref string) (run int64, step string, cell int) {
	if before, after, ok := strings.Cut(strings.TrimPrefix(ref, "#"), "/"); ok {
		if n, err := strconv.ParseInt(before, 10, 64); err == nil {
			run, ref = n, after
		}
	}
	if name, rest, ok := strings.Cut(ref, "["); ok {
		if n, err := strconv.Atoi(strings.TrimSuffix(rest, "]")); err == nil {
			return run, name, n
		}
	}
	return run, ref, 0
}

// runOr is the run of that number, or the newest one.
func (h *House) runOr(ctx context.Context, number int64) (pipeline.Run, error) {
	if number != 0 {
		return h.Runs.Run(ctx, number)
	}
	runs, err := h.Runs.Runs(ctx, runFilterOne)
	if err != nil {
		return pipeline.Run{}, err
	}
	if len(runs) == 0 {
		return pipeline.Run{}, lastro.Errorf(lastro.ENotFound, "there is no run yet")
	}
	return h.Runs.Run(ctx, runs[0].Number)
}

// newestAttempts are the newest attempts at a step's cells (cell 0: at all), in
// the order of the run.
func newestAttempts(rows []pipeline.StepRun, step string, cell int) []pipeline.StepRun {
	var out []pipeline.StepRun
	for _, s := range rows {
		if s.Step != step || (cell != 0 && s.Cell != cell) {
			continue
		}
		i := slices.IndexFunc(out, func(o pipeline.StepRun) bool { return o.Cell == s.Cell })
		switch {
		case i < 0:
			out = append(out, s)
		case out[i].Attempt < s.Attempt:
			out[i] = s
		}
	}
	return out
}

// maxCells bounds how many variants one answer names.
const maxCells = 20

func whyCells(run pipeline.Run, name string, cells []pipeline.StepRun) lineage.Why {
	w := lineage.Why{Subject: name, Verdict: fmt.Sprintf("%s has %d variants in #%d", name, len(cells), run.Number)}
	for _, s := range cells[:min(maxCells, len(cells))] {
		w.Lines = append(w.Lines, lineage.Reason{Kind: "step", Text: fmt.Sprintf("%s[%d] %s %s: %s", name, s.Cell, cellLabel(run.Spec, s), s.State, s.Reason)})
	}
	if n := len(cells) - maxCells; n > 0 {
		w.Lines = append(w.Lines, lineage.Reason{Kind: "step", Text: fmt.Sprintf("… and %d more", n)})
	}
	w.Next = []string{fmt.Sprintf("lastro why '%s[%d]'   one of them, ingredient by ingredient", name, cells[0].Cell)}
	return w
}

// whyCell compares the ingredients of one step run with those of the time before.
func (h *House) whyCell(ctx context.Context, run pipeline.Run, rows []pipeline.StepRun, s pipeline.StepRun) (lineage.Why, error) {
	w := lineage.Why{Subject: s.Step}
	label := s.Step
	if s.Cell != 0 {
		label = fmt.Sprintf("%s[%d] (%s)", s.Step, s.Cell, cellLabel(run.Spec, s))
	}
	n := len(ingredientNames(s.Ingredients))
	switch {
	case len(s.Ingredients) == 0:
		w.Verdict = strings.TrimSuffix(fmt.Sprintf("%s %s in #%d: %s", label, was(s.State), s.Run, s.Reason), ": ")
		return w, nil
	case s.State == pipeline.Cached:
		w.Verdict = fmt.Sprintf("%s came from the cache in #%d: #%d did the same work, all %d ingredients are equal", label, s.Run, s.CachedFrom, n)
		w.Lines = []lineage.Reason{sameLine(s, ingredientNames(s.Ingredients), h.codeOf(ctx, run, s))}
		w.Next = []string{fmt.Sprintf("lastro logs %d %s", s.Run, s.Step)}
		return w, nil
	}
	before, then, ok, err := h.previous(ctx, run, s)
	if err != nil {
		return w, err
	}
	if !ok {
		w.Verdict = fmt.Sprintf("%s ran in #%d for the first time", label, s.Run)
		w.Lines = append(badEnd(s), lineage.Reason{Kind: "step", Text: fmt.Sprintf("with %d ingredients: %s", n, strings.Join(ingredientNames(s.Ingredients), ", "))})
		return w, nil
	}
	changed, same := h.compareIngredients(ctx, comparison{run: run, rows: rows, now: s, before: before, then: then})
	if len(changed) == 0 {
		w.Verdict = fmt.Sprintf("%s ran again in #%d although nothing changed since #%d: %s", label, s.Run, then.Run, s.Reason)
	} else {
		w.Verdict = fmt.Sprintf("%s ran again in #%d because %d of %d ingredients changed since #%d", label, s.Run, len(changed), len(changed)+len(same), then.Run)
	}
	w.Lines = append(badEnd(s), changed...)
	if len(same) > 0 {
		w.Lines = append(w.Lines, sameLine(s, same, h.codeOf(ctx, run, s)))
	}
	w.Next = []string{fmt.Sprintf("lastro diff %d %d", then.Run, s.Run), fmt.Sprintf("lastro logs %d %s", s.Run, s.Step)}
	return w, nil
}

func was(s pipeline.State) string {
	switch s {
	case pipeline.Skipped, pipeline.Cancelled:
		return "was " + string(s)
	case pipeline.Pending, pipeline.Running, pipeline.Waiting:
		return "is " + string(s)
	}
	return string(s)
}

// badEnd says how a step ended that did not end well.
func badEnd(s pipeline.StepRun) []lineage.Reason {
	if s.State == pipeline.Succeeded || !s.State.Ended() {
		return nil
	}
	no := false
	return []lineage.Reason{{Kind: "step", Text: strings.TrimSuffix(fmt.Sprintf("it %s: %s", was(s.State), s.Reason), ": "), OK: &no}}
}

// ingredientNames are those that a person could have changed.
func ingredientNames(ingredients map[string]string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(ingredients)), func(n string) bool { return n == "key version" })
}

// lookBack bounds how many runs are searched for the time before.
const lookBack = 100

// previous finds the step run before this one with the same values that has a
// cache key, and its run.
func (h *House) previous(ctx context.Context, run pipeline.Run, s pipeline.StepRun) (pipeline.Run, pipeline.StepRun, bool, error) {
	runs, err := h.Runs.Runs(ctx, pipeline.RunFilter{Project: run.Project, Before: run.Number, Limit: lookBack})
	if err != nil {
		return pipeline.Run{}, pipeline.StepRun{}, false, err
	}
	values, err := lastro.CanonicalJSON(s.Values)
	if err != nil {
		return pipeline.Run{}, pipeline.StepRun{}, false, err
	}
	for _, r := range runs {
		rows, err := h.Runs.StepRuns(ctx, r.Number)
		if err != nil {
			return r, s, false, err
		}
		for _, o := range newestAttempts(rows, s.Step, 0) {
			theirs, err := lastro.CanonicalJSON(o.Values)
			if err == nil && o.Key != "" && o.State.Ended() && string(theirs) == string(values) {
				r, err = h.Runs.Run(ctx, r.Number) // with its code
				return r, o, err == nil, err
			}
		}
	}
	return pipeline.Run{}, s, false, nil
}

// comparison is a step run beside the one before it.
type comparison struct {
	run    pipeline.Run
	rows   []pipeline.StepRun
	now    pipeline.StepRun
	before pipeline.Run
	then   pipeline.StepRun
}

// compareIngredients returns a line for each ingredient that changed, and the
// names of the others.
func (h *House) compareIngredients(ctx context.Context, c comparison) (changed []lineage.Reason, same []string) {
	names := maps.Clone(c.then.Ingredients)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, c.now.Ingredients)
	no := false
	for _, n := range slices.Sorted(maps.Keys(names)) {
		from, before := c.then.Ingredients[n]
		to, after := c.now.Ingredients[n]
		if from == to && before == after {
			if n != "key version" {
				same = append(same, n)
			}
			continue
		}
		text := n + "   " + shortValue(from, before) + " → " + shortValue(to, after)
		switch {
		case n == "key version":
			text = "this lastro counts other things as ingredients than the one before"
		case n == "code":
			text = h.codeText(ctx, c, text)
		case strings.HasPrefix(n, "input ") && after && before:
			text += c.inputNote(strings.TrimPrefix(n, "input "))
		}
		changed = append(changed, lineage.Reason{Kind: "changed", Text: text, OK: &no, Name: n, From: from, To: to})
	}
	return changed, same
}

// shortValue writes an ingredient for people: the first digits of a digest, the
// beginning of a long command.
func shortValue(v string, there bool) string {
	if !there {
		return "(none)"
	}
	if strings.HasPrefix(v, "sha256:") && len(v) >= 71 {
		return lastro.Digest(v[:71]).Short() + v[71:]
	}
	v = strings.Join(strings.Fields(v), " ")
	if r := []rune(v); len(r) > 60 {
		return string(r[:59]) + "…"
	}
	if v == "" {
		return `""`
	}
	return v
}

// inputNote says where the other bytes of an input come from.
func (c comparison) inputNote(name string) string {
	for _, in := range c.now.Inputs {
		switch {
		case in.Name != name:
		case in.Dataset != "":
			return fmt.Sprintf("   (dataset %s has another version)", in.Dataset)
		case in.Step != "":
			for _, s := range c.rows {
				if s.Step == in.Step && s.Selected && s.State == pipeline.Succeeded {
					return fmt.Sprintf("   (step %s ran again and wrote other bytes)", in.Step)
				}
			}
			return fmt.Sprintf("   (step %s took another result from the cache)", in.Step)
		}
	}
	return ""
}

// codeText names the files of the step's code that changed.
func (h *House) codeText(ctx context.Context, c comparison, otherwise string) string {
	then, now := h.codeOf(ctx, c.before, c.then), h.codeOf(ctx, c.run, c.now)
	var files []string
	for _, change := range lineage.Changes(then, now) {
		switch {
		case change.From == "":
			files = append(files, change.Name+" (new)")
		case change.To == "":
			files = append(files, change.Name+" (gone)")
		default:
			files = append(files, change.Name)
		}
	}
	if len(files) == 0 {
		return otherwise
	}
	return "code   " + someNames(files, 6)
}

// codeOf is the recorded code of a step, by path; nil when it reads none.
func (h *House) codeOf(ctx context.Context, run pipeline.Run, s pipeline.StepRun) map[string]string {
	if _, ok := s.Ingredients["code"]; !ok {
		return nil
	}
	for _, spec := range run.Spec.Steps {
		if spec.Name != s.Step {
			continue
		}
		under := path.Clean("/" + spec.Workdir)[1:]
		if spec.Code != nil {
			under = ""
		}
		files, err := source.NewRecorded(run.Code, "").Select(ctx, under, spec.Code, nil)
		if err == nil {
			return files
		}
	}
	return nil
}

// sameLine names what did not change, in one line.
func sameLine(s pipeline.StepRun, names []string, code map[string]string) lineage.Reason {
	out := slices.Clone(names)
	for i, n := range out {
		if n == "code" && len(code) > 0 {
			out[i] = "code (" + someNames(slices.Sorted(maps.Keys(code)), 3) + ")"
		}
	}
	return lineage.Reason{Kind: "same", Text: strings.Join(out, ", ")}
}
