// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/gate"
	"lastro/pipeline"
)

type runCmd struct {
	DryRun bool `help:"Print the plan with hit or miss and the reason; run nothing."`
	runChoice
	Watch bool `help:"Run again whenever a file is saved; ctrl-C ends."`
}

func (*runCmd) Help() string {
	return `Examples:
  lastro run                    run what has changed, take the rest from the cache
  lastro run --dry-run          what would run, and why
  lastro run -p max_depth=8     with another param
  lastro run --from evaluate    evaluate and what follows once more
  lastro run --only train       train and what it needs, nothing that follows
  lastro run --watch            again after each save
  lastro run --strict --no-cache    everything once more, with nothing of the project that is not declared

Ctrl-C cancels the run. SIGTERM starts nothing new, waits for the steps that run, and leaves the rest to lastro resume.

Exit: 0 done · 1 a step, test or contract failed · 3 a gate said no · 4 a person is waited for · 9 errored`
}

func (c *runCmd) Run(env *Env) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	if c.DryRun {
		return planRun(env, req)
	}
	if c.Watch {
		return watch(env, func() error { return runOnce(env, req) })
	}
	return runOnce(env, req)
}

// runOnce carries out one run, here or on the living server, and prints its result.
func runOnce(env *Env, req app.RunRequest) error {
	p, err := env.project()
	if err != nil {
		return err
	}
	if server, ok := app.Connect(env.paths()); ok {
		return submit(env, server, req)
	}
	show := newProgress(env)
	req.Notes, req.Working, req.Observer = show.note, show.working, show
	return env.writing("run", p, func(h *app.House) error {
		started := time.Now()
		out, err := draining(env, h, func(env *Env) (app.RunResult, error) { return h.Run(env.Ctx, req) })
		show.close()
		if err != nil {
			return err
		}
		return finish(env, out, time.Since(started))
	})
}

// parseParams reads NAME=VALUE; a value is JSON when it parses as such, else text.
func parseParams(list []string) (map[string]any, error) {
	out := map[string]any{}
	for _, s := range list {
		name, text, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0009", Msg: fmt.Sprintf("-p %s is not NAME=VALUE", s), Hint: "for example: -p max_depth=8"}
		}
		var v any
		if json.Unmarshal([]byte(text), &v) != nil {
			v = text
		}
		out[name] = v
	}
	return out, nil
}

// finish prints the result of a run and returns what decides the exit code.
func finish(env *Env, out app.RunResult, took time.Duration) error {
	err := out.Err()
	if env.JSON {
		if jsonErr := env.printJSON(resultDocument(out)); jsonErr != nil {
			return jsonErr
		}
		if err != nil {
			return reported{err}
		}
		return nil
	}
	if out.Run.Err() != nil {
		return failedRun(env, out, took)
	}
	printDecision(env, out)
	cached, steps := 0, lastAttempts(out.Steps)
	for _, s := range steps {
		if s.State == pipeline.Cached {
			cached++
		}
	}
	env.say("%s run #%d succeeded in %s   %d of %d steps from the cache", env.Out.style("succeeded", "✓"), out.Run.Number, seconds(took), cached, len(steps))
	if err == nil && out.Version != nil {
		env.say("\nNext")
		env.say("  lastro why %s@%d", out.Version.Model, out.Version.Number)
		env.say("  lastro up               serve it, watch it, retrain it")
	}
	return err
}

func printDecision(env *Env, out app.RunResult) {
	if out.Decision == nil {
		return
	}
	d := out.Decision
	env.say("")
	for i, r := range d.Results {
		head := "      "
		if i == 0 {
			head = "  gate"
		}
		env.say("%s  %s %-18s %s", head, outcomeMark(env, r.Outcome), r.Rule.Name, r.Message)
	}
	state := "registered"
	if out.Reused {
		state = "is these bytes already"
	}
	if d.Verdict == gate.Passed {
		state += " (candidate)"
	}
	env.say("  model %s@%d %s   %s, decision %s", out.Version.Model, out.Version.Number, state, out.Version.Digest.Short(), d.ID)
}

func outcomeMark(env *Env, o gate.Outcome) string {
	state := map[gate.Outcome]string{gate.Passed: "succeeded", gate.Failed: "failed", gate.Waiting: "waiting", gate.Waived: "succeeded", gate.Warned: "warning"}[o]
	return env.Out.style(state, symbol(state)+" "+string(o))
}

// lastAttempts leaves out attempts that were followed by another one.
func lastAttempts(steps []pipeline.StepRun) []pipeline.StepRun {
	newest := map[string]int{}
	for _, s := range steps {
		newest[cellTitle(s)] = max(newest[cellTitle(s)], s.Attempt)
	}
	return slices.DeleteFunc(slices.Clone(steps), func(s pipeline.StepRun) bool { return s.Attempt < newest[cellTitle(s)] })
}

// failedRun prints the last lines of what failed, and where to look.
func failedRun(env *Env, out app.RunResult, took time.Duration) error {
	first := ""
	for _, s := range lastAttempts(out.Steps) {
		if s.State != pipeline.Failed && s.State != pipeline.Errored {
			continue
		}
		if first == "" {
			if first = s.Step; s.Cell != 0 {
				first = "'" + cellTitle(s) + "'"
			}
		}
		if s.Error != nil {
			e := placed(out.Run.Spec, s)
			writeError(env, e, e)
		}
	}
	if first != "" {
		env.note("\nNext")
		for _, line := range table([][]string{
			{fmt.Sprintf("lastro logs %d %s", out.Run.Number, first), "all that it printed"},
			{fmt.Sprintf("lastro shell %d %s", out.Run.Number, first), "look inside: same files, same environment, before the command"},
			{"lastro run", "try again with the files as they are then; what succeeded stays cached"},
		}) {
			env.note("  %s", line)
		}
	}
	env.say("%s run #%d %s after %s: %s", env.Out.style(string(out.Run.State), symbol(string(out.Run.State))), out.Run.Number, out.Run.State, seconds(took), out.Run.Reason)
	return reported{out.Run.Err()}
}

// placed says of a step's error which step it is and where that is declared.
func placed(spec pipeline.Spec, s pipeline.StepRun) *lastro.Error {
	e := *s.Error
	if !strings.Contains(e.Msg, fmt.Sprintf("step %q", s.Step)) {
		e.Msg = fmt.Sprintf("step %q: %s", cellTitle(s), e.Msg)
	}
	for _, declared := range spec.Steps {
		if declared.Name == s.Step && e.Pos.File == "" {
			e.Pos = declared.Pos
		}
	}
	return &e
}

// resultDocument is the JSON form of a result.
func resultDocument(out app.RunResult) map[string]any {
	doc := map[string]any{"run": out.Run.Number, "state": out.Run.State, "reason": out.Run.Reason, "steps": stepDocuments(out.Steps)}
	if out.Version != nil {
		doc["version"] = map[string]any{"model": out.Version.Model, "version": out.Version.Number, "digest": out.Version.Digest, "reused": out.Reused}
	}
	if out.Decision != nil {
		doc["decision"] = out.Decision
	}
	return doc
}

func stepDocuments(steps []pipeline.StepRun) []map[string]any {
	var out []map[string]any
	for _, s := range steps {
		doc := map[string]any{"step": s.Step, "cell": s.Cell, "values": s.Values, "state": s.State, "reason": s.Reason, "selected": s.Selected, "facts": s.Facts}
		if !s.StartedAt.IsZero() && !s.EndedAt.IsZero() {
			doc["seconds"] = s.EndedAt.Sub(s.StartedAt).Seconds()
		}
		out = append(out, doc)
	}
	return out
}
