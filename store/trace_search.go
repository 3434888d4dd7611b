// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"lastro"
	"lastro/trace"
)

// traceSearch turns a query of traces into SQL. Its strings are fixed text;
// keys and values of the query become arguments.
type traceSearch struct {
	db          *DB
	experiments []any // numbers; nil = all
	w           where
}

// in is the condition that a column holds one of the experiments.
func (s *traceSearch) in(column string) (string, []any) {
	switch {
	case s.experiments == nil:
		return "1 = 1", nil
	case len(s.experiments) == 0:
		return "1 = 0", nil
	}
	return column + " IN (" + marks(len(s.experiments)) + ")", s.experiments
}

func (s Trace) newSearch(ctx context.Context, experiments []string) (*traceSearch, error) {
	out := &traceSearch{db: s.db}
	if experiments == nil {
		return out, nil
	}
	out.experiments = []any{}
	err := s.db.each(ctx, `SELECT number FROM experiments WHERE id IN (%s)`, experiments, func(r *sql.Rows) error {
		var n int64
		err := r.Scan(&n)
		out.experiments = append(out.experiments, n)
		return err
	})
	cond, args := out.in("t.experiment")
	out.w.add(cond, args...)
	return out, err
}

// Search implements trace.Store.
func (s Trace) Search(ctx context.Context, q trace.Query) ([]trace.Row, error) {
	ts, err := s.newSearch(ctx, q.Experiments)
	if err != nil {
		return nil, err
	}
	if err := ts.clauses(ctx, q.Where); err != nil {
		return nil, err
	}
	terms, err := ts.terms(q.Order)
	if err != nil {
		return nil, err
	}
	// search reads one row more than its limit; here the caller asks for that one.
	look := search{columns: traceColumns, from: "traces t", where: ts.w, terms: terms, token: q.PageToken, limit: q.Limit - 1,
		asked: fingerprint("traces", q.Experiments, q.Where, q.Order)}
	if err := look.begin("t.at"); err != nil {
		return nil, err
	}
	query, args, err := look.sql()
	if err != nil {
		return nil, err
	}
	values, into := make([]any, len(terms)), make([]any, len(terms))
	for i := range into {
		into[i] = &values[i]
	}
	rows, err := s.db.Query(ctx, query, args...)
	list, err := collect(rows, err, func(r *sql.Rows) (trace.Row, error) {
		t, err := scanTrace(withTerms{r, into})
		return trace.Row{Trace: t, Token: writeToken(look.asked, terms, values)}, err
	})
	if err != nil || q.Bare {
		return list, err
	}
	return list, s.fill(ctx, len(list), func(i int) *trace.Trace { return &list[i].Trace })
}

// begin says once more, so that an index can begin there, that a page after
// another has nothing before the other's last row in the first order.
func (s *search) begin(column string) error {
	if s.token == "" || s.terms[0].expr != column {
		return nil
	}
	values, err := readToken(s.token, s.asked, s.terms)
	if err != nil {
		return err
	}
	if s.terms[0].desc {
		s.where.add(column+" <= ?", values[0])
	} else {
		s.where.add(column+" >= ?", values[0])
	}
	return nil
}

// Count implements trace.Store.
func (s Trace) Count(ctx context.Context, experiments []string, lists ...[]trace.Clause) (n int64, err error) {
	ts, err := s.newSearch(ctx, experiments)
	if err != nil {
		return 0, err
	}
	for _, list := range lists {
		if err := ts.clauses(ctx, list); err != nil {
			return 0, err
		}
	}
	err = s.db.QueryRow(ctx, `SELECT COUNT(*) FROM traces t`+ts.w.sql(), ts.w.args...).Scan(&n)
	return n, err
}

// traceText and traceNumbers are the columns of attributes.
var (
	traceText = map[string]string{trace.KeyID: "t.id", trace.KeyStatus: "t.state", trace.KeyClientID: "t.client_id", trace.KeyName: "t.name",
		trace.KeySession: "t.session", trace.KeyExperiment: "(SELECT e.id FROM experiments e WHERE e.number = t.experiment)"}
	traceNumbers = map[string]string{trace.KeyTime: "t.at", trace.KeyTook: "t.took", trace.KeyEnd: "t.at + COALESCE(t.took, 0)"}
)

