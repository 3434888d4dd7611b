// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/pipeline"
)

type reproduceCmd struct {
	RunNo string `arg:"" name:"RUN" help:"Number of the run."`
}

func (*reproduceCmd) Help() string {
	return `Does a run again from its record, without the cache: the files, params, data versions and packages of then, whatever the
project is now. Then the artifacts are compared, step by step, and the first one that differs is named. Nothing is registered or
deployed, and no other run takes its results from this one.

Examples:
  lastro reproduce 142

Exit: 0 bit-identical · 1 an artifact differs, or a step failed · 7 there is no such run, or its files are no longer kept`
}

func (c *reproduceCmd) Run(env *Env) error {
	number, err := parseRun(c.RunNo)
	if err != nil {
		return err
	}
	if server, ok := app.Connect(env.paths()); ok {
		return c.remotely(env, server, number)
	}
	p, err := env.project()
	if err != nil {
		return err
	}
	show := newProgress(env)
	return env.writing("reproduce", p, func(h *app.House) error {
		started := time.Now()
		var rep app.Reproduction
		out, err := draining(env, h, func(env *Env) (out app.RunResult, err error) {
			rep, out, err = h.Reproduce(env.Ctx, number, "user:local", show, show.note)
			return out, err
		})
		show.close()
		if err != nil {
			return err
		}
		return c.finish(env, rep, out, time.Since(started))
	})
}

// remotely lets the server do the run again, and compares here.
func (c *reproduceCmd) remotely(env *Env, server *app.Client, number int64) error {
	var again struct {
		Run int64 `json:"run"`
	}
	if err := server.Post(env.Ctx, fmt.Sprintf("/runs/%d/reproduce", number), nil, &again); err != nil {
		return err
	}
	show := newProgress(env)
	started := time.Now()
	doc, err := followRun(env, server, again.Run, show)
	show.close()
	if err != nil {
		return err
	}
	return env.reading(func(h *app.House) error {
		rep, err := h.Compare(env.Ctx, number, again.Run)
		if err != nil {
			return err
		}
		return c.finish(env, rep, doc.result(), time.Since(started))
	})
}

// finish says how it compares.
func (c *reproduceCmd) finish(env *Env, rep app.Reproduction, out app.RunResult, took time.Duration) error {
	if rep.State == pipeline.Cancelled {
		return context.Canceled
	}
	if env.JSON {
		if err := env.printJSON(rep); err != nil || rep.Identical {
			return err
		}
		return reported{lastro.Errorf(lastro.EFailed, "it differs")}
	}
	for _, n := range rep.Notes {
		env.say("  %s %s", env.Out.style("warning", symbol("warning")), n)
	}
	if rep.Identical {
		env.say("%s #%d is bit-identical: %s of #%d, made again in #%d, %s   %s", env.Out.style("succeeded", "✓"), rep.Of, count(rep.Artifacts, "artifact"), rep.Of, rep.Run, haveSameBytes(rep.Artifacts), seconds(took))
		return nil
	}
	d := rep.First
	if d == nil {
		err := out.Run.Err()
		if err == nil {
			err = errors.New(out.Run.Reason)
		}
		return &lastro.Error{Code: lastro.EFailed, ID: "L0681", Msg: fmt.Sprintf("#%d could not be done again: #%d %s", rep.Of, rep.Run, rep.State), Err: err,
			Hint: fmt.Sprintf("lastro logs %d", rep.Run)}
	}
	step := d.Step
	if d.Cell != 0 {
		step = fmt.Sprintf("%s[%d]", d.Step, d.Cell)
	}
	env.say("%s #%d differs from #%d; the first artifact that does is %s.%s", env.Out.style("failed", "✗"), rep.Run, rep.Of, step, d.Artifact)
	env.say("  then   %s   %s", d.From.Short(), byteCount(d.FromSize))
	if d.To != "" {
		env.say("  again  %s   %s", d.To.Short(), byteCount(d.ToSize))
	}
	if d.File != "" {
		env.say("  file   %s", d.File)
	}
	if d.Where != "" {
		env.say("  where  %s", d.Where)
	}
	if rep.Others > 0 {
		env.say("  %s", env.Out.style("muted", count(rep.Others, "other artifact")+" of "+fmt.Sprint(rep.Artifacts)+" differ too, perhaps for this reason"))
	}
	env.say("\nNext\n  lastro shell %d %s   the same files and environment, before the command", rep.Of, step)
	env.say("  a step is the same each time when it fixes its seeds, and writes no times, paths or unordered sets")
	return reported{lastro.Errorf(lastro.EFailed, "it differs")}
}

func haveSameBytes(n int) string {
	if n == 1 {
		return "has the same bytes"
	}
	return "have the same bytes"
}

// byteCount writes a size for people: 812 B, 1.2 MB.
func byteCount(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), "kMGT"
	for i := range units {
		if f /= 1000; f < 1000 || i == len(units)-1 {
			return strings.Replace(fmt.Sprintf("%.1f %cB", f, units[i]), ".0 ", " ", 1)
		}
	}
	return ""
}
