// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"

	"lastro"
	"lastro/track"
)

// prefixed puts a table's alias before each column of a list.
func prefixed(alias, columns string) string {
	return alias + "." + strings.ReplaceAll(columns, ", ", ", "+alias+".")
}

// attribute is a column, or an expression over columns, that searches name.
type attribute struct {
	expr string
	kind kind
	// time says that the column holds microseconds and the search speaks of
	// milliseconds.
	time bool
	// none says that the column holds 0 or "" where there is no value.
	none bool
}

// value is the expression with NULL where there is no value.
func (a attribute) value() string {
	if !a.none {
		return a.expr
	}
	return "NULLIF(" + a.expr + ", " + a.kind.none() + ")"
}

// trackCompiler turns a track.Query into a search. Its strings are fixed text;
// keys and values of the query become arguments.
type trackCompiler struct {
	dialect    dialect
	attributes map[string]attribute
	metrics    string // SELECT value ... key = ?, without NaN; "" where there are none
	nans       string // the same where the value is NaN
	metricRows string // FROM ... key = ?
	datasets   where  // conditions on the metrics that clauses look at
	params     string
	tags       string
	dataset    string // SELECT 1 ... AND; "" where there are none
	last       []term // the last orders
	w          where
}

// scope adds the query's experiments and state.
func (c *trackCompiler) scope(experiment, state string, q track.Query) {
	if q.Experiments != nil {
		if len(q.Experiments) == 0 {
			c.w.add("1 = 0")
		} else {
			c.w.add(experiment+" IN ("+marks(len(q.Experiments))+")", anys(q.Experiments)...)
		}
	}
	if q.State != "" {
		c.w.add(state+" = ?", string(q.State))
	}
}

// compile returns the search without columns and tables.
func (c *trackCompiler) compile(what string, q track.Query) (search, error) {
	for _, clause := range q.Where {
		if err := c.clause(clause); err != nil {
			return search{}, err
		}
	}
	terms, err := c.order(q.Order)
	asked := fingerprint(what, q.Experiments, q.State, q.Where, q.Order, q.Datasets)
	return search{where: c.w, terms: terms, token: q.Token, limit: q.Limit, asked: asked}, err
}

// compareMetric compares any of the metrics of a key; NaN is unlike every number.
func (c *trackCompiler) compareMetric(op string, cl track.Clause) {
	only := ""
	if len(c.datasets.conditions) > 0 {
		only = " AND " + c.datasets.joined()
	}
	args := append([]any{cl.Key, cl.Number}, c.datasets.args...)
	cond := "EXISTS (" + c.metrics + " AND t.value " + op + " ?" + only + ")"
	if cl.Op == track.NotEq {
		cond = "(" + cond + " OR EXISTS (" + c.nans + only + "))"
		args = append(append(args, cl.Key), c.datasets.args...)
	}
	c.w.add(cond, args...)
}

func cannotOrder(o track.Order) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0702", Msg: fmt.Sprintf("a search cannot be ordered by %s %q", o.Field, o.Key)}
}

func cannotCompare(cl track.Clause) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0701", Msg: fmt.Sprintf("a search cannot compare %s %q by %s", cl.Field, cl.Key, cl.Op)}
}

func (c *trackCompiler) clause(cl track.Clause) error {
	switch cl.Field {
	case track.Attribute:
		return c.attribute(cl)
	case track.MetricField:
		op, ok := numberOps[string(cl.Op)]
		if !ok || c.metrics == "" || !cl.IsNumber {
			return cannotCompare(cl)
		}
		c.compareMetric(op, cl)
		return nil
	case track.ParamField:
		return c.keyed(c.params, cl)
	case track.TagField:
		return c.keyed(c.tags, cl)
	case track.Dataset:
		return c.datasetClause(cl)
	}
	return cannotCompare(cl)
}

func (c *trackCompiler) attribute(cl track.Clause) error {
	w, err := compareAttribute(c.dialect, c.attributes, cl)
	c.w.add(w.joined(), w.args...)
	return err
}

