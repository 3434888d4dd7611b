// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/pipeline"
)

type logsCmd struct {
	Follow  bool   `short:"f" help:"Go on until the step, or the run, has ended."`
	Tail    int    `short:"n" placeholder:"N" help:"Only the last N lines of each log."`
	Attempt int    `placeholder:"N" help:"Only this attempt; default: all of them."`
	RunNo   string `arg:"" optional:"" name:"RUN" help:"Number of the run; default: the newest."`
	Step    string `arg:"" optional:"" name:"STEP" help:"Step, or cell: train[2]; default: the one that failed, else all."`
}

func (*logsCmd) Help() string {
	return `Examples:
  lastro logs                    the newest run: what failed, else every step
  lastro logs 142 train          one step of run #142, all its attempts
  lastro logs 142 train --tail 20
  lastro logs train              a step of the newest run
  lastro logs -f                 all steps of the newest run as they go, also of a run in another terminal
  lastro logs -f 142 'train[3]'  one cell of a matrix as it goes`
}

func (c *logsCmd) Run(env *Env) error {
	if c.Tail < 0 || c.Attempt < 0 {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0660", Msg: "--tail and --attempt take a number from 1", Hint: "lastro logs 142 train --tail 20"}
	}
	return env.reading(func(h *app.House) error {
		run, err := c.run(env, h)
		if err != nil {
			return err
		}
		switch {
		case c.Follow && !env.JSON:
			return c.follow(env, h, run)
		case c.Step != "":
			attempts, err := c.attempts(env, h, run.Number)
			if err != nil {
				return err
			}
			return c.show(env, h, run.Number, attempts, len(attempts) > 1)
		}
		steps, err := h.Runs.StepRuns(env.Ctx, run.Number)
		if err != nil {
			return err
		}
		return c.show(env, h, run.Number, pickSteps(steps), true)
	})
}

func (c *logsCmd) run(env *Env, h *app.House) (pipeline.Run, error) {
	if c.RunNo == "" {
		return newestRun(env, h)
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(c.RunNo, "#"), 10, 64)
	if err != nil && c.Step == "" { // `lastro logs train`: the step of the newest run
		c.Step = c.RunNo
		return newestRun(env, h)
	}
	if err != nil {
		return pipeline.Run{}, notARun(c.RunNo)
	}
	return h.Runs.Run(env.Ctx, n)
}

// attempts are those at the step that was asked for.
func (c *logsCmd) attempts(env *Env, h *app.House, run int64) ([]pipeline.StepRun, error) {
	step, cell, err := parseCell(c.Step)
	if err != nil {
		return nil, err
	}
	attempts, err := h.Attempts(env.Ctx, run, step, cell)
	if err != nil || c.Attempt == 0 {
		return attempts, err
	}
	for _, s := range attempts {
		if s.Attempt == c.Attempt {
			return []pipeline.StepRun{s}, nil
		}
	}
	return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0661", Msg: fmt.Sprintf("step %q of run #%d had %s, not %d", c.Step, run, count(len(attempts), "attempt"), c.Attempt),
		Hint: fmt.Sprintf("lastro logs %d %s shows all", run, c.Step)}
}

// show prints what was printed until now.
func (c *logsCmd) show(env *Env, h *app.House, run int64, rows []pipeline.StepRun, heads bool) error {
	var docs []map[string]any
	for _, s := range rows {
		text, err := c.text(env, h, s)
		if err != nil {
			return err
		}
		if env.JSON {
			docs = append(docs, map[string]any{"run": s.Run, "step": s.Step, "cell": s.Cell, "attempt": s.Attempt, "state": s.State, "text": string(text)})
			continue
		}
		if heads {
			env.say("%s", env.Out.style("bold", logHead(s)))
		}
		if _, err := env.Stdout.Write(text); err != nil {
			return err
		}
	}
	if env.JSON {
		return env.printJSON(map[string]any{"run": run, "logs": docs})
	}
	return nil
}

func logHead(s pipeline.StepRun) string {
	head := fmt.Sprintf("── %s %s %s", cellTitle(s), symbol(string(s.State)), s.State)
	if s.Attempt > 1 {
		head += fmt.Sprintf(", attempt %d", s.Attempt)
	}
	return head
}

// text is the log of one attempt. A step that came from the cache printed it
// in the run that did the work.
func (c *logsCmd) text(env *Env, h *app.House, s pipeline.StepRun) ([]byte, error) {
	var all bytes.Buffer
	s, err := h.Printed(env.Ctx, s)
	if err != nil {
		return nil, err
	}
	offset, err := c.begin(h, s)
	for err == nil {
		text, next, rerr := h.ReadAttempt(s, offset)
		if rerr != nil || len(text) == 0 {
			return all.Bytes(), rerr
		}
		all.Write(text)
		offset = next
	}
	return nil, err
}

func (c *logsCmd) begin(h *app.House, s pipeline.StepRun) (int64, error) {
	if c.Tail == 0 {
		return 0, nil
	}
	return h.TailOffset(s, c.Tail)
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

// parseCell reads train or train[3]; cell 0 = none was named.
func parseCell(s string) (step string, cell int, err error) {
	name, rest, ok := strings.Cut(s, "[")
	if !ok {
		return s, 0, nil
	}
	number, closed := strings.CutSuffix(rest, "]")
	cell, err = strconv.Atoi(number)
	if err != nil || !closed || cell < 1 {
		return "", 0, &lastro.Error{Code: lastro.EInvalid, ID: "L0662", Msg: fmt.Sprintf("%q names no cell", s), Hint: "cells count from 1: train[3]"}
	}
	return name, cell, nil
}

// parseRun reads 142 or #142.
func parseRun(s string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "#"), 10, 64)
	if err != nil || n < 1 {
		return 0, notARun(s)
	}
	return n, nil
}

