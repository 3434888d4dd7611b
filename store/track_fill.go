// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"lastro"
	"lastro/track"
)

// fillRuns adds params, latest metrics, tags, inputs and outputs: what a page of
// a search shows, a statement a table and 500 runs. Names come from memory and
// are put in order here, which costs half of what a join and a sort do.
func (s Track) fillRuns(ctx context.Context, list []storedRun) error {
	byNumber := make(map[int64]*track.Run, len(list))
	numbers := make([]int64, len(list))
	for i := range list {
		r := &list[i]
		r.Tags = map[string]string{}
		numbers[i], byNumber[r.number] = r.number, &r.Run
	}
	err := errors.Join(
		s.eachPair(ctx, "tracked_params", numbers, func(run int64, key, value string) {
			r := byNumber[run]
			r.Params = append(r.Params, track.Param{Key: key, Value: value})
		}),
		s.eachPair(ctx, "tracked_tags", numbers, func(run int64, key, value string) { byNumber[run].Tags[key] = value }),
		s.fillMetrics(ctx, numbers, byNumber), s.fillInputs(ctx, numbers, byNumber), s.fillModels(ctx, numbers, byNumber))
	for i := range list {
		slices.SortFunc(list[i].Params, func(a, b track.Param) int { return cmp.Compare(a.Key, b.Key) })
		slices.SortFunc(list[i].Metrics, func(a, b track.Metric) int { return cmp.Compare(a.Key, b.Key) })
	}
	return err
}

func (s Track) eachPair(ctx context.Context, table string, runs []int64, fn func(run int64, key, value string)) error {
	type pairOf struct {
		run, key int64
		value    string
	}
	found := make([]pairOf, 0, 8*len(runs))
	names := s.keyNames()
	err := s.lookUp(ctx, "SELECT t.run, t.key, t.value FROM "+table+" t WHERE t.run IN (%s)", runs, nil, 3, func(v []any) error {
		p := pairOf{v[0].(int64), v[1].(int64), textOfValue(v[2])}
		names.want(p.key)
		found = append(found, p)
		return nil
	})
	if err != nil {
		return err
	}
	if err := names.read(ctx); err != nil {
		return err
	}
	for _, p := range found {
		fn(p.run, names.known[p.key], p.value)
	}
	return nil
}

func (s Track) fillMetrics(ctx context.Context, runs []int64, byNumber map[int64]*track.Run) error {
	type metricOf struct {
		run, key int64
		track.Metric
	}
	found := make([]metricOf, 0, 8*len(runs))
	names := s.keyNames()
	query := "SELECT t.run, t.key, t.at, t.step, t.value, t.is_nan, t.model, t.dataset_name, t.dataset_digest FROM latest_metrics t WHERE t.run IN (%s)"
	err := s.lookUp(ctx, query, runs, nil, 9, func(v []any) error {
		m := metricOf{v[0].(int64), v[1].(int64), track.Metric{At: lastro.FromMicros(v[2].(int64)), Step: v[3].(int64), Value: v[4].(float64),
			LoggedModel: textOfValue(v[6]), DatasetName: textOfValue(v[7]), DatasetDigest: textOfValue(v[8])}}
		if v[5].(int64) != 0 {
			m.Value = math.NaN()
		}
		names.want(m.key)
		found = append(found, m)
		return nil
	})
	if err != nil {
		return err
	}
	if err := names.read(ctx); err != nil {
		return err
	}
	for _, m := range found {
		m.Key = names.known[m.key]
		r := byNumber[m.run]
		r.Metrics = append(r.Metrics, m.Metric)
	}
	return nil
}

func textOfValue(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return v.(string)
}

// keyNames are the names of some keys.
type keyNames struct {
	track   Track
	known   map[int64]string
	missing []int64
}

func (s Track) keyNames() *keyNames { return &keyNames{track: s, known: map[int64]string{}} }

