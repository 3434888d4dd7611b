// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/deploy"
)

type deployCmd struct {
	Environment string `arg:"" optional:"" default:"local" name:"ENVIRONMENT" help:"Where to; local exists for every project with a model."`
	Model       string `short:"m" placeholder:"MODEL@N" help:"Which version; default: this project's candidate."`
	Why         string `help:"Why, for the record."`
	NoWait      bool   `help:"Return at once; the rollout goes on."`
}

func (*deployCmd) Help() string {
	return `Examples:
  lastro deploy                              this project's candidate to "local"
  lastro deploy production -m churn@7        a certain version
  lastro deploy --no-wait                    do not watch the rollout

A version goes out when the newest decision on its bytes passed (exit 3 otherwise). The first one takes all traffic; later
ones follow the environment's strategy. Needs "lastro up" (exit 6).`
}

func (c *deployCmd) Run(env *Env) error {
	p, err := env.project()
	if err != nil {
		return err
	}
	server, err := env.server("deploy")
	if err != nil {
		return err
	}
	model, version := "", c.Model
	if p.Model != nil {
		model = p.Model.Name
	}
	if name, rest, ok := strings.Cut(c.Model, "@"); ok {
		model, version = name, rest
	}
	if model == "" {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0012", Msg: "this project declares no model", Hint: "name a version: lastro deploy -m MODEL@N"}
	}
	number, err := resolveVersion(env, server, model, version)
	if err != nil {
		return err
	}
	var out struct {
		Release deploy.Release `json:"release"`
		Rollout deploy.Rollout `json:"rollout"`
	}
	body := map[string]any{"model": model, "version": number, "why": c.Why}
	if err := server.Post(env.Ctx, "/environments/"+c.Environment+"/releases", body, &out); err != nil {
		return err
	}
	if c.NoWait {
		if env.JSON {
			return env.printJSON(out)
		}
		env.say("%s → %s: rollout %d has begun   %s/live", out.Release.Name(), c.Environment, out.Rollout.Number, server.URL())
		return nil
	}
	return watchRollout(env, server, c.Environment, out.Release)
}

// resolveVersion turns a number, an alias or "" (the candidate) into a number.
func resolveVersion(env *Env, server *app.Client, model, version string) (int, error) {
	if n, err := strconv.Atoi(version); err == nil {
		return n, nil
	}
	if version == "" {
		version = "candidate"
	}
	var doc struct {
		Aliases map[string]int `json:"aliases"`
	}
	if err := server.Get(env.Ctx, "/models/"+model, &doc); err != nil {
		return 0, err
	}
	n, ok := doc.Aliases[version]
	if !ok {
		return 0, &lastro.Error{Code: lastro.ENotFound, ID: "L0013", Msg: fmt.Sprintf("%s has no %s: no version has passed its gate yet", model, version),
			Hint: "lastro run, then lastro why " + model}
	}
	return n, nil
}

// patience is how long a rollout may be stuck on the same trouble before a
// command that waits for it gives up; the server does not.
const patience = time.Minute

// watchRollout follows until the release serves, was rolled back or replaced.
func watchRollout(env *Env, server *app.Client, environment string, rel deploy.Release) error {
	last, trouble, since := "", "", time.Now()
	for {
		var v deploy.View
		if err := server.Get(env.Ctx, "/environments/"+environment, &v); err != nil {
			return err
		}
		line := ""
		if v.Rollout != nil && v.Rollout.Release == rel.Number {
			r := v.Rollout
			line = fmt.Sprintf("  %s %s %s", rel.Name(), strings.ReplaceAll(string(r.State), "_", " "), r.Reason)
			if r.State == deploy.Running {
				line = fmt.Sprintf("  %s takes %.0f%% of the requests  %s", rel.Name(), 100*r.Share(), r.Reason)
			}
			switch r.State {
			case deploy.RolledBack:
				return &lastro.Error{Code: lastro.EFailed, ID: "L0652", Msg: fmt.Sprintf("%s was rolled back in %s: %s", rel.Name(), environment, r.Reason),
					Hint: fmt.Sprintf("lastro why %s@%d", rel.Model, rel.Version)}
			case deploy.Superseded:
				return &lastro.Error{Code: lastro.EConflict, ID: "L0653", Msg: fmt.Sprintf("%s was replaced by a newer release before it was done", rel.Name())}
			}
		}
		if line != last && line != "" {
			env.note("%s", strings.TrimRight(line, " "))
			last = line
		}
		if v.Champion != nil && v.Champion.Number >= rel.Number && v.Champion.Version == rel.Version && (v.Rollout == nil || !v.Rollout.State.Open()) {
			return printLive(env, environment, v)
		}
		if trouble = noteTrouble(env, server, trouble); trouble == "" {
			since = time.Now()
		} else if time.Since(since) > patience {
			return &lastro.Error{Code: lastro.EServer, ID: "L0654", Msg: fmt.Sprintf("%s does not get further: %s", rel.Name(), trouble),
				Hint: "mend that; the server goes on trying by itself"}
		}
		if err := wait(env, 300*time.Millisecond); err != nil {
			env.note("the rollout goes on: %s/live", server.URL())
			return err
		}
	}
}

// noteTrouble says what the server fails with, once, so that nobody waits for
// nothing; it returns what was said.
func noteTrouble(env *Env, server *app.Client, said string) string {
	var status struct {
		Troubles map[string]string `json:"troubles"`
	}
	if err := server.Get(env.Ctx, "/status", &status); err != nil {
		return said
	}
	now := status.Troubles["rollouts"]
	if now != "" && now != said {
		env.note("  %s the server cannot go on now, and tries again: %s", env.Term.style("warning", symbol("warning")), now)
	}
	return now
}

func printLive(env *Env, environment string, v deploy.View) error {
	if env.JSON {
		return env.printJSON(v)
	}
	env.say("%s %s serves %s", env.Out.style("succeeded", "✓"), v.Champion.Name(), environment)
	env.say("  Open Inference v2   POST %s/v2/models/%s/infer", v.Status.Address, v.Champion.Model)
	env.say("  MLflow              POST %s/invocations", v.Status.Address)
	return nil
}

type rollbackCmd struct {
	Environment string `arg:"" optional:"" default:"local" name:"ENVIRONMENT"`
	Reason      string `required:"" short:"r" help:"Why, for the record."`
}

func (*rollbackCmd) Help() string {
	return `Examples:
  lastro rollback --reason "partner reports odd answers"
  lastro rollback production -r "p95 doubled"

An open canary is closed; otherwise the release that served before serves again. No request is lost.`
}

func (c *rollbackCmd) Run(env *Env) error {
	server, err := env.server("rollback")
	if err != nil {
		return err
	}
	var out struct {
		Release deploy.Release `json:"release"`
	}
	if err := server.Post(env.Ctx, "/environments/"+c.Environment+"/rollback", map[string]string{"reason": c.Reason}, &out); err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(out)
	}
	env.say("%s %s: back to %s", env.Out.style("succeeded", "✓"), c.Environment, out.Release.Name())
	return nil
}
