// SPDX-License-Identifier: Apache-2.0

// Package compare is the step kind lastro/compare: it scores the candidate and
// the champion on the same rows and says how much better or worse the
// candidate is, with a paired bootstrap interval. What a difference must be to
// pass is a gate's rule.
package compare

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"lastro"
	"lastro/pipeline"
	"lastro/stats"
)

// version is part of the cache key; a change of meaning raises it.
const version = "lastro/compare@1"

//go:embed score.py
var scoreScript []byte

// Champion is the version that a candidate is compared with.
type Champion struct {
	Ref    lastro.Ref
	Digest lastro.Digest // of its model folder
}

// Champions finds and unpacks the version to compare with.
type Champions interface {
	// Champion returns the version that holds the alias now; ok is false when
	// there is none yet.
	Champion(ctx context.Context, alias string) (c Champion, ok bool, err error)
	// Unpack writes its model folder to dir, which must not exist.
	Unpack(ctx context.Context, c Champion, dir string) error
}

// Runner runs one program for a job, as the step's own command would be.
type Runner interface {
	RunTask(ctx context.Context, j *pipeline.Job, argv []string) (pipeline.Result, error)
}

// Kind implements pipeline.Kind.
type Kind struct {
	Champions Champions
	Runner    Runner
}

// settings are what `with:` holds.
type settings struct {
	Against   string   `json:"against"`   // alias; default champion
	Target    string   `json:"target"`    // column of the truth
	Metrics   []string `json:"metrics"`   // of stats.Metrics; default auc
	Bootstrap int      `json:"bootstrap"` // resamples; default 1,000
}

func parse(s pipeline.StepSpec) (settings, error) {
	out := settings{Against: "champion", Metrics: []string{"auc"}, Bootstrap: 1000}
	dec := json.NewDecoder(bytes.NewReader(s.With))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&out); err != nil {
		return out, &lastro.Error{Code: lastro.EInvalid, ID: "L0310", Pos: s.Pos, Msg: fmt.Sprintf("step %q: with: %v", s.Name, strings.TrimPrefix(err.Error(), "json: ")),
			Hint: "see docs/steps/compare.md"}
	}
	if out.Target == "" {
		return out, &lastro.Error{Code: lastro.EInvalid, ID: "L0310", Pos: s.Pos, Msg: fmt.Sprintf("step %q: with: needs target, the column of the truth", s.Name)}
	}
	for _, m := range out.Metrics {
		if _, ok := stats.LookupMetric(m); !ok {
			return out, &lastro.Error{Code: lastro.EInvalid, ID: "L0311", Pos: s.Pos, Msg: fmt.Sprintf("step %q: %q is not a metric", s.Name, m), Hint: "see docs/steps/compare.md for the list"}
		}
	}
	return out, nil
}

// Name returns lastro/compare.
func (*Kind) Name() string { return "lastro/compare" }

// Needs asks for the runtime that the models were trained in.
func (*Kind) Needs(pipeline.StepSpec) pipeline.Needs { return pipeline.Needs{Python: true} }

// Ingredients names the champion: another one asks for another comparison.
func (k *Kind) Ingredients(ctx context.Context, s pipeline.StepSpec) (any, error) {
	set, err := parse(s)
	if err != nil {
		return nil, err
	}
	c, _, err := k.Champions.Champion(ctx, set.Against)
	if err != nil {
		return nil, err
	}
	return map[string]any{"kind": version, "with": set, "against": c.Digest}, nil
}

// report is what pages show.
type report struct {
	Against     lastro.Ref         `json:"against,omitempty"`
	First       bool               `json:"first,omitempty"` // there was nothing to compare with
	Comparisons []stats.Comparison `json:"comparisons,omitempty"`
}