// compareAttribute compares an attribute by its expression.
func compareAttribute(d dialect, attributes map[string]attribute, cl track.Clause) (w where, err error) {
	a, ok := attributes[cl.Key]
	switch {
	case !ok:
		return w, cannotCompare(cl)
	case cl.Op == track.IsNull || cl.Op == track.NotNull:
		w.add(a.value() + " " + string(cl.Op))
		return w, nil
	case a.kind == isText:
		cond, args, ok := compareText(d, a.value(), string(cl.Op), cl.Text, cl.Values)
		if !ok {
			return w, cannotCompare(cl)
		}
		w.add(cond, args...)
		return w, nil
	}
	if _, ok := numberOps[string(cl.Op)]; !ok || !cl.IsNumber {
		return w, cannotCompare(cl)
	}
	cond, args := a.compareNumber(cl.Op, cl.Number)
	w.add(cond, args...)
	if a.none {
		w.add(a.expr + " <> 0")
	}
	return w, nil
}

// compareNumber compares a whole number with any number. A time is compared by
// its milliseconds, as a range of microseconds, so that an index serves it.
func (a attribute) compareNumber(op track.Op, n float64) (string, []any) {
	unit := int64(1)
	if a.time {
		unit = 1000
	}
	low, high := wholeRange(n, unit) // [low, high) equals n
	switch op {
	case track.Eq:
		return a.expr + " >= ? AND " + a.expr + " < ?", []any{low, high}
	case track.NotEq:
		return "(" + a.expr + " < ? OR " + a.expr + " >= ?)", []any{low, high}
	case track.Less:
		return a.expr + " < ?", []any{low}
	case track.LessE:
		return a.expr + " < ?", []any{high}
	case track.More:
		return a.expr + " >= ?", []any{high}
	}
	return a.expr + " >= ?", []any{low}
}

// wholeRange returns the whole numbers, in units, that equal n: [low, high),
// empty (both the next above) when n is no whole number.
func wholeRange(n float64, unit int64) (low, high int64) {
	most := float64(math.MaxInt64 / unit / 2)
	floor := math.Floor(math.Max(-most, math.Min(most, n)))
	if math.IsNaN(floor) {
		floor = most
	}
	low, high = int64(floor)*unit, (int64(floor)+1)*unit
	if floor != n {
		low = high
	}
	return low, high
}

// keyed compares the value of a param or tag.
func (c *trackCompiler) keyed(sub string, cl track.Clause) error {
	switch {
	case sub == "":
		return cannotCompare(cl)
	case cl.Op == track.IsNull:
		c.w.add("NOT EXISTS ("+sub+")", cl.Key)
		return nil
	case cl.Op == track.NotNull:
		c.w.add("EXISTS ("+sub+")", cl.Key)
		return nil
	}
	cond, args, ok := compareText(c.dialect, "t.value", string(cl.Op), cl.Text, cl.Values)
	if !ok {
		return cannotCompare(cl)
	}
	c.w.add("EXISTS ("+sub+" AND "+cond+")", append([]any{cl.Key}, args...)...)
	return nil
}

func (c *trackCompiler) datasetClause(cl track.Clause) error {
	expr, ok := map[string]string{"name": "t.name", "digest": "t.digest", "context": "t.context"}[cl.Key]
	if !ok || c.dataset == "" {
		return cannotCompare(cl)
	}
	cond, args, ok := compareText(c.dialect, expr, string(cl.Op), cl.Text, cl.Values)
	if !ok {
		return cannotCompare(cl)
	}
	c.w.add("EXISTS ("+c.dataset+cond+")", args...)
	return nil
}

func (c *trackCompiler) order(orders []track.Order) ([]term, error) {
	var terms []term
	for _, o := range orders {
		sub, k := "", isText
		args := []any{o.Key}
		switch o.Field {
		case track.Attribute:
			a, ok := c.attributes[o.Key]
			switch {
			case ok && a.none:
				terms = append(terms, nullable(a.value(), a.kind, nil, o.Desc)...)
				continue
			case ok:
				terms = append(terms, term{expr: a.expr, kind: a.kind, desc: o.Desc})
				continue
			}
		case track.MetricField:
			if c.metrics != "" {
				terms = append(terms, c.metricTerms(o)...)
				continue
			}
		case track.ParamField:
			sub = c.params
		case track.TagField:
			sub = c.tags
		}
		if sub == "" {
			return nil, cannotOrder(o)
		}
		terms = append(terms, nullable("("+sub+")", k, args, o.Desc)...)
	}
	return append(terms, c.last...), nil
}