// want asks for the name of a number.
func (k *keyNames) want(number int64) {
	if _, ok := k.known[number]; ok {
		return
	}
	c := &k.track.db.keys
	c.mu.RLock()
	name, ok := c.names[number]
	c.mu.RUnlock()
	if k.known[number] = name; !ok {
		k.missing = append(k.missing, number)
	}
}

// read reads the names that are not in memory yet.
func (k *keyNames) read(ctx context.Context) error {
	fresh := map[string]int64{}
	err := k.track.lookUp(ctx, "SELECT t.number, t.key FROM tracked_keys t WHERE t.number IN (%s)", k.missing, nil, 2, func(v []any) error {
		n, name := v[0].(int64), textOfValue(v[1])
		k.known[n], fresh[name] = name, n
		return nil
	})
	k.missing = nil
	if err == nil && len(fresh) > 0 {
		k.track.db.keys.put(fresh)
	}
	return err
}

// lookUp runs a query for runs or other numbers (%s), as many at once as a
// statement takes, and calls scan with the values of each row; they change with
// the next row.
func (s Track) lookUp(ctx context.Context, query string, numbers []int64, args []any, columns int, scan func([]any) error) error {
	for len(numbers) > 0 {
		n := min(len(numbers), lookUpAtOnce)
		if err := s.values(ctx, fmt.Sprintf(query, marks(paddedTo(n))), append(padded(numbers[:n]), args...), columns, scan); err != nil {
			return err
		}
		numbers = numbers[n:]
	}
	return nil
}

// values calls scan with the values of every row of a query, as the driver has
// them: int64, float64, string, nil. It takes a third less time than to scan
// into variables. A statement of SQLite is not watched for the end of the
// context, which takes as long again; between statements the end counts.
func (s Track) values(ctx context.Context, query string, args []any, columns int, scan func([]any) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.db.dialect == sqliteDialect {
		ctx = context.WithoutCancel(ctx)
	}
	rows, err := s.db.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	values, into := make([]any, columns), make([]any, columns)
	for i := range into {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := scan(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanMetric reads an owner and a metric.
func scanMetric(r interface{ Scan(...any) error }, owner any) (m track.Metric, err error) {
	var at int64
	var nan bool
	err = r.Scan(owner, &m.Key, &at, &m.Step, &m.Value, &nan, &m.LoggedModel, &m.DatasetName, &m.DatasetDigest)
	m.At = lastro.FromMicros(at)
	if nan {
		m.Value = math.NaN()
	}
	return m, err
}

func (s Track) fillInputs(ctx context.Context, runs []int64, byNumber map[int64]*track.Run) error {
	q := `SELECT run, name, digest, source_type, source, schema_json, profile, tags FROM tracked_inputs WHERE run IN (%s) ORDER BY run, name, digest`
	return s.db.eachOf(ctx, q, anys(runs), func(r *sql.Rows) error {
		var run int64
		var tags string
		var in track.Input
		if err := r.Scan(&run, &in.Name, &in.Digest, &in.SourceType, &in.Source, &in.Schema, &in.Profile, &tags); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(tags), &in.Tags); err != nil {
			return fmt.Errorf("tags of input %s of %s: %w", in.Name, byNumber[run].ID, err)
		}
		byNumber[run].Inputs = append(byNumber[run].Inputs, in)
		return nil
	})
}

func (s Track) fillModels(ctx context.Context, runs []int64, byNumber map[int64]*track.Run) error {
	q := `SELECT run, direction, model, step FROM tracked_models WHERE run IN (%s) ORDER BY run, direction, step, model`
	return s.db.eachOf(ctx, q, anys(runs), func(r *sql.Rows) error {
		var number int64
		var direction string
		var out track.ModelOutput
		if err := r.Scan(&number, &direction, &out.ModelID, &out.Step); err != nil {
			return err
		}
		if run := byNumber[number]; direction == "in" {
			run.ModelInputs = append(run.ModelInputs, out.ModelID)
		} else {
			run.ModelOutputs = append(run.ModelOutputs, out)
		}
		return nil
	})
}