func (s *traceSearch) terms(orders []trace.Order) ([]term, error) {
	var terms []term
	byTime := false
	for _, o := range orders {
		switch {
		case o.Field == trace.Tag || o.Field == trace.Metadata:
			expr := "(SELECT p.value FROM trace_pairs p WHERE p.trace = t.number AND p.kind = ? AND p.key = ?)"
			terms = append(terms, nullable(expr, isText, []any{kindOf(o.Field), o.Key}, o.Desc)...)
		case o.Key == trace.KeyTook:
			terms = append(terms, nullable("t.took", isInteger, nil, o.Desc)...)
		case traceNumbers[o.Key] != "":
			terms = append(terms, term{expr: traceNumbers[o.Key], kind: isInteger, desc: o.Desc})
			byTime = byTime || o.Key == trace.KeyTime
		case o.Key == trace.KeyName || o.Key == trace.KeySession:
			terms = append(terms, nullable(traceText[o.Key], isText, nil, o.Desc)...)
		case traceText[o.Key] != "":
			terms = append(terms, term{expr: traceText[o.Key], kind: isText, desc: o.Desc})
		default:
			return nil, lastro.Errorf(lastro.EInvalid, "a search of traces cannot be ordered by %s %q", o.Field, o.Key)
		}
	}
	if !byTime {
		terms = append(terms, term{expr: "t.at", kind: isInteger, desc: true})
	}
	return append(terms, term{expr: "t.id", kind: isText}), nil
}

func kindOf(f trace.Field) int {
	if f == trace.Tag {
		return pairTag
	}
	return pairMetadata
}

// clauses adds conditions: those about spans as one, which a single span meets.
func (s *traceSearch) clauses(ctx context.Context, clauses []trace.Clause) error {
	if err := s.drive(ctx, clauses); err != nil {
		return err
	}
	var ofSpan where
	spans := false
	for _, c := range clauses {
		var err error
		if c.OfSpan() {
			spans = true
			err = s.ofSpan(&ofSpan, c)
		} else {
			err = s.clause(c)
		}
		if err != nil {
			return err
		}
	}
	if spans {
		s.w.add("EXISTS (SELECT 1 FROM spans s WHERE s.trace = t.number"+strings.Replace(ofSpan.sql(), " WHERE ", " AND ", 1)+")", ofSpan.args...)
	}
	return nil
}

// few is how many traces a condition may find to be looked at first.
const few = 1000

// drive looks for the condition that fewest traces meet, by an index, and has
// the search begin there: a database cannot know that a value is rare.
func (s *traceSearch) drive(ctx context.Context, clauses []trace.Clause) error {
	var best []any
	for _, c := range clauses {
		table, cond, args := s.driver(c)
		if table == "" {
			continue
		}
		most := few
		if best != nil {
			most = len(best)
		}
		rows, err := s.db.Query(ctx, `SELECT DISTINCT trace FROM `+table+` WHERE `+cond+` LIMIT ?`, append(args, most+1)...)
		list, err := collect(rows, err, func(r *sql.Rows) (any, error) {
			var n int64
			err := r.Scan(&n)
			return n, err
		})
		if err != nil {
			return err
		}
		if len(list) <= most {
			best = append([]any{}, list...)
		}
	}
	switch {
	case best == nil:
	case len(best) == 0:
		s.w.add("1 = 0")
	default:
		s.w.add("t.number IN ("+marks(len(best))+")", best...)
		if len(s.experiments) > 0 {
			// The plus keeps the database from walking all traces in the order of their time.
			s.w.conditions[0] = "+" + strings.TrimPrefix(s.w.conditions[0], "+")
		}
	}
	return nil
}