// metricTerms order by the latest metric of a key, on a dataset if one is named:
// values, then NaN, then none. Which is the latest, if runs or datasets differ,
// is the one of the latest time, step and first run, as in MLflow.
func (c *trackCompiler) metricTerms(o track.Order) []term {
	args, only := []any{o.Key}, ""
	if o.Dataset.Name != "" {
		args, only = append(args, o.Dataset.Name), only+" AND t.dataset_name = ?"
	}
	if o.Dataset.Digest != "" {
		args, only = append(args, o.Dataset.Digest), only+" AND t.dataset_digest = ?"
	}
	latest := func(column string) string {
		return "(SELECT " + column + " FROM " + strings.TrimPrefix(c.metricRows, "FROM ") + only + " ORDER BY t.at DESC, t.step DESC, t.run LIMIT 1)"
	}
	return []term{
		{expr: "COALESCE(" + latest("t.is_nan") + ", 2)", kind: isRank, args: args},
		{expr: "COALESCE(" + latest("CASE WHEN t.is_nan = 1 THEN 0 ELSE t.value END") + ", 0)", kind: isFloat, args: args, desc: o.Desc},
	}
}

var experimentAttributes = map[string]attribute{
	"name": {expr: "e.name", kind: isText}, "experiment_id": {expr: "e.id", kind: isText},
	"creation_time":    {expr: "e.created_at", kind: isInteger, time: true},
	"last_update_time": {expr: "e.updated_at", kind: isInteger, time: true},
}

