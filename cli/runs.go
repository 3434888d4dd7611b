// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/app"
	"lastro/track"
)

type runsCmd struct {
	Search runsSearchCmd `cmd:"" default:"withargs" help:"Search tracked runs: metrics, params, tags and attributes, in MLflow's language."`
}

// trackedChoice says which tracked runs are meant, for search and export alike.
type trackedChoice struct {
	Filter     string   `arg:"" optional:"" name:"FILTER" help:"What must hold, such as \"metrics.auc > 0.8 and params.depth = '4'\"; default: all."`
	Experiment []string `short:"e" sep:"none" placeholder:"NAME" help:"Only in this experiment, by name or id; may be given several times."`
	Order      []string `sep:"none" placeholder:"FIELD" help:"Sort by a field, such as \"metrics.auc DESC\"; default: the newest first."`
	Deleted    bool     `help:"Search the deleted ones."`
}

func (c trackedChoice) search() app.TrackedSearch {
	return app.TrackedSearch{Experiments: c.Experiment, Filter: c.Filter, Order: c.Order, Deleted: c.Deleted}
}

type runsSearchCmd struct {
	trackedChoice
	Limit   int      `short:"n" default:"20" help:"How many at most."`
	Columns []string `placeholder:"FIELD" help:"Show these, such as metrics.auc,params.depth; default: the metrics, and the params that differ."`
}

func (*runsSearchCmd) Help() string {
	return `Searches tracked runs: what training code reported through an MLflow client. A filter is comparisons joined by AND:
  metrics.NAME   = != < <= > >=  a number
  params.NAME    = != LIKE ILIKE IN ('a', 'b') IS NULL  a text in quotation marks; tags.NAME too
  attributes     status, run_name, run_id, start_time, end_time, user_id
  dataset.name, dataset.digest, dataset.context
Names with blanks are quoted: 'metrics."f1 score" > 0.8'.

Examples:
  lastro runs search "metrics.auc > 0.8 and params.depth = '4'"
  lastro runs search --experiment wine --order "metrics.rmse ASC" -n 5
  lastro runs search "status = 'FAILED'" --columns run_name,tags.team
  lastro runs search "tags.lastro.run = '142'"      what run #142 tracked

Then: lastro compare ID ID`
}

func (c *runsSearchCmd) Run(env *Env) error {
	if err := atLeastOne("--limit", c.Limit); err != nil {
		return err
	}
	columns, err := parseColumns(c.Columns)
	if err != nil {
		return err
	}
	return env.reading(func(h *app.House) error {
		q, err := h.Query(env.Ctx, c.search())
		if err != nil {
			return err
		}
		var runs []track.Run
		more, err := h.EachTracked(env.Ctx, q, c.Limit, func(r track.Run) error {
			runs = append(runs, r)
			return nil
		})
		if err != nil {
			return err
		}
		if env.JSON {
			docs := []map[string]any{}
			for _, r := range runs {
				docs = append(docs, trackedDocument(r))
			}
			return env.printJSON(map[string]any{"runs": docs, "more": more})
		}
		if len(runs) == 0 {
			env.note("none")
			return nil
		}
		if len(columns) == 0 {
			columns = usefulColumns(runs)
		}
		printTracked(env, runs, columns)
		if more {
			env.note("there are more: --limit %d", 10*c.Limit)
		}
		return nil
	})
}

// atLeastOne refuses a count that asks for nothing.
func atLeastOne(flag string, n int) error {
	if n < 1 {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0784", Msg: fmt.Sprintf("%s is %d, and nothing would be shown", flag, n), Hint: flag + " 1 or more"}
	}
	return nil
}

// column is a field of tracked runs that is shown.
type column struct{ kind, key string }

func (c column) String() string { return strings.TrimPrefix(c.kind+"."+c.key, "attribute.") }

// attributes are what columns without a dot may be.
var attributes = []string{"run_id", "run_name", "status", "start_time", "end_time", "user_id", "experiment_id"}

// kinds are the ways to write what a column holds.
var kinds = map[string]string{"metric": "metrics", "metrics": "metrics", "param": "params", "params": "params", "tag": "tags", "tags": "tags"}

