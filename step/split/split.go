// SPDX-License-Identifier: Apache-2.0

// Package split is the step kind lastro/split: it cuts a dataset into training,
// test and validation files by time or at random, without sensitive columns,
// and refuses a split that leaks. The cutting is the data engine's.
package split

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/data"
	"lastro/pipeline"
)

// version is part of the cache key; a change of meaning raises it.
const version = "lastro/split@1"

// Datasets tells what the project declares of a dataset.
type Datasets interface {
	// Dataset returns the declaration; ok is false for an unknown name.
	Dataset(name string) (spec data.Spec, ok bool)
}

// Kind implements pipeline.Kind.
type Kind struct {
	Engine   data.Engine
	Datasets Datasets
}

var _ pipeline.Kind = (*Kind)(nil)

// settings are what `with:` holds.
type settings struct {
	By         string   `json:"by"`                  // time, random or group
	Column     string   `json:"column,omitempty"`    // by time: default the dataset's event_time; by group: whose rows stay together
	Window     string   `json:"window,omitempty"`    // by time: only the newest rows, such as 90d
	Test       share    `json:"test,omitempty"`      // "last 20%", "25%" or 0.25
	TestFrom   string   `json:"test_from,omitempty"` // by time, instead of test: the first moment of the test rows
	Validation share    `json:"validation,omitempty"`
	Stratify   string   `json:"stratify,omitempty"` // random
	Seed       whole    `json:"seed,omitempty"`     // random
	NoOverlap  []string `json:"no_overlap,omitempty"`
}

// share is a part of the rows, 0 to 1, spelled "last 20%", "20%" or 0.2.
type share float64

// UnmarshalJSON reads the spellings.
func (s *share) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	text = strings.TrimSpace(strings.TrimPrefix(text, "last "))
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v > 0 && v < 1) {
		return fmt.Errorf("%s is not a share of the rows: write 20%% or last 20%%", b)
	}
	*s = share(v)
	return nil
}

// whole is a whole number that may come as text, from ${{ params.seed }}.
type whole int64

// UnmarshalJSON reads 42 and "42".
func (w *whole) UnmarshalJSON(b []byte) error {
	v, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	if err != nil {
		return fmt.Errorf("%s is not a whole number", b)
	}
	*w = whole(v)
	return nil
}

func invalid(s pipeline.StepSpec, hint, format string, args ...any) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0320", Pos: s.Pos, Msg: fmt.Sprintf("step %q: ", s.Name) + fmt.Sprintf(format, args...), Hint: hint}
}

// source is the dataset or the table that is split.
func (k *Kind) source(s pipeline.StepSpec) data.Spec {
	for _, in := range s.Inputs {
		if in.Dataset != "" {
			if spec, ok := k.Datasets.Dataset(in.Dataset); ok {
				return spec
			}
		}
	}
	return data.Spec{}
}

