// SPDX-License-Identifier: Apache-2.0

// Package fairness is the step kind lastro/fairness: it joins predictions with
// the dataset by key, so that sensitive columns reach no other step, and
// measures how the answers differ between groups. The join and the counts are
// the data engine's, rates and intervals come from stats; what a difference
// may be is a gate's rule.
package fairness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lastro"
	"lastro/data"
	"lastro/pipeline"
	"lastro/stats"
)

// version is part of the cache key; a change of meaning raises it.
const version = "lastro/fairness@1"

// defaultGroupSize is the least number of rows of a group whose rates are
// compared, when the file does not say.
const defaultGroupSize = 100

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
	Join         list    `json:"join"`       // default: the dataset's key
	Outcome      string  `json:"outcome"`    // column of the truth: 1 or true is good
	Prediction   string  `json:"prediction"` // column of the answer
	Favourable   scalar  `json:"favourable"` // the good answer
	Groups       []group `json:"groups"`
	MinGroupSize int     `json:"min_group_size,omitempty"`
}

// list is one name or several.
type list []string

// UnmarshalJSON reads "a" and ["a", "b"].
func (l *list) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = list{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// scalar is a text, number or boolean as text.
type scalar string

// UnmarshalJSON reads "approve", 1 and true.
func (s *scalar) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*s = scalar(text)
		return nil
	}
	if bytes.ContainsAny(b, "[{") || string(b) == "null" {
		return fmt.Errorf("%s is not a plain value", b)
	}
	*s = scalar(b)
	return nil
}

// group is a column, or {name: column, bins: [...]}.
type group data.GroupColumn

// UnmarshalJSON reads "sex" and {"age_band": "birth_date", "bins": [0, 25, 120]}.
func (g *group) UnmarshalJSON(b []byte) error {
	var column string
	if json.Unmarshal(b, &column) == nil {
		g.Name, g.Column = column, column
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	if raw, ok := fields["bins"]; ok {
		if err := json.Unmarshal(raw, &g.Bins); err != nil {
			return fmt.Errorf("bins: %w", err)
		}
		delete(fields, "bins")
	}
	if len(fields) != 1 {
		return fmt.Errorf("a group is a column, or {name: column, bins: [...]}, not %s", b)
	}
	for name, raw := range fields {
		g.Name = name
		if err := json.Unmarshal(raw, &g.Column); err != nil {
			return err
		}
	}
	return nil
}

func invalid(s pipeline.StepSpec, hint, format string, args ...any) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0330", Pos: s.Pos, Msg: fmt.Sprintf("step %q: ", s.Name) + fmt.Sprintf(format, args...), Hint: hint}
}

// people is the dataset that has the groups.
func (k *Kind) people(s pipeline.StepSpec) (data.Spec, bool) {
	for _, in := range s.Inputs {
		if in.Dataset != "" {
			return k.Datasets.Dataset(in.Dataset)
		}
	}
	return data.Spec{}, false
}

func (k *Kind) parse(s pipeline.StepSpec) (settings, error) {
	set := settings{MinGroupSize: defaultGroupSize}
	dec := json.NewDecoder(bytes.NewReader(s.With))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&set); err != nil {
		return set, invalid(s, "see docs/steps/fairness.md", "with: %v", strings.TrimPrefix(err.Error(), "json: "))
	}
	spec, ok := k.people(s)
	if !ok || len(s.Inputs) != 2 {
		return set, invalid(s, "inputs: [evaluate.predictions, census]", "lastro/fairness takes two inputs: predictions and the dataset that has the groups")
	}
	if len(set.Join) == 0 {
		set.Join = spec.Key
	}
	for _, want := range []struct{ key, value string }{{"outcome", set.Outcome}, {"prediction", set.Prediction}, {"favourable", string(set.Favourable)}} {
		if want.value == "" {
			return set, invalid(s, "see docs/steps/fairness.md", "with: needs %s", want.key)
		}
	}
	switch {
	case len(set.Join) == 0:
		return set, invalid(s, "join: person_id, or give the dataset a key", "with: needs join, the column that both inputs share")
	case len(set.Groups) == 0:
		return set, invalid(s, "groups: [sex]", "with: needs groups")
	case set.MinGroupSize < 1:
		return set, invalid(s, "", "with: min_group_size must be at least 1")
	}
	for _, g := range set.Groups {
		if !slices.IsSorted(g.Bins) || len(g.Bins) == 1 {
			return set, invalid(s, "bins: [0, 25, 40, 120]", "with: the bins of %s must be two numbers or more, ascending", g.Name)
		}
	}
	return set, nil
}

// Name returns lastro/fairness.
func (*Kind) Name() string { return "lastro/fairness" }

// Needs asks for the sensitive columns: this step is what they are kept for.
func (*Kind) Needs(pipeline.StepSpec) pipeline.Needs { return pipeline.Needs{Sensitive: true} }

// Ingredients are the settings and what the dataset's declaration adds.
func (k *Kind) Ingredients(_ context.Context, s pipeline.StepSpec) (any, error) {
	set, err := k.parse(s)
	if err != nil {
		return nil, err
	}
	spec, _ := k.people(s)
	return map[string]any{"kind": version, "with": set, "event_time": spec.EventTime}, nil
}

// Report is what pages and decisions show of the step.
type Report struct {
	Prediction string      `json:"prediction"`
	Favourable string      `json:"favourable"`
	Outcome    string      `json:"outcome"`
	MinRows    int         `json:"min_group_size"`
	Groups     []Attribute `json:"groups"` // in the order of the file
}

