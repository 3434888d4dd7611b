// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"lastro/track"
)

// condition is one clause of a search of runs: it holds for the runs that have
// (or, with not, have not) a row in one table for which where is true. The SQL
// is fixed text on the table's columns, prefixed by t.
type condition struct {
	table string
	where string
	args  []any
	not   bool
	// indexed says that an index leads to the rows, so that as many of them can be
	// read as are wanted.
	indexed bool

	set      *runSet // of the rows' runs, once it has been read
	large    bool    // the rows are more than the finder's capacity
	lookedUp int     // how many runs were looked up one by one
}

// runColumn is the column of a table that holds the run's number.
func runColumn(table string) string {
	if table == "tracked_runs" {
		return "t.number"
	}
	return "t.run"
}

// fromExperiments returns the tables that lead from experiments (%s) to rows of
// a table, and conditions. The tags have no index for it: they are read one
// after the other where the experiments have most of the runs in their range of
// numbers, and else along with the runs.
func (f *finder) fromExperiments(ctx context.Context, table string) (from string, args []any, err error) {
	if table != "tracked_tags" {
		return table + ` t WHERE t.experiment IN (%s) AND `, nil, nil
	}
	if err := f.spread(ctx); err != nil {
		return "", nil, err
	}
	if f.high-f.low < int64(f.tagsRead)*f.count {
		return `tracked_tags t WHERE t.experiment IN (%s) AND t.run >= ? AND t.run <= ? AND `, []any{f.low, f.high}, nil
	}
	return `tracked_runs r JOIN tracked_tags t ON t.run = r.number WHERE r.experiment IN (%s) AND `, nil, nil
}

// spread finds out how many runs the experiments have, among which numbers.
func (f *finder) spread(ctx context.Context) error {
	if f.count > 0 {
		return nil
	}
	query := `SELECT COUNT(*), COALESCE(MIN(t.number), 0), COALESCE(MAX(t.number), 0) FROM tracked_runs t WHERE t.experiment IN (%s)`
	return f.perExperiments(ctx, query, nil, 3, func(v []any) error {
		n, low, high := v[0].(int64), v[1].(int64), v[2].(int64)
		if n > 0 && (f.count == 0 || low < f.low) {
			f.low = low
		}
		f.count, f.high = f.count+n, max(f.high, high)
		return nil
	})
}

// sizeUp reads the set of a condition if that can be done and is small.
func (f *finder) sizeUp(ctx context.Context, c *condition) error {
	if c.set != nil || c.large || !c.indexed {
		return nil
	}
	set, err := f.readSet(ctx, c, f.capacity)
	if c.large = set.count > f.capacity; !c.large {
		c.set = set
	}
	return err
}

// readSet reads the runs of a condition's rows, most and one more at the most.
func (f *finder) readSet(ctx context.Context, c *condition, most int) (*runSet, error) {
	set := newRunSet()
	from, args, err := f.fromExperiments(ctx, c.table)
	if err != nil {
		return set, err
	}
	query := "SELECT " + runColumn(c.table) + " FROM " + from + c.where + " LIMIT ?"
	err = f.perExperiments(ctx, query, append(append(args, c.args...), most+1), 1, func(v []any) error {
		set.add(v[0].(int64))
		return nil
	})
	return set, err
}

// perExperiments runs a query with the experiments (%s), as many at once as a
// statement takes.
func (f *finder) perExperiments(ctx context.Context, query string, after []any, columns int, scan func([]any) error) error {
	for left := f.experiments; len(left) > 0; {
		n := min(len(left), lookUpAtOnce)
		if err := f.track.values(ctx, fmt.Sprintf(query, marks(paddedTo(n))), append(padded(left[:n]), after...), columns, scan); err != nil {
			return err
		}
		left = left[n:]
	}
	return nil
}

// padded returns values as arguments, the last one repeated so that there
// are few different lengths, and few statements to prepare.
func padded[T any](numbers []T) []any {
	out := anys(numbers)
	for len(out) < paddedTo(len(numbers)) {
		out = append(out, numbers[len(numbers)-1])
	}
	return out
}

func paddedTo(n int) int {
	for _, size := range []int{1, 4, 16, 64, 128} {
		if n <= size {
			return size
		}
	}
	return max(n, lookUpAtOnce)
}

// filterRuns keeps what the conditions hold for.
func filterRuns[T any](ctx context.Context, f *finder, conds []*condition, list []T, run func(T) int64) ([]T, error) {
	kept := keepKnown(conds, list, run)
	for _, c := range conds {
		if c.set != nil || len(kept) == 0 {
			continue
		}
		runs := make([]int64, len(kept))
		for i, item := range kept {
			runs[i] = run(item)
		}
		set, err := f.among(ctx, c, runs)
		if err != nil {
			return nil, err
		}
		left := kept[:0]
		for _, item := range kept {
			if set.has(run(item)) != c.not {
				left = append(left, item)
			}
		}
		kept = left
	}
	return kept, nil
}

// keepKnown keeps what the conditions hold for whose sets have been read.
func keepKnown[T any](conds []*condition, list []T, run func(T) int64) []T {
	kept := list[:0]
	for _, item := range list {
		ok := true
		for _, c := range conds {
			if c.set != nil && c.set.has(run(item)) == c.not {
				ok = false
				break
			}
		}
		if ok {
			kept = append(kept, item)
		}
	}
	return kept
}

