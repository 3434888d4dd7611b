// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"lastro"
	"lastro/app"
	"lastro/data"
	"lastro/pipeline"
	"lastro/registry"
)

type lsCmd struct {
	What  string `arg:"" optional:"" default:"runs" name:"WHAT" help:"runs, models, data or live."`
	Limit int    `short:"n" default:"20" help:"How many at most."`
}

func (*lsCmd) Help() string {
	return `Examples:
  lastro ls           the newest runs
  lastro ls models    versions with their aliases
  lastro ls data      versions of datasets
  lastro ls live      what serves where`
}

func (c *lsCmd) Run(env *Env) error {
	list := map[string]func(*Env, *app.House) (any, [][]string, error){"runs": c.runs, "models": c.models, "data": c.data, "live": c.live}
	f, ok := list[c.What]
	if !ok {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0011", Msg: fmt.Sprintf("%q cannot be listed", c.What), Hint: "runs, models, data or live"}
	}
	return env.reading(func(h *app.House) error {
		doc, rows, err := f(env, h)
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(map[string]any{c.What: doc})
		}
		if len(rows) == 0 {
			env.note("none yet")
		}
		for _, line := range table(rows) {
			env.say("%s", strings.TrimRight(line, " "))
		}
		return nil
	})
}

func (c *lsCmd) runs(env *Env, h *app.House) (any, [][]string, error) {
	runs, err := h.Runs.Runs(env.Ctx, pipeline.RunFilter{Limit: c.Limit})
	var rows [][]string
	var docs []map[string]any
	for _, r := range runs {
		took := ""
		if !r.EndedAt.IsZero() {
			took = seconds(r.EndedAt.Sub(r.StartedAt))
		}
		rows = append(rows, []string{symbol(string(r.State)), fmt.Sprintf("#%d", r.Number), string(r.State), took, ago(r.StartedAt), startedBy(r), r.Reason})
		docs = append(docs, map[string]any{"run": r.Number, "state": r.State, "reason": r.Reason, "actor": r.Actor, "started_at": r.StartedAt, "ended_at": r.EndedAt,
			"commit": r.Git.Commit, "event": r.Event})
	}
	return docs, rows, err
}

// startedBy is who or what started a run: the actor of a trigger is the account
// that the server runs as, and says nothing.
func startedBy(r pipeline.Run) string {
	kind, _ := r.Event["kind"].(string)
	if kind == "" || kind == "person" {
		return string(r.Actor)
	}
	by := strings.ReplaceAll(kind, "_", " ")
	if branch, _ := r.Event["branch"].(string); branch != "" {
		by += " " + clean(branch)
	}
	return by
}

func (c *lsCmd) models(env *Env, h *app.House) (any, [][]string, error) {
	models, _, err := h.Registry.Models(env.Ctx, registry.Query{Limit: c.Limit})
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	var docs []map[string]any
	for _, m := range models {
		versions, err := h.Registry.VersionsOf(env.Ctx, m.Name)
		if err != nil {
			return nil, nil, err
		}
		for _, v := range versions {
			made := "registered by " + string(v.By)
			if v.Run != "" {
				made = "run #" + v.Run
			}
			rows = append(rows, []string{fmt.Sprintf("%s@%d", v.Model, v.Number), v.Digest.Short(), made, ago(v.CreatedAt), strings.Join(v.Aliases, " ")})
			docs = append(docs, map[string]any{"model": v.Model, "version": v.Number, "digest": v.Digest, "run": v.Run, "aliases": v.Aliases, "created_at": v.CreatedAt})
		}
	}
	return docs, rows, nil
}

func (c *lsCmd) data(env *Env, h *app.House) (any, [][]string, error) {
	versions, err := h.DataStore.Versions(env.Ctx, "", c.Limit)
	var rows [][]string
	for _, v := range versions {
		size := "rows not counted"
		if v.Rows >= 0 {
			size = data.Thousands(v.Rows) + " rows"
		}
		rows = append(rows, []string{v.Dataset + "@" + v.Digest.Short(), size, count(v.Files, "file"), ago(v.SeenAt), v.Source})
	}
	return versions, rows, err
}

func (c *lsCmd) live(env *Env, h *app.House) (any, [][]string, error) {
	names, err := h.Deploys.Store.Environments(env.Ctx)
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	var docs []any
	for _, n := range names {
		v, err := h.Deploys.Current(env.Ctx, n)
		if err != nil {
			return nil, nil, err
		}
		docs = append(docs, v)
		row := []string{n, "nothing yet", "", ""}
		if v.Champion != nil {
			row[1] = v.Champion.Name()
		}
		if v.Rollout != nil {
			row[2] = fmt.Sprintf("rollout %d %s", v.Rollout.Number, strings.ReplaceAll(string(v.Rollout.State), "_", " "))
			row[3] = v.Rollout.Reason
		}
		rows = append(rows, row)
	}
	return docs, rows, nil
}