func parseColumns(list []string) ([]column, error) {
	var out []column
	for _, text := range list {
		prefix, key, dotted := strings.Cut(text, ".")
		kind := kinds[prefix]
		if !dotted && slices.Contains(attributes, text) {
			kind, key = "attribute", text
		}
		if key = strings.Trim(key, "`\""); kind == "" || key == "" {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0785", Msg: fmt.Sprintf("%q is no column of tracked runs", text),
				Hint: "metrics.NAME, params.NAME, tags.NAME, " + strings.Join(attributes, ", ")}
		}
		out = append(out, column{kind, key})
	}
	return out, nil
}

// columnsShown is how many metrics, and how many params, are shown unasked.
const columnsShown = 5

// usefulColumns are the metrics that most runs have, and the params that differ.
func usefulColumns(runs []track.Run) []column {
	metrics, params := track.Columns(runs, columnsShown)
	out := []column{{"attribute", "run_name"}, {"attribute", "status"}, {"attribute", "start_time"}}
	for _, key := range metrics {
		out = append(out, column{"metrics", key})
	}
	for _, key := range params {
		out = append(out, column{"params", key})
	}
	return out
}

// shortID is as much of a tracked run's id as tells it from others.
func shortID(id string) string { return id[:min(8, len(id))] }

func printTracked(env *Env, runs []track.Run, columns []column) {
	head := []string{"run"}
	for _, c := range columns {
		head = append(head, strings.TrimPrefix(strings.TrimPrefix(c.String(), "metrics."), "params."))
	}
	rows := [][]string{head}
	for _, r := range runs {
		row := []string{shortID(r.ID)}
		for _, c := range columns {
			row = append(row, fit(clean(c.of(r)), 40))
		}
		rows = append(rows, row)
	}
	printTable(env, rows)
}

// of is the column's value of a run, as people read it; "" when it has none.
func (c column) of(r track.Run) string {
	switch c.kind {
	case "metrics":
		if m, ok := r.Metric(c.key); ok {
			return number(m.Value)
		}
	case "params":
		value, _ := r.Param(c.key)
		return value
	case "tags":
		return r.Tags[c.key]
	default:
		return attributeOf(r, c.key)
	}
	return ""
}

func attributeOf(r track.Run, key string) string {
	switch key {
	case "run_id":
		return r.ID
	case "run_name":
		return r.Name
	case "status":
		return string(r.Status)
	case "start_time":
		return ago(r.StartedAt)
	case "end_time":
		if r.EndedAt.IsZero() {
			return ""
		}
		return ago(r.EndedAt)
	case "user_id":
		return r.User
	}
	return r.ExperimentID
}

// number writes a measurement: whole numbers whole, others with four digits
// that count.
func number(v float64) string {
	switch {
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.IsInf(v, 0):
		return strings.Replace(strconv.FormatFloat(v, 'g', -1, 64), "Inf", "Infinity", 1)
	}
	return fmt.Sprintf("%.4g", v)
}

// withSign is number with its sign, for differences.
func withSign(v float64) string {
	switch {
	case v < 0:
		return "−" + number(-v)
	case v == 0:
		return "0"
	}
	return "+" + number(v)
}

// jsonNumber is a number for a JSON document, which has no word for NaN: these
// are texts, as MLflow's clients write them.
func jsonNumber(v float64) any {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return v
}

func trackedDocument(r track.Run) map[string]any {
	metrics, params := map[string]any{}, map[string]string{}
	for _, m := range r.Metrics {
		metrics[m.Key] = jsonNumber(m.Value)
	}
	for _, p := range r.Params {
		params[p.Key] = p.Value
	}
	doc := map[string]any{"id": r.ID, "name": r.Name, "experiment": r.ExperimentID, "status": r.Status, "state": r.State, "started_at": r.StartedAt,
		"ended_at": momentOrNil(r.EndedAt), "by": r.By, "params": params, "metrics": metrics, "tags": r.Tags}
	if r.Origin != (track.Origin{}) {
		doc["origin"] = map[string]string{"run": r.Origin.Run, "step": r.Origin.Step, "cell": r.Origin.Cell}
	}
	return doc
}