// Run scores both models in one Python process and bootstraps the differences.
func (k *Kind) Run(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
	set, err := parse(j.Step)
	if err != nil {
		return pipeline.Result{}, err
	}
	champion, ok, err := k.Champions.Champion(ctx, set.Against)
	if err != nil {
		return pipeline.Result{}, err
	}
	if !ok {
		fmt.Fprintf(j.Log, "no %s yet: nothing to compare with\n", set.Against)
		raw, err := json.Marshal(report{First: true})
		return pipeline.Result{Report: raw}, err
	}
	model, table, err := inputs(j)
	if err != nil {
		return pipeline.Result{}, err
	}
	result, rows, err := k.score(ctx, j, set, champion, model, table)
	if err != nil {
		return pipeline.Result{}, err
	}
	comparisons, err := stats.PairedBootstrap(rows[0], rows[1], rows[2], set.Metrics, set.Bootstrap, 1)
	if err != nil {
		return pipeline.Result{}, &lastro.Error{Code: lastro.EFailed, ID: "L0312", Msg: fmt.Sprintf("step %q: %v", j.Step.Name, err),
			Hint: "the rows must hold both classes, and enough of them"}
	}
	result.Facts = map[string]float64{}
	for _, c := range comparisons {
		name := "compare." + c.Metric
		result.Facts[name+".diff"], result.Facts[name+".diff_ci_low"], result.Facts[name+".diff_ci_high"] = c.Diff.Value, c.Diff.CILow, c.Diff.CIHigh
		result.Facts[name+".candidate"], result.Facts[name+".champion"] = c.Candidate, c.Champion
		fmt.Fprintf(j.Log, "%-8s candidate %.4f  %s %.4f  difference %+.4f [%+.4f, %+.4f] on %d rows\n",
			c.Metric, c.Candidate, champion.Ref, c.Champion, c.Diff.Value, c.Diff.CILow, c.Diff.CIHigh, c.Rows)
	}
	result.Report, err = json.Marshal(report{Against: champion.Ref, Comparisons: comparisons})
	return result, err
}

// inputs tells the model's folder from the table of rows.
func inputs(j *pipeline.Job) (model, table string, err error) {
	for _, in := range j.Inputs {
		path := j.Path(in.Path)
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			model = path
		} else {
			table = path
		}
	}
	if model == "" || table == "" {
		return "", "", &lastro.Error{Code: lastro.EInvalid, ID: "L0313", Pos: j.Step.Pos,
			Msg: fmt.Sprintf("step %q needs two inputs: the folder of a model and a table of rows", j.Step.Name), Hint: "inputs: [train.model, split.test]"}
	}
	return model, table, nil
}

// score returns truth, the candidate's and the champion's scores, row by row.
func (k *Kind) score(ctx context.Context, j *pipeline.Job, set settings, c Champion, model, table string) (pipeline.Result, [3][]float64, error) {
	var rows [3][]float64
	script, out := filepath.Join(j.Scratch, "score.py"), filepath.Join(j.Scratch, "scores.csv")
	if err := os.WriteFile(script, scoreScript, 0o600); err != nil {
		return pipeline.Result{}, rows, err
	}
	before := filepath.Join(j.Scratch, "champion")
	if err := k.Champions.Unpack(ctx, c, before); err != nil {
		return pipeline.Result{}, rows, err
	}
	result, err := k.Runner.RunTask(ctx, j, []string{"python", script, table, set.Target, out, "candidate=" + model, "champion=" + before})
	if err != nil {
		return result, rows, err
	}
	rows, err = readScores(out)
	return result, rows, err
}

func readScores(name string) (rows [3][]float64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return rows, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.ReuseRecord = true
	if _, err := r.Read(); err != nil {
		return rows, fmt.Errorf("read scores: %w", err)
	}
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, fmt.Errorf("read scores: %w", err)
		}
		for i := range rows {
			v, err := strconv.ParseFloat(record[i], 64)
			if err != nil {
				return rows, fmt.Errorf("read scores: %w", err)
			}
			rows[i] = append(rows[i], v)
		}
	}
}
