// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"encoding/json"

	"lastro"
)

// Plan is a pipeline resolved for one tree of files: which steps and cells
// there are, in which order, and what is known of their cache keys.
type Plan struct {
	Digest   lastro.Digest     `json:"digest"` // equal for equal work, whatever the cache holds
	Spec     Spec              `json:"spec"`   // with the params that were overridden
	Git      Git               `json:"git"`
	Event    map[string]any    `json:"event,omitempty"`
	Actor    lastro.Actor      `json:"actor"`
	Datasets []Dataset         `json:"datasets,omitempty"`
	Code     map[string]string `json:"code,omitempty"` // content of each code file by path
	Steps    []PlanStep        `json:"steps"`          // each after what it needs
	Options  RunOptions        `json:"options,omitzero"`

	shop  *Workshop
	kept  map[string]string // files of PlanOptions.Keep, as Code
	index map[string]int    // of Steps by name
}

// cell returns the plan of a cell, with its step; nil when there is none.
func (p *Plan) cell(step string, index int) (*PlanStep, *PlanCell) {
	i, ok := p.index[step]
	if !ok || index > len(p.Steps[i].Cells) {
		return nil, nil
	}
	return &p.Steps[i], &p.Steps[i].Cells[max(index, 1)-1]
}

// PlanStep is one step of a plan.
type PlanStep struct {
	Spec  StepSpec   `json:"spec"`
	Needs []string   `json:"needs,omitempty"` // direct dependencies, in the order of the plan
	Cells []PlanCell `json:"cells"`           // one without a matrix
}

// Outlook is what a plan says of a cell.
type Outlook string

// The outlooks.
const (
	Hit     Outlook = "hit"     // its outputs are known already
	Miss    Outlook = "miss"    // it will run
	Depends Outlook = "depends" // known once the steps before it have ended
	LeftOut Outlook = "skip"    // its if: does not hold
)

// PlanCell is a step, or one cell of its matrix, within a plan.
type PlanCell struct {
	Index   int            `json:"index"` // 0 = no matrix, else from 1
	Values  map[string]any `json:"values,omitempty"`
	Label   string         `json:"label,omitempty"` // "depth=4 rate=0.1"
	Outlook Outlook        `json:"outlook"`
	Why     string         `json:"why"`           // for people: the run it comes from, or what changed
	Key     lastro.Digest  `json:"key,omitempty"` // "" = not known yet

	spec        StepSpec // With resolved
	reads       []string // expressions over facts of earlier steps; the key waits for them
	needs       Needs
	inputs      []plannedInput
	ingredients map[string]string // all that is known
	symbolic    map[string]string // the same without what only a run can tell; part of Plan.Digest
	code        map[string]string // the files it may run, by path
	runtime     Runtime
	hit         *StepRun
	forced      string // why it runs even if cached; "" = it does not
}

// Count returns how many cells have the outlook.
func (p *Plan) Count(o Outlook) int {
	n := 0
	for _, s := range p.Steps {
		for _, c := range s.Cells {
			if c.Outlook == o {
				n++
			}
		}
	}
	return n
}

// allCached reports whether nothing is left to do.
func (p *Plan) allCached() bool {
	for _, s := range p.Steps {
		for _, c := range s.Cells {
			if c.Outlook != Hit {
				return false
			}
		}
	}
	return true
}

// plannedInput is an input of a cell: of a dataset (and then its version is
// known) or of another step.
type plannedInput struct {
	JobInput
	dataset *Dataset
	hidden  []string // columns that the step must not see
	back    *Dataset // a built-in left out its sensitive columns, and this step sees some of them
}

// PlanOptions are what a person or trigger asks of a run.
type PlanOptions struct {
	RunOptions
	Params map[string]any // overrides by dotted name: "max_depth", "model.depth"
	Git    Git
	Event  map[string]any // nil = {"kind": "person"}
	Actor  lastro.Actor
	Keep   []string // globs of files that are kept with the run besides its code: lastro.yaml, locks, contracts
}

// Facts are what the rules of a gate read of one run.
type Facts struct {
	Values    map[string]float64 // by whole name: metrics.auc, tests.total, steps.train.metrics.auc
	Ambiguous map[string]string  // names that several steps wrote, with a sentence that names them
	Reports   map[string]json.RawMessage
}
