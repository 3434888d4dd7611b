// SPDX-License-Identifier: Apache-2.0

package data

import (
	"context"
	"time"

	"lastro"
)

// CheckSpec is one check that an engine evaluates.
type CheckSpec struct {
	Name   string     `json:"name"`             // "carrier.required", "rowCount", the rule's own name
	Column string     `json:"column,omitempty"` // "" = the table
	Rule   string     `json:"rule"`             // present, type, required, unique, primaryKey, minLength, maxLength, pattern, minimum, maximum, exclusiveMinimum, exclusiveMaximum, a metric, sql or text
	Prop   *Property  `json:"prop,omitempty"`   // of checks that come from a property
	Lib    *Rule      `json:"lib,omitempty"`    // of checks that come from a quality list
	Keys   []string   `json:"keys,omitempty"`   // primaryKey
	Pos    lastro.Pos `json:"pos,omitzero"`
}

// CheckRequest asks for a contract on a table.
type CheckRequest struct {
	Dataset   string        `json:"dataset"`
	Version   lastro.Digest `json:"version,omitempty"`
	Table     Table         `json:"table"`
	Contract  *Contract     `json:"contract"`
	Sensitive []string      `json:"sensitive,omitempty"` // columns whose values never appear in the report
	// MaxBad bounds the bad values listed for a check; 0 = 10. Propose needs
	// all of them.
	MaxBad int `json:"max_bad,omitempty"`
}

// Report is the outcome of a contract on one version of a dataset.
type Report struct {
	Dataset  string        `json:"dataset"`
	Version  lastro.Digest `json:"version,omitempty"`
	Contract lastro.Digest `json:"contract"`
	Key      lastro.Digest `json:"key"` // CheckKey of the request
	File     string        `json:"file"`
	Rows     int64         `json:"rows"`
	Columns  int           `json:"columns"`
	At       time.Time     `json:"at"`
	Seconds  float64       `json:"seconds"`
	Checks   []Check       `json:"checks"`
}

// Check is one rule evaluated on a version.
type Check struct {
	Name      string       `json:"name"`
	Column    string       `json:"column,omitempty"`
	Rule      string       `json:"rule"`
	Status    string       `json:"status"` // passed, failed, warned (failed, but its severity is warning or info), shown (text: not run)
	Passed    bool         `json:"passed"` // false only for failed
	Value     float64      `json:"value"`  // what was measured: bad rows, or the metric's value
	Threshold string       `json:"threshold"`
	Percent   bool         `json:"percent,omitempty"` // Value is 0 to 100
	Rows      int64        `json:"rows"`              // rows that break the rule, where rows can be counted
	Bad       []ValueCount `json:"bad,omitempty"`     // most frequent first; a long text is cut at 200 characters
	MoreBad   int64        `json:"more_bad,omitempty"`
	Hidden    bool         `json:"hidden,omitempty"` // sensitive column: Bad is withheld
	Min       string       `json:"min,omitempty"`    // least and greatest value seen, for range checks
	Max       string       `json:"max,omitempty"`
	Seen      string       `json:"seen,omitempty"` // type checks: the logical type of the column
	Message   string       `json:"message"`        // one sentence for people
	Severity  string       `json:"severity,omitempty"`
	Pos       lastro.Pos   `json:"pos,omitzero"` // in the contract
}

// The statuses of a check.
const (
	Passed = "passed"
	Failed = "failed"
	Warned = "warned"
	Shown  = "shown"
)

// Failed lists the checks that failed.
func (r Report) Failed() []Check { return r.with(Failed) }

// Facts returns data.D.checks.total and .failed; checks that are only shown
// do not count.
func (r Report) Facts() map[string]float64 { return r.facts() }

// Err is nil when no check failed, else an EFailed that names the checks,
// the rows counted, the first bad values and what to do.
func (r Report) Err() error { return r.err() }

// CheckKey names everything besides the data that a report depends on: the
// contract's bytes, the sensitive columns and the rules' meaning.
func CheckKey(contract lastro.Digest, sensitive []string) lastro.Digest {
	return checkKey(contract, sensitive)
}

// Checker gives each version one report per contract.
type Checker struct {
	Store  Store
	Engine Engine // used only when the store has no report
	Clock  lastro.Clock
}

// Ensure returns the report of v under the contract, from the store when it
// has one (the engine is not started then), else by checking now and keeping
// the outcome. The version's row count is stored with it. The error is not
// about failed checks: ask Report.Err.
func (c *Checker) Ensure(ctx context.Context, v Version, t Table, contract *Contract, sensitive []string, actor lastro.Actor) (Report, error) {
	return c.ensure(ctx, v, t, contract, sensitive, actor)
}
