// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"lastro/app"
	"lastro/track"
)

type compareCmd struct {
	Names []string `arg:"" name:"RUN" help:"Tracked runs: an id or its first digits, a name, or 142/train for what a step tracked. The first is the base."`
	All   bool     `help:"Also what is the same, and the tags that clients write."`
}

func (*compareCmd) Help() string {
	return `Compares 2 to 10 tracked runs: what went in that differs (params, tags, data, code), then how far each metric is from the first
one's. A metric that was measured several times at its last step, such as once a fold, has the mean and its 95% interval
(Student's t); a difference has one when both sides do (Welch's t). Runs that differ in a seed only are also put together.

Examples:
  lastro compare 3f9d 81c0            by the first digits of their ids
  lastro compare 142/train 143/train  what a step of the pipeline tracked in two runs
  lastro compare 142/train            the cells of a matrix with one another
  lastro compare 3f9d 81c0 --all --json

lastro diff compares runs of the pipeline.`
}

func (c *compareCmd) Run(env *Env) error {
	return env.reading(func(h *app.House) error {
		cmp, err := h.CompareTracked(env.Ctx, c.Names, c.All)
		if err != nil {
			return err
		}
		if env.JSON {
			return env.printJSON(comparisonDocument(cmp))
		}
		printComparison(env, cmp)
		return nil
	})
}

func printComparison(env *Env, c track.Comparison) {
	rows := [][]string{{"run", "name", "status", "started", "made by"}}
	for i, r := range c.Runs {
		made := strings.TrimPrefix(string(r.By), "user:")
		if r.Origin.Run != "" {
			made = "#" + r.Origin.Run + " " + r.Origin.Step
			if r.Origin.Cell != "" {
				made += "[" + r.Origin.Cell + "]"
			}
		}
		if i == 0 {
			made += "   base"
		}
		rows = append(rows, []string{shortID(r.ID), fit(clean(r.Name), 30), string(r.Status), ago(r.StartedAt), made})
	}
	printTable(env, rows)
	for _, part := range []struct {
		title string
		rows  []track.Row
	}{{"params", c.Params}, {"tags", c.Tags}, {"data", c.Data}, {"code", c.Code}} {
		printRows(env, part.title, c.Runs, part.rows)
	}
	names := make([]string, len(c.Runs))
	for i, r := range c.Runs {
		names[i] = shortID(r.ID)
	}
	printMetricRows(env, "metric", "run", names, c.Metrics)
	if len(c.Settings) > 0 {
		names = make([]string, len(c.Settings))
		for i, s := range c.Settings {
			names[i] = settingName(s)
		}
		printMetricRows(env, "metric by setting, seeds put together", "setting", names, c.BySetting)
	}
	if c.Same > 0 {
		env.note("\n%s the same in all: --all shows %s", valuesAre(c.Same), map[bool]string{true: "it", false: "them"}[c.Same == 1])
	}
}

func valuesAre(n int) string {
	if n == 1 {
		return "1 value is"
	}
	return fmt.Sprintf("%d values are", n)
}

// settingName is what tells a setting from the others, and how many seeds it had.
func settingName(s track.Setting) string {
	var parts []string
	for _, p := range s.Params {
		parts = append(parts, fit(clean(p.Key+"="+p.Value), 40))
	}
	return strings.Join(append(parts, fmt.Sprintf("(%s)", count(len(s.Runs), "run"))), " ")
}

func printRows(env *Env, title string, runs []track.Run, list []track.Row) {
	if len(list) == 0 {
		return
	}
	head := []string{title}
	for _, r := range runs {
		head = append(head, shortID(r.ID))
	}
	rows := [][]string{head}
	for _, row := range list {
		line := []string{"  " + fit(clean(row.Name), 40)}
		for _, v := range row.Values {
			text := "–"
			if v != nil {
				text = fit(clean(*v), 24)
			}
			line = append(line, text)
		}
		rows = append(rows, line)
	}
	env.say("")
	printTable(env, rows)
}

// printMetricRows prints each metric with a line a run, so that ten runs with
// intervals fit a terminal.
func printMetricRows(env *Env, title, what string, names []string, list []track.MetricRow) {
	if len(list) == 0 {
		return
	}
	rows := [][]string{{title, what, "value", "95%", "change", "95%"}}
	for _, m := range list {
		name := "  " + fit(clean(m.Name), 40)
		for i, v := range m.Values {
			row := []string{name, names[i], "–", "", "", ""}
			if v.Known {
				row[2] = number(v.Value)
			}
			if v.CI != nil {
				row[3] = fmt.Sprintf("%s n=%d", between(*v.CI), v.N)
			}
			if v.Diff != nil {
				row[4] = withSign(*v.Diff)
			}
			if v.DiffCI != nil {
				row[5] = fmt.Sprintf("[%s, %s]%s", withSign(v.DiffCI.Low), withSign(v.DiffCI.High), evidence(*v.DiffCI))
			}
			rows = append(rows, row)
			name = ""
		}
	}
	env.say("")
	printTable(env, rows)
}

func between(i track.Interval) string { return fmt.Sprintf("[%s, %s]", number(i.Low), number(i.High)) }

// evidence says in words what an interval around zero means.
func evidence(i track.Interval) string {
	if i.Low <= 0 && i.High >= 0 {
		return "  no evidence of a difference"
	}
	return ""
}

func comparisonDocument(c track.Comparison) map[string]any {
	runs := []map[string]any{}
	for _, r := range c.Runs {
		runs = append(runs, trackedDocument(r))
	}
	doc := map[string]any{"runs": runs, "params": c.Params, "tags": c.Tags, "data": c.Data, "code": c.Code, "metrics": metricDocuments(c.Metrics), "same": c.Same}
	if len(c.Settings) > 0 {
		var settings []map[string]any
		for _, s := range c.Settings {
			params := map[string]string{}
			for _, p := range s.Params {
				params[p.Key] = p.Value
			}
			settings = append(settings, map[string]any{"runs": s.Runs, "params": params})
		}
		doc["settings"], doc["metrics_by_setting"] = settings, metricDocuments(c.BySetting)
	}
	return doc
}

func metricDocuments(list []track.MetricRow) []map[string]any {
	out := []map[string]any{}
	for _, m := range list {
		var values []any
		for _, v := range m.Values {
			if !v.Known {
				values = append(values, nil)
				continue
			}
			doc := map[string]any{"value": jsonNumber(v.Value), "n": v.N}
			if v.CI != nil {
				doc["ci"] = v.CI
			}
			if v.Diff != nil {
				doc["change"] = *v.Diff
			}
			if v.DiffCI != nil {
				doc["change_ci"] = v.DiffCI
			}
			values = append(values, doc)
		}
		out = append(out, map[string]any{"name": m.Name, "values": values})
	}
	return out
}
