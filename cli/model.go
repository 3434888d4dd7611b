// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/app"
	"lastro/registry"
)

type modelCmd struct {
	Show    modelShowCmd    `cmd:"" help:"Say what a model or a version is: its bytes, and the run, data and code that made them."`
	History modelHistoryCmd `cmd:"" help:"Say who moved which alias when, and where it pointed at a time."`
}

type modelShowCmd struct {
	Ref string `arg:"" name:"MODEL" help:"MODEL, MODEL@3 or MODEL@champion."`
}

func (*modelShowCmd) Help() string {
	return `Examples:
  lastro model show churn              its versions and aliases
  lastro model show churn@7            what version 7 is and what it was made of
  lastro model show churn@champion     the same of what champion points at`
}

func (c *modelShowCmd) Run(env *Env) error {
	name, at, isVersion := strings.Cut(c.Ref, "@")
	return env.reading(func(h *app.House) error {
		if !isVersion {
			return c.model(env, h, name)
		}
		v, err := versionAt(env, h, name, at)
		if err != nil {
			return err
		}
		return c.version(env, v)
	})
}

// versionAt finds MODEL@3 and MODEL@champion.
func versionAt(env *Env, h *app.House, model, at string) (registry.Version, error) {
	if n, err := strconv.Atoi(at); err == nil {
		return h.Registry.Version(env.Ctx, model, n)
	}
	return h.Registry.ByAlias(env.Ctx, model, at)
}

func (c *modelShowCmd) model(env *Env, h *app.House, name string) error {
	m, err := h.Registry.Model(env.Ctx, name)
	if err != nil {
		return err
	}
	versions, err := h.Registry.VersionsOf(env.Ctx, name)
	if err != nil {
		return err
	}
	if env.JSON {
		aliases := map[string]int{}
		for _, a := range m.Aliases {
			aliases[a.Name] = a.Number
		}
		docs := []map[string]any{}
		for _, v := range versions {
			docs = append(docs, versionDoc(v))
		}
		return env.printJSON(map[string]any{"model": m.Name, "description": m.Description, "declared": m.Declared, "protect": m.Protect, "aliases": aliases,
			"tags": m.Tags, "created_at": m.CreatedAt, "versions": docs})
	}
	env.say("%s", m.Name)
	if m.Description != "" {
		env.say("  %s", m.Description)
	}
	if m.Declared {
		env.say("  declared in a lastro.yaml: %s move with a passing decision only", strings.Join(m.Protect, ", "))
	}
	var rows [][]string
	for _, v := range versions {
		rows = append(rows, []string{fmt.Sprintf("  @%d", v.Number), v.Digest.Short(), madeBy(v), ago(v.CreatedAt), strings.Join(v.Aliases, " ")})
	}
	for _, line := range table(rows) {
		env.say("%s", strings.TrimRight(line, " "))
	}
	return nil
}

// madeBy names the run that made a version, or who registered it.
func madeBy(v registry.Version) string {
	switch {
	case v.Run == "":
		return "registered by " + string(v.By)
	case v.Cell != "":
		return fmt.Sprintf("run #%s %s[%s]", v.Run, v.Step, v.Cell)
	}
	return strings.TrimSpace("run #" + v.Run + " " + v.Step)
}

func versionDoc(v registry.Version) map[string]any {
	return map[string]any{"model": v.Model, "version": v.Number, "digest": v.Digest, "run": v.Run, "step": v.Step, "cell": v.Cell, "tracked_run": v.TrackedRun,
		"logged_model": v.LoggedModel, "source": v.Source, "run_link": v.RunLink, "data": append([]registry.DataVersion{}, v.DataVersions...), "commit": v.Commit, "lock": v.Lock,
		"stage": v.Stage, "description": v.Description, "tags": v.Tags, "aliases": append([]string{}, v.Aliases...), "created_at": v.CreatedAt, "by": v.By}
}

func (c *modelShowCmd) version(env *Env, v registry.Version) error {
	if env.JSON {
		return env.printJSON(versionDoc(v))
	}
	env.say("%s@%d  %s", v.Model, v.Number, strings.Join(v.Aliases, " "))
	if v.Description != "" {
		env.say("  %s", v.Description)
	}
	rows := [][]string{{"  bytes", string(v.Digest)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{"  " + name, value})
		}
	}
	if v.Run != "" {
		add("pipeline run", strings.TrimPrefix(madeBy(v), "run "))
	}
	add("tracked run", v.TrackedRun)
	add("logged model", v.LoggedModel)
	for _, d := range v.DataVersions {
		add("data", d.Dataset+"@"+d.Digest.Short())
	}
	add("code", v.Commit)
	add("lock", string(v.Lock))
	add("source", v.Source)
	add("run link", v.RunLink)
	if v.Stage != "None" {
		add("stage", v.Stage)
	}
	add("registered", fmt.Sprintf("%s by %s", v.CreatedAt.Local().Format("2006-01-02 15:04"), v.By))
	for _, k := range slices.Sorted(maps.Keys(v.Tags)) {
		if !strings.HasPrefix(k, "lastro.") {
			add("tag "+k, oneLine(v.Tags[k]))
		}
	}
	for _, line := range table(rows) {
		env.say("%s", strings.TrimRight(line, " "))
	}
	return nil
}