func notARun(s string) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0663", Msg: fmt.Sprintf("%q is not the number of a run", s), Hint: "lastro ls lists the runs; write 142 or '#142'"}
}

// follow prints what is printed, until the step or the run has ended.
func (c *logsCmd) follow(env *Env, h *app.House, run pipeline.Run) error {
	f := &follower{env: env, house: h, cmd: c, logs: map[string]*followed{}}
	if c.Step != "" {
		attempts, err := c.attempts(env, h, run.Number)
		if err != nil {
			return err
		}
		if attempts[0].State == pipeline.Cached && len(attempts) == 1 { // all that there will be is there
			return c.show(env, h, run.Number, attempts, false)
		}
		f.step, f.cell, _ = parseCell(c.Step)
		f.alone = attempts[0].Cell == attempts[len(attempts)-1].Cell
	}
	for {
		over, n, err := f.look(run.Number)
		if err != nil || over {
			return err
		}
		pause := 200 * time.Millisecond
		if n > 1000 {
			pause = 2 * time.Second // reading ten thousand rows has its price
		}
		if err := wait(env, pause); err != nil {
			return err
		}
	}
}

// follower copies several logs line by line.
type follower struct {
	env   *Env
	house *app.House
	cmd   *logsCmd
	step  string // "" = all
	cell  int    // 0 = all cells of step
	alone bool   // there is one cell: its log is copied as it is
	logs  map[string]*followed
	quiet int // looks without anybody carrying the run out
}

type followed struct {
	offset int64
	rest   []byte // half a line
	over   bool
}

// look prints what is new; over when nothing more will come. n is how many
// rows the run has.
func (f *follower) look(number int64) (over bool, n int, err error) {
	run, err := f.house.Runs.Run(f.env.Ctx, number)
	if err != nil {
		return false, 0, err
	}
	alone := !run.State.Ended() && !f.house.Runs.Shared() && !app.Held(f.house.Paths)
	rows, err := f.house.Runs.StepRuns(f.env.Ctx, number)
	if err != nil {
		return false, 0, err
	}
	over = run.State.Ended()
	ended := f.step != ""
	for _, s := range rows {
		if f.step != "" && (s.Step != f.step || f.cell != 0 && s.Cell != f.cell) || f.cmd.Attempt > 0 && s.Attempt != f.cmd.Attempt {
			continue
		}
		if err := f.copy(s); err != nil {
			return false, 0, err
		}
		ended = ended && s.State.Ended() && !again(run, s, rows)
	}
	over = over || ended
	if alone {
		if f.quiet++; f.quiet > 5 {
			return true, len(rows), f.abandoned(number)
		}
	} else {
		f.quiet = 0
	}
	return over, len(rows), nil
}

// again reports whether an attempt that ended badly may get another one, which
// is not there yet.
func again(run pipeline.Run, s pipeline.StepRun, rows []pipeline.StepRun) bool {
	if run.State.Ended() || s.State != pipeline.Failed && s.State != pipeline.Errored {
		return false
	}
	for _, r := range rows {
		if r.Step == s.Step && r.Cell == s.Cell && r.Attempt > s.Attempt {
			return false
		}
	}
	for _, spec := range run.Spec.Steps {
		if spec.Name == s.Step && s.Attempt <= spec.Retry.Max {
			return true
		}
	}
	return s.State == pipeline.Errored && s.Attempt < 2
}

func (f *follower) abandoned(number int64) error {
	f.env.note("run #%d has not ended, and nobody carries it out now; go on with: lastro resume %d", number, number)
	return nil
}

// copy prints the new part of one log: as it is when it is the only one, else
// whole lines with the name of their step.
func (f *follower) copy(s pipeline.StepRun) error {
	key := fmt.Sprintf("%s.%d.%d", s.Step, s.Cell, s.Attempt)
	l := f.logs[key]
	if l == nil {
		if s.Log == "" && !s.State.Ended() {
			return nil
		}
		l = &followed{}
		f.logs[key] = l
		var err error
		if l.offset, err = f.cmd.begin(f.house, s); err != nil {
			return err
		}
		if f.alone && s.Attempt > 1 {
			f.env.note("%s", f.env.Term.style("bold", logHead(s)))
		}
	}
	if l.over {
		return nil
	}
	for {
		text, next, err := f.house.ReadAttempt(s, l.offset)
		if err != nil {
			return err
		}
		if len(text) == 0 {
			break
		}
		l.offset = next
		if err := f.write(s, l, text); err != nil {
			return err
		}
	}
	if !s.State.Ended() {
		return nil
	}
	l.over = true
	if !f.alone {
		if len(l.rest) > 0 {
			if err := f.write(s, l, []byte("\n")); err != nil {
				return err
			}
		}
		f.env.note("%s", f.env.Term.style(string(s.State), strings.TrimRight(fmt.Sprintf("%s %s %s %s", symbol(string(s.State)), cellTitle(s), s.State, took(s)), " ")))
	}
	return nil
}

func (f *follower) write(s pipeline.StepRun, l *followed, text []byte) error {
	if f.alone {
		_, err := f.env.Stdout.Write(text)
		return err
	}
	l.rest = append(l.rest, text...)
	var out bytes.Buffer
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			break
		}
		fmt.Fprintf(&out, "%s │ %s\n", cellTitle(s), bytes.TrimRight(l.rest[:i], "\r"))
		l.rest = l.rest[i+1:]
	}
	_, err := f.env.Stdout.Write(out.Bytes())
	return err
}