// driver returns the table and condition whose index finds what a clause says.
func (s *traceSearch) driver(c trace.Clause) (table, cond string, args []any) {
	in, ids := s.in("experiment")
	if c.Op != trace.Eq {
		return "", "", nil
	}
	switch c.Field {
	case trace.Tag, trace.Metadata:
		return "trace_pairs", in + " AND kind = ? AND key = ? AND substr(value, 1, 100) = substr(?, 1, 100)", append(ids[:len(ids):len(ids)], kindOf(c.Field), c.Key, c.Text)
	case trace.SpanValue:
		if trace.Indexed(c.Key) && len([]rune(c.Text)) <= 100 {
			return "span_values", in + " AND key = ? AND substr(value, 1, 100) = substr(?, 1, 100)", append(ids[:len(ids):len(ids)], c.Key, c.Text)
		}
	case trace.SpanField:
		if c.Key == "name" {
			return "spans", in + " AND substr(name, 1, 100) = substr(?, 1, 100)", append(ids[:len(ids):len(ids)], c.Text)
		}
	case trace.Prompt:
		return "trace_links", "kind = ? AND target = ?", []any{linkPrompt, c.Text}
	}
	return "", "", nil
}

func (s *traceSearch) unknown(c trace.Clause) error {
	return lastro.Errorf(lastro.EInvalid, "a search of traces cannot compare %s %q by %s", c.Field, c.Key, c.Op)
}

func (s *traceSearch) clause(c trace.Clause) error {
	switch c.Field {
	case trace.Attribute:
		return s.attribute(c)
	case trace.Tag, trace.Metadata:
		return s.pair(c)
	case trace.Run:
		s.w.add(`(EXISTS (SELECT 1 FROM trace_links l WHERE l.trace = t.number AND l.kind = ? AND l.target = ?) OR
			EXISTS (SELECT 1 FROM trace_pairs p WHERE p.trace = t.number AND p.kind = ? AND p.key = ? AND p.value = ?))`,
			linkRun, c.Text, pairMetadata, trace.MetaRun, c.Text)
	case trace.Prompt:
		s.w.add("EXISTS (SELECT 1 FROM trace_links l WHERE l.trace = t.number AND l.kind = ? AND l.target = ?)", linkPrompt, c.Text)
	case trace.Issue:
		s.w.add("EXISTS (SELECT 1 FROM assessments a WHERE a.trace = t.number AND a.kind = ? AND a.name = ?)", string(trace.KindIssue), c.Text)
	case trace.Feedback, trace.Expectation:
		return s.assessed(c)
	default:
		return s.unknown(c)
	}
	return nil
}

func (s *traceSearch) attribute(c trace.Clause) error {
	if expr, ok := traceNumbers[c.Key]; ok {
		op, ok := numberOps[string(c.Op)]
		if !ok || !c.IsNumber {
			return s.unknown(c)
		}
		s.w.add(expr+" "+op+" ?", int64(max(-1e18, min(1e18, c.Number*1000)))) // milliseconds, kept as microseconds
		return nil
	}
	if c.Key == trace.KeyUsage || c.Key == trace.KeyCost {
		return s.usage(c)
	}
	expr, ok := traceText[c.Key]
	switch {
	case !ok:
		return s.unknown(c)
	case c.Op == trace.RLike:
		s.w.add(expr + " IS NOT NULL")
	case c.Op == trace.IsNull || c.Op == trace.NotNull:
		s.w.add(expr + " " + string(c.Op))
	default:
		cond, args, ok := compareText(s.db.dialect, expr, string(c.Op), c.Text, c.Values)
		if !ok {
			return s.unknown(c)
		}
		s.w.add(cond, args...)
	}
	return nil
}

