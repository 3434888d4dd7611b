// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"

	"lastro"
	"lastro/app"
	"lastro/pipeline"
)

type cancelCmd struct {
	RunNo  string `arg:"" optional:"" name:"RUN" help:"Number of the run; default: the newest that has not ended."`
	Reason string `placeholder:"TEXT" help:"Why; it is kept with the run."`
}

func (*cancelCmd) Help() string {
	return `What has not begun is cancelled at once, what runs is stopped (SIGTERM, after a grace SIGKILL), and the command waits until the
run has ended. It works for a run of the server, of "lastro run" in another terminal, and for one that nobody carries out any more.

Examples:
  lastro cancel                            the run that is under way
  lastro cancel 142 --reason "wrong data"
  lastro retry 142                         go on with it after all

Exit: 0 the run was cancelled · 1 it had ended already · 7 there is no such run`
}

func (c *cancelCmd) Run(env *Env) error {
	number, err := c.number(env)
	if err != nil {
		return err
	}
	if server, ok := app.Connect(env.paths()); ok {
		if err := server.Post(env.Ctx, fmt.Sprintf("/runs/%d/cancel", number), map[string]string{"reason": c.Reason}, nil); err != nil {
			return err
		}
		return awaitEnd(env, number)
	}
	holder, held, err := app.HolderOf(env.paths())
	if err != nil {
		return err
	}
	if held && !holder.CarriesOutRuns() {
		return &lastro.Error{Code: lastro.EConflict, ID: "L0664", Msg: fmt.Sprintf("`lastro %s`, process %d, works on this project, and carries out no runs", holder.Command, holder.PID), Hint: "try again when it has ended"}
	}
	if held {
		env.note("interrupting `lastro %s`, process %d, which carries it out", holder.Command, holder.PID)
		if err := app.InterruptHolder(env.paths(), holder, number, c.why()); err != nil {
			return err
		}
		return awaitEnd(env, number)
	}
	p, err := env.project()
	if err != nil {
		return err
	}
	return env.writing("cancel", p, func(h *app.House) error {
		run, err := h.CancelHere(env.Ctx, number, c.why())
		if err != nil {
			return err
		}
		return c.done(env, run)
	})
}

func (c *cancelCmd) why() string {
	if c.Reason == "" {
		return "cancelled by user:local"
	}
	return "cancelled by user:local: " + c.Reason
}

// number finds the run, and refuses one that has ended.
func (c *cancelCmd) number(env *Env) (number int64, err error) {
	if c.RunNo != "" {
		if number, err = parseRun(c.RunNo); err != nil {
			return 0, err
		}
	}
	err = env.reading(func(h *app.House) error {
		run, err := h.Unfinished(env.Ctx, number)
		if lastro.Is(err, lastro.ENotFound) && number == 0 {
			return &lastro.Error{Code: lastro.ENotFound, ID: "L0668", Msg: "no run is under way: there is nothing to cancel", Hint: "lastro ls lists the runs"}
		}
		number = run.Number
		return err
	})
	return number, err
}

// awaitEnd waits until a run that another process carries out has ended.
func awaitEnd(env *Env, number int64) error {
	return env.reading(func(h *app.House) error {
		for since := time.Now(); ; {
			run, err := h.Runs.Run(env.Ctx, number)
			if err != nil {
				return err
			}
			if run.State.Ended() {
				return (&cancelCmd{}).done(env, run)
			}
			if !app.Held(env.paths()) && time.Since(since) > time.Second {
				return &lastro.Error{Code: lastro.EConflict, ID: "L0671", Msg: fmt.Sprintf("who carried out run #%d ended before the run did", number), Hint: fmt.Sprintf("lastro cancel %d", number)}
			}
			if err := wait(env, 100*time.Millisecond); err != nil {
				return err
			}
		}
	})
}

func (*cancelCmd) done(env *Env, run pipeline.Run) error {
	if env.JSON {
		return env.printJSON(map[string]any{"run": run.Number, "state": run.State, "reason": run.Reason})
	}
	if run.State != pipeline.Cancelled {
		return &lastro.Error{Code: lastro.EConflict, ID: "L0672", Msg: fmt.Sprintf("run #%d had done all its work before it could be cancelled: it %s", run.Number, run.State), Hint: fmt.Sprintf("lastro logs %d", run.Number)}
	}
	env.say("%s run #%d cancelled   %s", env.Out.style("cancelled", symbol("cancelled")), run.Number, run.Reason)
	env.say("\nNext\n  lastro retry %d   go on with it: what succeeded stays", run.Number)
	return nil
}