// SearchExperiments implements track.Store.
func (s Track) SearchExperiments(ctx context.Context, q track.Query) ([]track.Experiment, string, error) {
	c := trackCompiler{
		dialect:    s.db.dialect,
		attributes: experimentAttributes,
		tags:       `SELECT value FROM experiment_tags t WHERE t.experiment = e.id AND t.key = ?`,
		last:       []term{{expr: "e.created_at", kind: isInteger, desc: true}, {expr: "e.id", kind: isText}},
	}
	if q.State != "" {
		c.w.add("e.state = ?", string(q.State))
	}
	if len(q.Order) > 0 { // as in MLflow
		c.last = []term{{expr: "e.id", kind: isText, desc: true}}
	}
	sch, err := c.compile("experiments", q)
	if err != nil {
		return nil, "", err
	}
	sch.columns, sch.from = prefixed("e", experimentColumns), "experiments e"
	list, next, err := page(ctx, s.db, sch, func(r scanner) (track.Experiment, error) { return scanExperiment(r) })
	if err != nil {
		return nil, "", err
	}
	ids := make([]string, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	tags, err := s.db.pairs(ctx, "experiment_tags", "experiment", ids)
	for i := range list {
		list[i].Tags = tags[list[i].ID].asMap()
	}
	return list, next, err
}

// SearchRuns implements track.Store.
func (s Track) SearchRuns(ctx context.Context, q track.Query) ([]track.Run, string, error) {
	f, conds, err := s.newFinder(ctx, q)
	if err != nil || len(f.experiments) == 0 {
		return nil, "", err
	}
	terms := f.terms()
	asked := fingerprint("runs", q.Experiments, q.State, q.Where, q.Order)
	var from []value
	if q.Token != "" {
		values, err := readToken(q.Token, asked, terms)
		if err != nil {
			return nil, "", err
		}
		for i := 0; i < len(values); i += 2 {
			from = append(from, value{values[i].(int64), values[i+1]})
		}
	}
	limit := max(1, q.Limit)
	list, err := f.find(ctx, 0, conds, from, limit+1)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(list) > limit {
		list = list[:limit]
		var values []any
		for _, v := range list[limit-1].values {
			values = append(values, v.rank, v.of)
		}
		next = writeToken(asked, terms, values)
	}
	runs, err := s.numbered(ctx, f, list)
	return runs, next, err
}

// newFinder returns what searches runs for q, and its conditions; without
// experiments it finds nothing.
func (s Track) newFinder(ctx context.Context, q track.Query) (*finder, []*condition, error) {
	f := &finder{track: s}
	var names []string
	for _, c := range q.Where {
		names = append(names, c.Key)
	}
	for _, o := range q.Order {
		names = append(names, o.Key)
	}
	keys, err := s.knownKeys(ctx, names)
	if err != nil {
		return nil, nil, err
	}
	conds := stateConditions(q.State)
	for _, cl := range q.Where {
		c, err := f.condition(cl, keys)
		if err != nil {
			return nil, nil, err
		}
		conds = append(conds, c)
	}
	for _, o := range append(slices.Clone(q.Order), runsLast...) {
		if slices.ContainsFunc(f.orders, func(have runOrder) bool { return have.asked.Field == o.Field && have.asked.Key == o.Key }) {
			continue
		}
		order, err := f.order(o, keys)
		if err != nil {
			return nil, nil, err
		}
		f.orders = append(f.orders, order)
	}
	if f.experiments, err = s.experimentNumbers(ctx, q.Experiments); err != nil {
		return nil, nil, err
	}
	runs := 0
	err = s.db.QueryRow(ctx, `SELECT COALESCE(MAX(number), 0) FROM tracked_runs`).Scan(&runs)
	f.findLimits = limitsFor(runs)
	return f, conds, err
}

// runsLast makes every run different from every other.
var runsLast = []track.Order{{Field: track.Attribute, Key: "start_time", Desc: true}, {Field: track.Attribute, Key: "run_id"}}

// stateConditions leave out what is not in a state. The index is of the runs
// that are not active.
func stateConditions(state track.Lifecycle) []*condition {
	switch state {
	case "":
		return nil
	case track.Active:
		return []*condition{{table: "tracked_runs", where: "t.state <> 'active'", not: true, indexed: true}}
	}
	return []*condition{{table: "tracked_runs", where: "t.state <> 'active' AND t.state = ?", args: []any{string(state)}, indexed: true}}
}

// terms are the kinds of a position's values.
func (f *finder) terms() []term {
	var out []term
	for _, o := range f.orders {
		out = append(out, term{kind: isRank}, term{kind: o.kind})
	}
	return out
}

// knownKeys returns the numbers of the names that have one.
func (s Track) knownKeys(ctx context.Context, names []string) (map[string]int64, error) {
	found, missing := s.db.keys.get(names)
	fresh := map[string]int64{}
	err := s.db.each(ctx, `SELECT number, key FROM tracked_keys WHERE key IN (%s)`, missing, func(r *sql.Rows) error {
		var n int64
		var name string
		err := r.Scan(&n, &name)
		found[name], fresh[name] = n, n
		return err
	})
	if err == nil && len(fresh) > 0 {
		s.db.keys.put(fresh)
	}
	return found, err
}

// experimentNumbers returns the numbers of experiments; nil = all.
func (s Track) experimentNumbers(ctx context.Context, ids []string) (out []int64, err error) {
	if ids == nil {
		err := s.values(ctx, `SELECT number FROM experiments`, nil, 1, func(v []any) error {
			out = append(out, v[0].(int64))
			return nil
		})
		return out, err
	}
	ids = slices.Clone(ids)
	slices.Sort(ids)
	err = s.db.each(ctx, `SELECT number FROM experiments WHERE id IN (%s)`, slices.Compact(ids), func(r *sql.Rows) error {
		var n int64
		err := r.Scan(&n)
		out = append(out, n)
		return err
	})
	return out, err
}

// numbered reads the runs that were found, in their order.
func (s Track) numbered(ctx context.Context, f *finder, list []found) ([]track.Run, error) {
	if len(list) == 0 {
		return nil, nil
	}
	runs := make([]storedRun, len(list))
	at, numbers := make(map[int64]int, len(list)), make([]int64, len(list))
	for i, x := range list {
		at[x.run], numbers[i] = i, x.run
	}
	err := s.db.eachOf(ctx, `SELECT `+runColumns+` FROM `+runTables+` WHERE r.number IN (%s)`, padded(numbers), func(rows *sql.Rows) error {
		r, err := scanRun(rows)
		runs[at[r.number]] = r
		return err
	})
	if err != nil {
		return nil, err
	}
	runs = slices.DeleteFunc(runs, func(r storedRun) bool { return r.number == 0 }) // removed meanwhile
	if err := s.fillRuns(ctx, runs); err != nil {
		return nil, err
	}
	return plainRuns(runs), nil
}

var loggedModelAttributes = map[string]attribute{
	"name": {expr: "m.name", kind: isText}, "model_id": {expr: "m.id", kind: isText}, "model_type": {expr: "m.type", kind: isText},
	"status": {expr: "m.status", kind: isText}, "source_run_id": {expr: "m.source_run", kind: isText, none: true},
	"experiment_id":          {expr: "m.experiment", kind: isText},
	"creation_timestamp":     {expr: "m.created_at", kind: isInteger, time: true},
	"last_updated_timestamp": {expr: "m.updated_at", kind: isInteger, time: true},
}

const metricsOfModel = `FROM logged_model_metrics t WHERE t.model = m.id AND t.key = ?`

// onDatasets narrows the metrics that clauses look at; without such a clause
// the models are those with any metric on the datasets.
func (c *trackCompiler) onDatasets(q track.Query) {
	if len(q.Datasets) == 0 {
		return
	}
	var any where
	for _, d := range q.Datasets {
		if d.Digest == "" {
			any.add("t.dataset_name = ?", d.Name)
		} else {
			any.add("t.dataset_name = ? AND t.dataset_digest = ?", d.Name, d.Digest)
		}
	}
	cond := "(" + strings.Join(any.conditions, " OR ") + ")"
	if slices.ContainsFunc(q.Where, func(cl track.Clause) bool { return cl.Field == track.MetricField }) {
		c.datasets.add(cond, any.args...)
		return
	}
	c.w.add("EXISTS (SELECT 1 FROM logged_model_metrics t WHERE t.model = m.id AND "+cond+")", any.args...)
}

// SearchLoggedModels implements track.Store.
func (s Track) SearchLoggedModels(ctx context.Context, q track.Query) ([]track.LoggedModel, string, error) {
	c := trackCompiler{
		dialect:    s.db.dialect,
		attributes: loggedModelAttributes,
		metrics:    `SELECT value ` + metricsOfModel + ` AND t.is_nan = 0`,
		nans:       `SELECT value ` + metricsOfModel + ` AND t.is_nan = 1`,
		metricRows: metricsOfModel,
		params:     `SELECT value FROM logged_model_params t WHERE t.model = m.id AND t.key = ?`,
		tags:       `SELECT value FROM logged_model_tags t WHERE t.model = m.id AND t.key = ?`,
		last:       []term{{expr: "m.created_at", kind: isInteger, desc: true}, {expr: "m.id", kind: isText}},
	}
	c.scope("m.experiment", "m.state", q)
	c.onDatasets(q)
	sch, err := c.compile("logged models", q)
	if err != nil {
		return nil, "", err
	}
	sch.columns, sch.from = prefixed("m", loggedModelColumns), "logged_models m"
	list, next, err := page(ctx, s.db, sch, func(r scanner) (track.LoggedModel, error) { return scanLoggedModel(r) })
	if err != nil {
		return nil, "", err
	}
	return list, next, s.fillLoggedModels(ctx, list)
}

// Datasets implements track.Store.
func (s Track) Datasets(ctx context.Context, experiments []string, limit int) ([]track.DatasetUse, error) {
	if len(experiments) == 0 {
		return nil, nil
	}
	rows, err := s.db.Query(ctx, `SELECT DISTINCT e.id, t.name, t.digest, t.context
		FROM tracked_inputs t JOIN experiments e ON e.number = t.experiment JOIN tracked_runs r ON r.number = t.run
		WHERE r.state = 'active' AND e.id IN (`+marks(len(experiments))+`) ORDER BY 1, 2, 3, 4 LIMIT ?`, append(anys(experiments), limit)...)
	return collect(rows, err, func(r *sql.Rows) (u track.DatasetUse, err error) {
		return u, r.Scan(&u.ExperimentID, &u.Name, &u.Digest, &u.Context)
	})
}