// usage compares token usage or cost with the JSON that clients see; a JSON of
// another spelling equals none.
func (s *traceSearch) usage(c trace.Clause) error {
	columns, args, same := []string{"input_cost", "output_cost", "total_cost"}, []any(nil), false
	if c.Key == trace.KeyUsage {
		columns = []string{"input_tokens", "output_tokens", "total_tokens", "cache_read", "cache_write", "cache_write_one"}
		u := trace.ParseUsage([]byte(c.Text))
		args, same = usageArgs(u)[:6], u.JSON() == c.Text
	} else {
		cost := trace.ParseCost([]byte(c.Text))
		args, same = costArgs(cost), cost.JSON() == c.Text
	}
	var exists where
	var equal where
	for i, column := range columns {
		exists.add("t." + column + " IS NOT NULL")
		if args[i] == nil {
			equal.add("t." + column + " IS NULL")
		} else {
			equal.add("t."+column+" = ?", args[i])
		}
	}
	any := "(" + strings.Join(exists.conditions, " OR ") + ")"
	all := strings.Join(equal.conditions, " AND ")
	switch {
	case c.Op == trace.IsNull:
		s.w.add("NOT " + any)
	case c.Op == trace.NotNull || c.Op == trace.Ne && !same:
		s.w.add(any)
	case !same:
		s.w.add("1 = 0")
	case c.Op == trace.Eq:
		s.w.add(all, equal.args...)
	default:
		s.w.add(any+" AND NOT (COALESCE("+all+", FALSE))", equal.args...)
	}
	return nil
}

func (s *traceSearch) pair(c trace.Clause) error {
	sub, args := "EXISTS (SELECT 1 FROM trace_pairs p WHERE p.trace = t.number AND p.kind = ? AND p.key = ?", []any{kindOf(c.Field), c.Key}
	switch c.Op {
	case trace.IsNull:
		s.w.add("NOT "+sub+")", args...)
	case trace.NotNull, trace.RLike:
		s.w.add(sub+")", args...)
	default:
		cond, more, ok := compareText(s.db.dialect, "p.value", string(c.Op), c.Text, c.Values)
		if !ok {
			return s.unknown(c)
		}
		s.w.add(sub+" AND "+cond+")", append(args, more...)...)
	}
	return nil
}

// assessed compares valid assessments, also those of another trace that judge
// the whole session.
func (s *traceSearch) assessed(c trace.Clause) error {
	var w where
	w.add("a.kind = ?", string(c.Field))
	w.add("a.name = ?", c.Key)
	w.add("a.valid = 1")
	switch c.Op {
	case trace.IsNull, trace.NotNull, trace.RLike:
	case trace.Eq, trace.Ne:
		quoted, err := json.Marshal(c.Text)
		if err != nil {
			return err
		}
		cond := "(a.value = ? OR a.value = ?)"
		if c.Op == trace.Ne {
			cond = "NOT " + cond
		}
		w.add(cond, c.Text, string(quoted))
	case trace.Like, trace.ILike:
		cond, args, _ := compareText(s.db.dialect, "a.value", string(c.Op), c.Text, nil)
		w.add(cond, args...)
	default:
		op, ok := numberOps[string(c.Op)]
		if !ok || !c.IsNumber {
			return s.unknown(c)
		}
		w.add("a.is_numeric = 1")
		w.add("a.number "+op+" ?", c.Number)
	}
	cond := strings.Join(w.conditions, " AND ")
	in, ids := s.in("o.experiment")
	text := "(EXISTS (SELECT 1 FROM assessments a WHERE a.trace = t.number AND " + cond + ") OR t.session IS NOT NULL AND t.session IN (" +
		"SELECT o.session FROM traces o JOIN assessments a ON a.trace = o.number WHERE " + in + " AND a.session = 1 AND " + cond + "))"
	args := append(append(append([]any{}, w.args...), ids...), w.args...)
	if c.Op == trace.IsNull {
		text = "NOT " + text
	}
	s.w.add(text, args...)
	return nil
}