// oneLine shortens a text to what fits a line.
func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return text
}

type modelHistoryCmd struct {
	Model string `arg:"" name:"MODEL" help:"The model; one that was deleted has its history still."`
	Alias string `placeholder:"NAME" help:"This alias only."`
	At    string `placeholder:"TIME" help:"Where the aliases pointed at this time: 2026-11-01T12:00Z, 2026-11-01 12:00 or 2026-11-01."`
	Limit int    `short:"n" default:"50" help:"How many moves at most, the newest ones."`
}

func (*modelHistoryCmd) Help() string {
	return `Examples:
  lastro model history churn                               every move, the newest first
  lastro model history churn --alias champion              of one alias
  lastro model history churn --at 2026-11-01T12:00Z        where each alias pointed then, and who had put it there`
}

func (c *modelHistoryCmd) Run(env *Env) error {
	at, err := parseMoment(c.At)
	if err != nil {
		return err
	}
	return env.reading(func(h *app.House) error {
		moves, err := c.moves(env, h, at)
		if err != nil {
			return err
		}
		if len(moves) == 0 && at.IsZero() {
			if _, err := h.Registry.Model(env.Ctx, c.Model); err != nil {
				return err
			}
		}
		if env.JSON {
			return c.json(env, moves, at)
		}
		if len(moves) == 0 {
			env.note("no alias of %s has moved", c.Model)
		}
		var rows [][]string
		for _, m := range moves {
			rows = append(rows, []string{m.Alias, moveText(m), m.At.Local().Format("2006-01-02 15:04:05"), string(m.By), m.Why})
		}
		for _, line := range table(rows) {
			env.say("%s", strings.TrimRight(line, " "))
		}
		return nil
	})
}

// moves lists what was asked for: the newest moves, or what made each alias
// point where it pointed.
func (c *modelHistoryCmd) moves(env *Env, h *app.House, at time.Time) ([]registry.AliasMove, error) {
	switch {
	case at.IsZero():
		moves, err := h.Registry.AliasHistory(env.Ctx, c.Model, c.Alias)
		slices.Reverse(moves)
		return moves[:min(len(moves), max(c.Limit, 0))], err
	case c.Alias != "":
		m, err := h.Registry.AliasAt(env.Ctx, c.Model, c.Alias, at)
		return []registry.AliasMove{m}, err
	}
	moves, err := h.Registry.AliasesAt(env.Ctx, c.Model, at)
	if err == nil && len(moves) == 0 {
		err = &lastro.Error{Code: lastro.ENotFound, ID: "L0724", Msg: fmt.Sprintf("%s had no alias at %s", c.Model, at.UTC().Format(time.RFC3339)), Hint: "lastro model history " + c.Model + " lists the moves"}
	}
	return moves, err
}

func (c *modelHistoryCmd) json(env *Env, moves []registry.AliasMove, at time.Time) error {
	docs := []map[string]any{}
	for _, m := range moves {
		docs = append(docs, map[string]any{"alias": m.Alias, "from": m.From, "to": m.To, "at": m.At, "by": m.By, "why": m.Why})
	}
	doc := map[string]any{"model": c.Model, "moves": docs}
	if !at.IsZero() {
		doc["at"] = at.UTC()
	}
	return env.printJSON(doc)
}

// moveText is "@1 → @2", "→ @1" or "@2 → nothing".
func moveText(m registry.AliasMove) string {
	switch {
	case m.From == 0:
		return fmt.Sprintf("→ @%d", m.To)
	case m.To == 0:
		return fmt.Sprintf("@%d → nothing", m.From)
	}
	return fmt.Sprintf("@%d → @%d", m.From, m.To)
}

// parseMoment reads a moment; a day is its end, so that it includes what
// happened on it. "" is the zero time.
func parseMoment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	day, err := time.ParseInLocation(time.DateOnly, text, time.Local)
	if err != nil {
		return time.Time{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0727", Msg: fmt.Sprintf("%q is no time", text), Hint: "use 2026-11-01T12:00Z, 2026-11-01 12:00 or 2026-11-01", Err: errors.Unwrap(err)}
	}
	return day.AddDate(0, 0, 1).Add(-time.Microsecond), nil
}
