// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"time"

	"lastro/app"
	"lastro/data"
	"lastro/track"
)

type experimentsCmd struct {
	Filter  string   `arg:"" optional:"" name:"FILTER" help:"Only those that fit, such as \"name LIKE 'wine%'\"."`
	Order   []string `sep:"none" placeholder:"FIELD" help:"Sort by a field, such as \"name\" or \"last_update_time DESC\"; default: the newest first."`
	Limit   int      `short:"n" default:"50" help:"How many at most."`
	Deleted bool     `help:"List the deleted ones."`
}

func (*experimentsCmd) Help() string {
	return `Experiments group tracked runs: what training code reports through an MLflow client. The project's steps report into the
experiment that has its name.

Examples:
  lastro experiments
  lastro experiments "name ILIKE '%wine%'"
  lastro experiments "tags.team = 'risk'" --order name
  lastro runs search --experiment wine      what one of them holds`
}

func (c *experimentsCmd) Run(env *Env) error {
	if err := atLeastOne("--limit", c.Limit); err != nil {
		return err
	}
	return env.reading(func(h *app.House) error {
		list, activity, more, err := h.ListExperiments(env.Ctx, c.Filter, c.Order, c.Deleted, c.Limit)
		if err != nil {
			return err
		}
		if env.JSON {
			docs := []map[string]any{}
			for _, e := range list {
				docs = append(docs, experimentDocument(e, activity[e.ID]))
			}
			return env.printJSON(map[string]any{"experiments": docs, "more": more})
		}
		if len(list) == 0 {
			env.note("none")
			return nil
		}
		rows := [][]string{{"experiment", "id", "runs", "last run", "running"}}
		for _, e := range list {
			a := activity[e.ID]
			running := ""
			if a.Running > 0 {
				running = fmt.Sprint(a.Running)
			}
			rows = append(rows, []string{clean(e.Name), e.ID, data.Thousands(a.Runs), ago(a.Last), running})
		}
		printTable(env, rows)
		if more {
			env.note("there are more: --limit %d", 10*c.Limit)
		}
		return nil
	})
}

// printTable prints rows of which the first is a heading.
func printTable(env *Env, rows [][]string) {
	for i, line := range table(rows) {
		line = strings.TrimRight(line, " ")
		if i == 0 {
			line = env.Out.style("muted", line)
		}
		env.say("%s", line)
	}
}

func experimentDocument(e track.Experiment, a track.Activity) map[string]any {
	return map[string]any{"id": e.ID, "name": e.Name, "state": e.State, "created_at": e.CreatedAt, "updated_at": e.UpdatedAt, "by": e.By, "tags": e.Tags,
		"runs": a.Runs, "running": a.Running, "last_run_at": momentOrNil(a.Last)}
}

func momentOrNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}