// ofSpan adds a condition on one span. Of attributes it only narrows: the
// service looks at the spans themselves.
func (s *traceSearch) ofSpan(w *where, c trace.Clause) error {
	switch c.Field {
	case trace.SpanField:
		column := map[string]string{"name": "s.name", "type": "s.type", "status": "s.status"}[c.Key]
		if column == "" {
			return s.unknown(c)
		}
		if c.Op == trace.RLike {
			return nil
		}
		cond, args, ok := compareText(s.db.dialect, column, string(c.Op), c.Text, c.Values)
		if !ok {
			return s.unknown(c)
		}
		w.add(cond, args...)
	case trace.SpanValue:
		if !trace.Indexed(c.Key) || len(c.Key) > trace.MaxKey {
			return nil
		}
		sub := "EXISTS (SELECT 1 FROM span_values v WHERE v.trace = s.trace AND v.span = s.id AND v.key = ?"
		if c.Op == trace.RLike {
			w.add(sub+")", c.Key)
			return nil
		}
		cond, args, ok := compareText(s.db.dialect, "v.value", string(c.Op), c.Text, c.Values)
		if !ok {
			return s.unknown(c)
		}
		w.add(sub+" AND (v.whole = 0 OR "+cond+"))", append([]any{c.Key}, args...)...)
	}
	return nil
}

// metricColumn is what a metric query counts or sums.
type metricColumn struct{ value, time string }

// metricViews are the tables of the views, with what time means for each.
var metricViews = map[trace.View]string{
	trace.ViewTraces:      "traces t",
	trace.ViewSpans:       "traces t JOIN spans s ON s.trace = t.number",
	trace.ViewAssessments: "assessments a JOIN traces t ON t.number = a.trace",
}

var metricColumns = map[trace.View]map[string]metricColumn{
	trace.ViewTraces: {"trace_count": {"1", "t.at"}, "session_count": {"t.session", "t.at"}, "latency": {"t.took / 1000", "t.at"},
		"input_tokens": {"t.input_tokens", "t.at"}, "output_tokens": {"t.output_tokens", "t.at"}, "total_tokens": {"t.total_tokens", "t.at"},
		"cache_read_input_tokens": {"t.cache_read", "t.at"}, "cache_creation_input_tokens": {"t.cache_write", "t.at"}},
	trace.ViewSpans: {"span_count": {"1", "t.at"}, "latency": {"CASE WHEN s.ended = 0 THEN NULL ELSE (s.ended - s.started) / 1000000 END", "t.at"},
		"input_cost": {"s.input_cost", "s.started / 1000"}, "output_cost": {"s.output_cost", "s.started / 1000"}, "total_cost": {"s.total_cost", "s.started / 1000"}},
	trace.ViewAssessments: {"assessment_count": {"1", "t.at"}, "assessment_value": {"a.number", "t.at"}},
}

// metricBuckets are the times that time buckets are made of.
var metricBuckets = map[trace.View]string{trace.ViewTraces: "t.at", trace.ViewSpans: "s.started / 1000", trace.ViewAssessments: "t.at"}

var metricDimensions = map[string]string{"trace_name": "t.name", "trace_status": "t.state", "span_name": "s.name", "span_type": "NULLIF(s.type, '')", "span_status": "s.status",
	"span_model_name": "s.model", "span_model_provider": "s.provider", "assessment_name": "a.name", "assessment_value": "a.value"}

// Metrics implements trace.Store.
func (s Trace) Metrics(ctx context.Context, q trace.MetricQuery) ([]trace.Group, error) {
	ts, err := s.newSearch(ctx, q.Experiments)
	if err != nil {
		return nil, err
	}
	column := metricColumns[q.View][q.Metric]
	if !q.From.IsZero() {
		ts.w.add(column.time+" >= ?", lastro.Micros(q.From))
	}
	if !q.To.IsZero() {
		ts.w.add(column.time+" < ?", lastro.Micros(q.To)+1000) // the whole last millisecond
	}
	if q.View == trace.ViewAssessments {
		ts.w.add("a.valid = 1")
	}
	for _, c := range q.Filters {
		if err := ts.metricFilter(q.View, c); err != nil {
			return nil, err
		}
	}
	if column.value != "1" {
		ts.w.add(column.value + " IS NOT NULL")
	}
	bucket := "-1"
	if q.Step > 0 {
		step := q.Step.Microseconds()
		bucket = fmt.Sprintf("%[1]s - %[1]s %% %[2]d", metricBuckets[q.View], step)
	}
	by := []string{bucket}
	for _, d := range q.Dimensions {
		ts.w.add(metricDimensions[d] + " IS NOT NULL")
		by = append(by, metricDimensions[d])
	}
	if q.Aggregations[0].Type == "COUNT" {
		return s.counts(ctx, q, ts.w, by, column.value)
	}
	return s.values(ctx, q, ts.w, by, column.value)
}