// Attribute is what the answers do to the groups of one column. Ungrouped are
// rows without a value of it, or outside every band.
type Attribute struct {
	Name      string `json:"name"`
	Column    string `json:"column"`
	Ungrouped int64  `json:"ungrouped,omitempty"`
	stats.Fairness
}

// Run joins, counts and measures.
func (k *Kind) Run(ctx context.Context, j *pipeline.Job) (pipeline.Result, error) {
	set, err := k.parse(j.Step)
	if err != nil {
		return pipeline.Result{}, err
	}
	spec, _ := k.people(j.Step)
	req := data.GroupCountsRequest{Join: set.Join, Outcome: set.Outcome, Prediction: set.Prediction, Favourable: string(set.Favourable), EventTime: spec.EventTime}
	for _, g := range set.Groups {
		req.Groups = append(req.Groups, data.GroupColumn(g))
	}
	for _, in := range j.Inputs {
		if in.Dataset != "" {
			req.Data = data.Files(j.Path(in.Path))
		} else {
			req.Predictions = data.Files(j.Path(in.Path))
		}
	}
	counts, err := k.Engine.GroupCounts(ctx, req)
	if err != nil {
		return pipeline.Result{}, placed(err, j.Step.Pos)
	}
	result := pipeline.Result{Facts: map[string]float64{}}
	out := Report{Prediction: set.Prediction, Favourable: string(set.Favourable), Outcome: set.Outcome, MinRows: set.MinGroupSize}
	for _, g := range set.Groups {
		a, err := measure(g, counts, set.MinGroupSize)
		if err != nil {
			return pipeline.Result{}, &lastro.Error{Code: lastro.EFailed, ID: "L0331", Pos: j.Step.Pos, Msg: fmt.Sprintf("step %q: groups of %s cannot be compared: %v", j.Step.Name, g.Name, err),
				Hint: fmt.Sprintf("two groups of at least %d rows are needed", set.MinGroupSize)}
		}
		a.facts(result.Facts)
		a.tell(j)
		out.Groups = append(out.Groups, a)
	}
	result.Report, err = json.Marshal(out)
	return result, err
}

// placed gives an error of the engine the step's place in lastro.yaml.
func placed(err error, pos lastro.Pos) error {
	var e *lastro.Error
	if errors.As(err, &e) && e.Pos == (lastro.Pos{}) {
		e.Pos = pos
	}
	return err
}

// measure turns the counts of one attribute into rates and gaps.
func measure(g group, counts []data.GroupCounts, minRows int) (Attribute, error) {
	a := Attribute{Name: g.Name, Column: g.Column}
	in := stats.FairnessInput{MinRows: minRows}
	for _, c := range counts {
		if c.Group != g.Name {
			continue
		}
		if c.Value == "" {
			a.Ungrouped += c.N()
			continue
		}
		for _, cell := range []struct {
			n                int64
			favourable, good bool
		}{{c.TP, true, true}, {c.FP, true, false}, {c.TN, false, false}, {c.FN, false, true}} {
			for range cell.n {
				in.Group, in.Favourable, in.GoodTruth = append(in.Group, c.Value), append(in.Favourable, cell.favourable), append(in.GoodTruth, cell.good)
			}
		}
	}
	var err error
	a.Fairness, err = stats.FairnessByGroup(in)
	return a, err
}

// facts adds what rules can read: fairness.sex.equal_opportunity.max_gap with
// its interval and ratio for every measure, and the ceiling of the selection
// ratio.
func (a Attribute) facts(into map[string]float64) {
	prefix := "fairness." + a.Name + "."
	for measure, gap := range a.Gaps {
		name := prefix + measure + ".max_gap"
		into[name], into[name+".ci_low"], into[name+".ci_high"] = gap.MaxGap.Value, gap.MaxGap.CILow, gap.MaxGap.CIHigh
		into[prefix+measure+".ratio"] = gap.Ratio
	}
	if a.RatioCeiling > 0 {
		into[prefix+"ratio_ceiling"] = a.RatioCeiling
	}
}

// tell writes the table of groups to the step's log.
func (a Attribute) tell(j *pipeline.Job) {
	fmt.Fprintf(j.Log, "%s\n", a.Name)
	for _, g := range a.Groups {
		note := ""
		if g.Excluded {
			note = "  (too few rows to compare)"
		}
		fmt.Fprintf(j.Log, "  %-28s %9s rows  good %5.1f%%  chosen %5.1f%%  true positives %5.1f%%  false positives %5.1f%%%s\n",
			g.Group, data.Thousands(int64(g.Rows)), 100*g.BaseRate.Value, 100*g.Selection.Value, 100*g.TPR.Value, 100*g.FPR.Value, note)
	}
	for _, measure := range sorted(a.Gaps) {
		gap := a.Gaps[measure]
		fmt.Fprintf(j.Log, "  %-28s gap %.3f [%.3f, %.3f]  %s over %s\n", measure, gap.MaxGap.Value, gap.MaxGap.CILow, gap.MaxGap.CIHigh, gap.Highest, gap.Lowest)
	}
	if a.RatioCeiling > 0 {
		fmt.Fprintf(j.Log, "  a perfect classifier would choose at a ratio of %.2f\n", a.RatioCeiling)
	}
	if a.Ungrouped > 0 {
		fmt.Fprintf(j.Log, "  in no group: %s rows\n", data.Thousands(a.Ungrouped))
	}
}

func sorted(gaps map[string]stats.Gap) []string {
	var out []string
	for name := range gaps {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
