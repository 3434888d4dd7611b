// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/project"
	"lastro/track"
)

type gcCmd struct {
	KeepRuns int           `default:"20" placeholder:"N" help:"Keep the outputs of the newest N runs (${default})."`
	KeepDays int           `default:"30" placeholder:"D" help:"Keep those of runs that began within D days, too (${default})."`
	KeepLogs int           `default:"90" placeholder:"D" help:"Keep what the steps of other runs printed for D days (${default}; 0: for ever)."`
	Grace    time.Duration `default:"6h" placeholder:"TIME" help:"Keep what was used within this time, too (${default})."`
	Deleted  string        `name:"deleted-for" default:"30d" placeholder:"TIME" help:"Remove deleted tracked runs, logged models and experiments for good when they were deleted so long ago (${default}; never: keep them)."`
	DryRun   bool          `help:"Only say what would be removed."`
	Pin      int64         `placeholder:"RUN" help:"Keep this run's outputs for ever, and remove nothing now."`
	Unpin    int64         `placeholder:"RUN" help:"Keep them no longer."`
}

func (*gcCmd) Help() string {
	return `Always kept: registered versions, the data and code they were made from, releases,
decisions' evidence, tracked artifacts, runs that have not ended, pinned runs. Runs stay in the history; a step whose outputs are
gone runs again when it is needed. It may run beside a server, which does the same once a day (lastro up --gc never: only by hand).

Examples:
  lastro gc --dry-run                     how much would be freed
  lastro gc --keep-runs 5 --keep-days 7   keep less
  lastro gc --deleted-for 7d              and empty the bin of tracking down to a week
  lastro gc --pin 142                     keep run #142 whatever its age`
}

func (c *gcCmd) Run(env *Env) error {
	if c.KeepRuns < 0 || c.KeepDays < 0 || c.KeepLogs < 0 || c.Grace < 0 {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0435", Msg: "--keep-runs, --keep-days, --keep-logs and --grace cannot be negative", Hint: "0 keeps no run for that reason"}
	}
	deleted, err := c.deletedFor()
	if err != nil {
		return err
	}
	return env.beside("gc", func(h *app.House) error {
		if c.Pin != 0 || c.Unpin != 0 {
			return c.pin(env, h)
		}
		done, err := h.Collect(env.Ctx, app.CollectOptions{KeepRuns: c.KeepRuns, KeepDays: c.KeepDays, KeepLogs: c.KeepLogs, Grace: c.Grace, Deleted: deleted, DryRun: c.DryRun})
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(done)
		}
		c.say(env, done)
		return nil
	})
}

// deletedFor reads 30d, 12h or never; never is negative.
func (c *gcCmd) deletedFor() (time.Duration, error) {
	if c.Deleted == "never" {
		return -1, nil
	}
	text := c.Deleted
	days, isDays := strings.CutSuffix(text, "d")
	if n, err := strconv.Atoi(days); isDays && err == nil && n >= 0 && n <= 36500 {
		return time.Duration(n) * 24 * time.Hour, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	return 0, &lastro.Error{Code: lastro.EInvalid, ID: "L0795", Msg: fmt.Sprintf("--deleted-for %q is not a time", text), Hint: "write 30d, 12h, 0s or never"}
}

func (c *gcCmd) say(env *Env, done app.Collected) {
	freed, of := "freed", "removed"
	if done.DryRun {
		freed, of = "would free", "to remove"
	}
	env.say("%s %s of %s: %s %s", freed, bytesText(done.Freed+done.Leftovers+done.Work), bytesText(done.Bytes+done.Leftovers+done.Work), count(done.Removed, "content"), of)
	env.say("  outputs of %s are kept, those of %s are not", count(done.RunsKept, "run"), count(done.RunsLetGo, "older run"))
	if done.Logs > 0 {
		env.say("  %s of logs %s", bytesText(done.Logs), of)
	}
	if p := done.Purged; p != (track.Purged{}) {
		env.say("  %s: %s, %s and %s that were deleted %s ago or earlier", map[bool]string{false: "removed for good", true: "to remove for good"}[done.DryRun],
			count(p.Runs, "tracked run"), count(p.LoggedModels, "logged model"), count(p.Experiments, "experiment"), c.Deleted)
	}
	if done.Recent > 0 {
		env.say("  %s stay because they were used within %s (--grace)", bytesText(done.RecentSize), c.Grace)
	}
}

func (c *gcCmd) pin(env *Env, h *app.House) error {
	run, pinned, word := c.Pin, true, "pinned: its outputs are kept whatever its age"
	if c.Unpin != 0 {
		run, pinned, word = c.Unpin, false, "no longer pinned"
	}
	if err := h.Pin(env.Ctx, run, pinned, "user:local"); err != nil {
		return err
	}
	if env.JSON {
		return env.printJSON(map[string]any{"run": run, "pinned": pinned})
	}
	env.say("run #%d is %s", run, word)
	return nil
}

// beside opens the state for a command that works beside whoever holds it.
func (e *Env) beside(command string, f func(*app.House) error) error {
	if _, err := os.Stat(e.paths().State); os.IsNotExist(err) {
		return &lastro.Error{Code: lastro.ENotFound, ID: "L0436", Msg: "there is no state here yet", Hint: "lastro run makes it; -C DIR works in another folder"}
	}
	p, err := project.Load(e.Dir)
	if err != nil {
		p = nil
	}
	return e.with(app.OpenOptions{Project: p, Paths: e.paths(), Command: command, Beside: true, Log: e.log(0)}, f)
}

// bytesText writes bytes for people, in powers of 1,024: 512 B, 3.4 MiB.
func bytesText(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1024; f < 1024 || unit == "TiB" {
			return fmt.Sprintf("%.1f %s", f, unit)
		}
	}
	return ""
}
