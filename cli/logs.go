// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/pipeline"
)

type logsCmd struct {
	Follow bool   `short:"f" help:"Go on until the step has ended."`
	RunNo  string `arg:"" optional:"" name:"RUN" help:"Number of the run; default: the newest."`
	Step   string `arg:"" optional:"" name:"STEP" help:"Step, or cell: train[2]; default: the one that failed, else all."`
}

func (*logsCmd) Help() string {
	return `Examples:
  lastro logs               the newest run: what failed, else every step
  lastro logs 142 train     one step of run #142
  lastro logs -f 142 train  as it goes`
}

func (c *logsCmd) Run(env *Env) error {
	return env.reading(func(h *app.House) error {
		run, err := c.run(env, h)
		if err != nil {
			return err
		}
		if c.Step != "" {
			step, cell := parseCell(c.Step)
			return c.print(env, h, run.Number, step, cell)
		}
		steps, err := h.Runs.StepRuns(env.Ctx, run.Number)
		if err != nil {
			return err
		}
		for _, s := range pickSteps(steps) {
			env.say("%s", env.Out.style("bold", fmt.Sprintf("── %s %s %s", cellTitle(s), symbol(string(s.State)), s.State)))
			if err := c.print(env, h, run.Number, s.Step, s.Cell); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *logsCmd) run(env *Env, h *app.House) (pipeline.Run, error) {
	if c.RunNo == "" {
		return newestRun(env, h)
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(c.RunNo, "#"), 10, 64)
	if err != nil { // `lastro logs train`: the step of the newest run
		c.Step = c.RunNo
		return newestRun(env, h)
	}
	return h.Runs.Run(env.Ctx, n)
}

func newestRun(env *Env, h *app.House) (pipeline.Run, error) {
	runs, err := h.Runs.Runs(env.Ctx, pipeline.RunFilter{Limit: 1})
	if err == nil && len(runs) == 0 {
		err = &lastro.Error{Code: lastro.ENotFound, ID: "L0010", Msg: "there is no run yet", Hint: "lastro run"}
	}
	if err != nil {
		return pipeline.Run{}, err
	}
	return runs[0], nil
}

// pickSteps are the failed ones, or all when none failed.
func pickSteps(steps []pipeline.StepRun) []pipeline.StepRun {
	var failed []pipeline.StepRun
	for _, s := range steps {
		if s.State == pipeline.Failed || s.State == pipeline.Errored {
			failed = append(failed, s)
		}
	}
	if failed != nil {
		return failed
	}
	return steps
}

func cellTitle(s pipeline.StepRun) string {
	if s.Cell == 0 {
		return s.Step
	}
	return fmt.Sprintf("%s[%d]", s.Step, s.Cell)
}

// parseCell reads train or train[3].
func parseCell(s string) (step string, cell int) {
	name, rest, ok := strings.Cut(s, "[")
	if !ok {
		return s, 0
	}
	cell, _ = strconv.Atoi(strings.TrimSuffix(rest, "]"))
	return name, cell
}

// print copies the log; with --follow until the step has ended.
func (c *logsCmd) print(env *Env, h *app.House, run int64, step string, cell int) error {
	var offset int64
	for {
		text, next, err := h.ReadLog(env.Ctx, run, step, cell, offset)
		if err != nil {
			return err
		}
		if _, err := env.Stdout.Write(text); err != nil {
			return err
		}
		if next > offset {
			offset = next
			continue
		}
		over, err := ended(env, h, run, step, cell)
		if err != nil || over || !c.Follow {
			return err
		}
		if err := wait(env, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

func ended(env *Env, h *app.House, run int64, step string, cell int) (bool, error) {
	steps, err := h.Runs.StepRuns(env.Ctx, run)
	for _, s := range steps {
		if s.Step == step && (cell == 0 || s.Cell == cell) && !s.State.Ended() {
			return false, err
		}
	}
	return true, err
}