func (k *Kind) parse(s pipeline.StepSpec) (settings, error) {
	var set settings
	dec := json.NewDecoder(bytes.NewReader(s.With))
	dec.DisallowUnknownFields()
	if len(s.With) > 0 {
		if err := dec.Decode(&set); err != nil {
			return set, invalid(s, "see docs/steps/split.md", "with: %v", strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	if len(s.Inputs) != 1 {
		return set, invalid(s, "", "lastro/split takes one input, not %d", len(s.Inputs))
	}
	if set.By == "time" && set.Column == "" {
		set.Column = k.source(s).EventTime
	}
	return set, set.check(s)
}

func (set settings) check(s pipeline.StepSpec) error {
	byTime, byGroup := set.By == "time", set.By == "group"
	switch {
	case !byTime && !byGroup && set.By != "random":
		return invalid(s, "by: time, by: random or by: group", "with: by is %q", set.By)
	case byGroup && set.Column == "":
		return invalid(s, "such as column: customer_id", "with: a split by group needs column")
	case byGroup && set.Stratify != "":
		return invalid(s, "a group goes to one side as a whole", "with: stratify belongs to by: random")
	case byTime && set.Column == "":
		return invalid(s, "name the column of the event time", "with: a split by time needs column")
	case byTime && (set.Stratify != "" || set.Seed != 0):
		return invalid(s, "", "with: stratify and seed belong to by: random")
	case !byTime && (!byGroup && set.Column != "" || set.Window != "" || set.TestFrom != ""):
		return invalid(s, "", "with: column, window and test_from belong to by: time")
	case set.Test == 0 && set.TestFrom == "":
		return invalid(s, "such as test: last 20%", "with: which rows are the test?")
	case set.Test != 0 && set.TestFrom != "":
		return invalid(s, "", "with: write test or test_from, not both")
	case set.Test+set.Validation >= 1:
		return invalid(s, "", "with: test and validation leave nothing to train on")
	}
	if set.Window != "" {
		if _, err := data.ParseDuration(set.Window); err != nil {
			return invalid(s, "write 90d", "with: window %q is not a span of time", set.Window)
		}
	}
	for _, o := range s.Outputs {
		if !slices.Contains([]string{"train", "test", "valid"}, o.Name) {
			return invalid(s, "a split writes train, test and valid", "there is no output %q", o.Name)
		}
	}
	names := func(name string) bool {
		return slices.ContainsFunc(s.Outputs, func(o pipeline.Output) bool { return o.Name == name })
	}
	switch {
	case !names("train") || !names("test"):
		return invalid(s, "outputs: {train: work/train.parquet, test: work/test.parquet}", "the outputs train and test are wanted")
	case names("valid") != (set.Validation > 0):
		return invalid(s, "", "with: validation and the output valid belong together")
	}
	return nil
}

// Name returns lastro/split.
func (*Kind) Name() string { return "lastro/split" }

// Needs asks for the whole rows: a sensitive column may stratify or must not
// overlap. None of them is written.
func (*Kind) Needs(pipeline.StepSpec) pipeline.Needs { return pipeline.Needs{Sensitive: true} }

// Ingredients are the settings and what the dataset's declaration adds.
func (k *Kind) Ingredients(_ context.Context, s pipeline.StepSpec) (any, error) {
	set, err := k.parse(s)
	if err != nil {
		return nil, err
	}
	spec := k.source(s)
	return map[string]any{"kind": version, "with": set, "key": spec.Key, "sensitive": spec.Sensitive}, nil
}

// report is what pages show.
type report struct {
	By        string           `json:"by"`
	NoOverlap []string         `json:"no_overlap,omitempty"` // held
	Left      []string         `json:"left_out,omitempty"`   // sensitive columns
	Result    data.SplitResult `json:"result"`
}

// Run splits the input.
func (k *Kind) Run(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
	set, err := k.parse(j.Step)
	if err != nil {
		return pipeline.Result{}, err
	}
	spec := k.source(j.Step)
	req := data.SplitRequest{Table: data.Files(j.Path(j.Inputs[0].Path)), By: set.By, Column: set.Column, TestFrom: set.TestFrom,
		TestShare: float64(set.Test), ValidShare: float64(set.Validation), Stratify: set.Stratify, Seed: int64(set.Seed),
		Key: spec.Key, NoOverlap: set.NoOverlap, Drop: spec.Sensitive}
	if set.By == "group" { // at random, and no value of the column is on two sides
		req.By, req.Column = "random", ""
		if !slices.Contains(req.NoOverlap, set.Column) {
			req.NoOverlap = append(slices.Clone(req.NoOverlap), set.Column)
		}
	}
	if set.Window != "" {
		if req.Window, err = data.ParseDuration(set.Window); err != nil {
			return pipeline.Result{}, err
		}
	}
	for name, to := range map[string]*string{"train": &req.Train, "test": &req.Test, "valid": &req.Valid} {
		if o, ok := j.Output(name); ok {
			*to = j.Path(o.Path)
		}
	}
	result, err := k.Engine.Split(ctx, req)
	if err != nil {
		return pipeline.Result{}, placed(err, j.Step.Pos)
	}
	for _, w := range []*data.Written{&result.Train, &result.Test, &result.Valid} {
		w.Path = "" // where the workspace was is nobody's business later
	}
	set.NoOverlap = req.NoOverlap
	tell(j, set, spec, result)
	raw, err := json.Marshal(report{By: set.By, NoOverlap: set.NoOverlap, Left: spec.Sensitive, Result: result})
	return pipeline.Result{Report: raw}, err
}

// placed gives an error of the engine the step's place in lastro.yaml.
func placed(err error, pos lastro.Pos) error {
	var e *lastro.Error
	if errors.As(err, &e) && e.Pos == (lastro.Pos{}) {
		e.Pos = pos
	}
	return err
}

// tell writes what was done to the step's log.
func tell(j *pipeline.Job, set settings, spec data.Spec, r data.SplitResult) {
	span := func(from, to string) string {
		if from == "" {
			return ""
		}
		return "  " + from + " to " + to
	}
	fmt.Fprintf(j.Log, "train  %s rows%s\n", data.Thousands(r.Train.Rows), span(r.TrainFrom, r.TrainTo))
	if set.Validation > 0 {
		fmt.Fprintf(j.Log, "valid  %s rows\n", data.Thousands(r.Valid.Rows))
	}
	fmt.Fprintf(j.Log, "test   %s rows%s\n", data.Thousands(r.Test.Rows), span(r.TestFrom, r.TestTo))
	if r.Outside > 0 {
		fmt.Fprintf(j.Log, "older than the window of %s: %s rows\n", set.Window, data.Thousands(r.Outside))
	}
	if r.NoTime > 0 {
		fmt.Fprintf(j.Log, "without a time, in no part: %s rows\n", data.Thousands(r.NoTime))
	}
	if len(set.NoOverlap) > 0 {
		fmt.Fprintf(j.Log, "no value of %s is on two sides\n", strings.Join(set.NoOverlap, ", "))
	}
	if len(spec.Sensitive) > 0 {
		fmt.Fprintf(j.Log, "left out, sensitive: %s\n", strings.Join(spec.Sensitive, ", "))
	}
}