// among returns a set that tells for each of the runs whether a condition has
// rows for it: the whole set once so many runs were asked for that it pays.
func (f *finder) among(ctx context.Context, c *condition, runs []int64) (*runSet, error) {
	if c.lookedUp += len(runs); c.lookedUp > f.patience {
		set, err := f.readSet(ctx, c, 1<<40)
		c.set = set
		return set, err
	}
	set := newRunSet()
	column := runColumn(c.table)
	query := "SELECT " + column + " FROM " + c.table + " t WHERE " + column + " IN (%s) AND " + c.where
	return set, f.track.lookUp(ctx, query, runs, c.args, 1, func(v []any) error {
		set.add(v[0].(int64))
		return nil
	})
}

// runAttributes are the columns of t, tracked_runs.
var runAttributes = map[string]attribute{
	"run_id": {expr: "t.id", kind: isText}, "run_name": {expr: "t.name", kind: isText}, "status": {expr: "t.status", kind: isText},
	"user_id": {expr: "t.client_user", kind: isText}, "experiment_id": {expr: experimentOfRun, kind: isText},
	"artifact_uri": {expr: "('mlflow-artifacts:/' || " + experimentOfRun + " || '/' || t.id || '/artifacts')", kind: isText},
	"start_time":   {expr: "t.started_at", kind: isInteger, time: true},
	"end_time":     {expr: "t.ended_at", kind: isInteger, time: true, none: true},
}

const experimentOfRun = "(SELECT e.id FROM experiments e WHERE e.number = t.experiment)"

// condition turns a clause into a condition.
func (f *finder) condition(cl track.Clause, keys map[string]int64) (*condition, error) {
	switch cl.Field {
	case track.Attribute:
		w, err := compareAttribute(f.track.db.dialect, runAttributes, cl)
		indexed := cl.Key == "run_id" && (cl.Op == track.Eq || cl.Op == track.In)
		return &condition{table: "tracked_runs", where: w.joined(), args: w.args, indexed: indexed}, err
	case track.MetricField:
		return metricCondition(cl, keys[cl.Key])
	case track.ParamField:
		return f.keyedCondition("tracked_params", cl, keys[cl.Key])
	case track.TagField:
		return f.keyedCondition("tracked_tags", cl, keys[cl.Key])
	case track.Dataset:
		column, ok := map[string]string{"name": "t.name", "digest": "t.digest", "context": "t.context"}[cl.Key]
		cond, args, known := compareText(f.track.db.dialect, column, string(cl.Op), cl.Text, cl.Values)
		if !ok || !known {
			return nil, cannotCompare(cl)
		}
		return &condition{table: "tracked_inputs", where: cond, args: args, indexed: cl.Key == "name" && (cl.Op == track.Eq || cl.Op == track.In)}, nil
	}
	return nil, cannotCompare(cl)
}

func metricCondition(cl track.Clause, key int64) (*condition, error) {
	c := &condition{table: "latest_metrics", args: []any{key}, indexed: true}
	op, ok := numberOps[string(cl.Op)]
	switch {
	case cl.Op == track.NotNull:
		c.where = "t.key = ?"
	case cl.Op == track.IsNull:
		c.where, c.not = "t.key = ?", true
	case !ok || !cl.IsNumber:
		return nil, cannotCompare(cl)
	case cl.Op == track.NotEq:
		c.where, c.indexed = "t.key = ? AND (t.is_nan = 1 OR t.value <> ?)", false
		c.args = append(c.args, cl.Number)
	default:
		c.where = "t.key = ? AND t.is_nan = 0 AND t.value " + op + " ?"
		c.args = append(c.args, cl.Number)
	}
	return c, nil
}

func (f *finder) keyedCondition(table string, cl track.Clause, key int64) (*condition, error) {
	c := &condition{table: table, args: []any{key}, indexed: table == "tracked_params"}
	switch cl.Op {
	case track.NotNull:
		c.where = "t.key = ?"
	case track.IsNull:
		c.where, c.not = "t.key = ?", true
	default:
		cond, args, ok := compareText(f.track.db.dialect, "t.value", string(cl.Op), cl.Text, cl.Values)
		if !ok {
			return nil, cannotCompare(cl)
		}
		c.where, c.args = "t.key = ? AND "+cond, append(c.args, args...)
		if cl.Op != track.Eq && cl.Op != track.In {
			c.indexed = false
		} else if table == "tracked_params" {
			c.byBeginning(f.track.db.dialect, textsOf(cl))
		}
	}
	return c, nil
}

// byBeginning adds what an index of the beginnings of values needs.
func (c *condition) byBeginning(d dialect, values []string) {
	if d.indexed("t.value") == "t.value" {
		return
	}
	for i, v := range values {
		values[i] = beginning(v)
	}
	c.where += " AND " + d.indexed("t.value") + " IN (" + marks(len(values)) + ")"
	c.args = append(c.args, anys(values)...)
}

// indexedLength is how many characters of a long text PostgreSQL's indexes hold.
const indexedLength = 200

func beginning(text string) string {
	if len(text) <= indexedLength || utf8.RuneCountInString(text) <= indexedLength {
		return text
	}
	return string([]rune(text)[:indexedLength])
}

// indexed is a text column as the indexes for search have it: PostgreSQL refuses
// index rows above 2.7 kB.
func (d dialect) indexed(column string) string {
	if d == postgresDialect {
		return fmt.Sprintf("substr(%s, 1, %d)", column, indexedLength)
	}
	return column
}

func (w *where) joined() string { return strings.Join(w.conditions, " AND ") }

// textsOf are what a clause of = or IN names.
func textsOf(cl track.Clause) []string {
	if cl.Op == track.In {
		return slices.Clone(cl.Values)
	}
	return []string{cl.Text}
}
