// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"log/slog"
	"slices"

	"lastro/app"
	"lastro/pipeline"
)

// runChoice says what of the pipeline runs, for run and plan alike.
type runChoice struct {
	Only    []string `placeholder:"STEP" help:"Only these steps and what they need."`
	From    []string `placeholder:"STEP" help:"These steps and all that follow run even if cached."`
	NoCache bool     `help:"Everything runs."`
	Strict  bool     `help:"Steps write to their workspace only, see nothing of the project that they do not declare and reach no network but tracking."`
	Param   []string `short:"p" sep:"none" placeholder:"NAME=VALUE" help:"Override a param for this run."`
}

func (c *runChoice) request() (app.RunRequest, error) {
	params, err := parseParams(c.Param)
	return app.RunRequest{Only: c.Only, From: c.From, NoCache: c.NoCache, Strict: c.Strict, Params: params, Actor: "user:local", Event: map[string]any{"kind": "person"}}, err
}

type planCmd struct {
	runChoice
}

func (*planCmd) Help() string {
	return `Nothing runs. A hit comes from the cache, a miss runs, and the reason names what changed; what depends on a step that runs
is known once that has ended.

Examples:
  lastro plan                   what "lastro run" would do now, and why
  lastro plan -p max_depth=8    with another param
  lastro plan --json            with every ingredient of every step`
}

func (c *planCmd) Run(env *Env) error {
	req, err := c.request()
	if err != nil {
		return err
	}
	return planRun(env, req)
}

// planRun says what a run would do, asking the living server if there is one.
func planRun(env *Env, req app.RunRequest) error {
	p, err := env.project()
	if err != nil {
		return err
	}
	if server, ok := app.Connect(env.paths()); ok {
		return planRemotely(env, server, req)
	}
	// A plan changes nothing that runs: it is made beside whoever holds the state.
	return env.with(app.OpenOptions{Project: p, Paths: env.paths(), Command: "plan", Beside: true, Log: env.log(slog.LevelError)}, func(h *app.House) error {
		plan, err := h.Plan(env.Ctx, req)
		if err != nil {
			return err
		}
		return printPlan(env, plan)
	})
}

var outlooks = map[pipeline.Outlook]struct{ state, word string }{
	pipeline.Hit: {"cached", "hit"}, pipeline.Miss: {"running", "miss"}, pipeline.Depends: {"pending", "depends"},
	pipeline.LeftOut: {"skipped", "skip"}}

func printPlan(env *Env, p *pipeline.Plan) error {
	if env.JSON {
		return env.printJSON(p)
	}
	var rows [][]string
	var states []string
	for _, s := range p.Steps {
		for _, c := range planLines(s) {
			o := outlooks[c.outlook]
			rows, states = append(rows, []string{symbol(o.state), c.name, o.word, c.why}), append(states, o.state)
		}
	}
	for i, line := range table(rows) {
		state := states[i]
		if state == "running" {
			state = "" // what will run is what a person looks for
		}
		env.say("  %s", env.Out.style(state, line))
	}
	env.say("%s would run, %s cached, %d known only later", count(p.Count(pipeline.Miss), "step"), count(p.Count(pipeline.Hit), "step"), p.Count(pipeline.Depends))
	return nil
}

// planLine is one line of the table: a cell, or many that stand alike.
type planLine struct {
	name    string
	outlook pipeline.Outlook
	why     string
	n       int
}

// planLines are the cells of a step; those of a large matrix are put together
// when the same is said of them.
func planLines(s pipeline.PlanStep) []planLine {
	var out []planLine
	for _, c := range s.Cells {
		if len(s.Cells) < wide {
			name := s.Spec.Name
			if c.Label != "" {
				name += " " + c.Label
			}
			out = append(out, planLine{name, c.Outlook, c.Why, 1})
			continue
		}
		i := slices.IndexFunc(out, func(l planLine) bool { return l.outlook == c.Outlook && (l.why == c.Why || len(out) > 20) })
		if i < 0 {
			out, i = append(out, planLine{s.Spec.Name, c.Outlook, c.Why, 0}), len(out)
		}
		out[i].n++
	}
	if len(s.Cells) >= wide {
		for i := range out {
			out[i].why = fmt.Sprintf("%d of %d cells: %s", out[i].n, len(s.Cells), out[i].why)
		}
	}
	return out
}