func (s *traceSearch) metricFilter(view trace.View, c trace.Clause) error {
	switch {
	case c.Field == trace.SpanField && view == trace.ViewSpans:
		s.w.add(map[string]string{"name": "s.name", "type": "s.type", "status": "s.status"}[c.Key]+" = ?", c.Text)
	case c.Field == trace.Feedback && view == trace.ViewAssessments:
		s.w.add(map[string]string{"name": "a.name", "type": "a.kind"}[c.Key]+" = ?", c.Text)
	case c.Field == trace.SpanField || c.Field == trace.Feedback:
		return lastro.Errorf(lastro.EInvalid, "metrics of %s cannot be filtered by a span or an assessment of another view", view)
	default:
		return s.clause(c)
	}
	return nil
}

// group reads the dimensions that begin a row.
func group(q trace.MetricQuery) (*trace.Group, []any) {
	g := &trace.Group{Dimensions: make([]string, len(q.Dimensions))}
	into := []any{&g.Bucket}
	for i := range g.Dimensions {
		into = append(into, &g.Dimensions[i])
	}
	return g, into
}

// counts counts in the database.
func (s Trace) counts(ctx context.Context, q trace.MetricQuery, w where, by []string, value string) ([]trace.Group, error) {
	count := "COUNT(*)"
	if q.Metric == "session_count" {
		count = "COUNT(DISTINCT " + value + ")"
	}
	numbers := make([]string, len(by))
	for i := range by {
		numbers[i] = fmt.Sprint(i + 1)
	}
	rows, err := s.db.Query(ctx, `SELECT `+strings.Join(by, ", ")+`, `+count+` FROM `+metricViews[q.View]+w.sql()+` GROUP BY `+strings.Join(numbers, ", "), w.args...)
	return collect(rows, err, func(r *sql.Rows) (trace.Group, error) {
		g, into := group(q)
		err := r.Scan(append(into, &g.Count)...)
		g.Bucket = toMillis(g.Bucket)
		return *g, err
	})
}

func toMillis(micros int64) int64 {
	if micros < 0 {
		return micros
	}
	return micros / 1000
}

// mostMeasured bounds what percentiles are computed from.
const mostMeasured = 5_000_000

// values reads the numbers themselves, sorted: percentiles need them.
func (s Trace) values(ctx context.Context, q trace.MetricQuery, w where, by []string, value string) ([]trace.Group, error) {
	numbers := make([]string, len(by)+1)
	for i := range numbers {
		numbers[i] = fmt.Sprint(i + 1)
	}
	rows, err := s.db.Query(ctx, `SELECT `+strings.Join(by, ", ")+`, `+value+` FROM `+metricViews[q.View]+w.sql()+` ORDER BY `+strings.Join(numbers, ", ")+` LIMIT ?`,
		append(w.args, mostMeasured)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []trace.Group
	for rows.Next() {
		g, into := group(q)
		v := math.NaN()
		if err := rows.Scan(append(into, &v)...); err != nil {
			return nil, err
		}
		g.Bucket = toMillis(g.Bucket)
		if n := len(out); n == 0 || out[n-1].Bucket != g.Bucket || strings.Join(out[n-1].Dimensions, "\x00") != strings.Join(g.Dimensions, "\x00") {
			out = append(out, *g)
		}
		last := &out[len(out)-1]
		last.Count++
		last.Values = append(last.Values, v)
	}
	return out, rows.Err()
}
