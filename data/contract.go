// SPDX-License-Identifier: Apache-2.0

package data

import "lastro"

// Contract is an ODCS 3.1 data contract, reduced to what is checked and shown.
// It describes exactly one table.
type Contract struct {
	ID          string        `json:"id"`
	Version     string        `json:"version"`
	Status      string        `json:"status"`
	Object      string        `json:"object"` // the table's name, for {object} in SQL rules
	Description string        `json:"description,omitempty"`
	Properties  []Property    `json:"properties"` // in the order of the file
	Rules       []Rule        `json:"rules"`      // table rules, then those of each property
	Digest      lastro.Digest `json:"digest"`     // of the file's bytes
	File        string        `json:"file"`
}

// Property is one column that the contract describes. Columns that it does
// not describe are allowed.
type Property struct {
	Name       string `json:"name"` // the column: physicalName when given, else name
	Required   bool   `json:"required,omitempty"`
	Unique     bool   `json:"unique,omitempty"`
	PrimaryKey bool   `json:"primary_key,omitempty"`
	KeyPos     int    `json:"key_pos,omitempty"` // order within a key of several columns

	Logical          string     `json:"logical,omitempty"` // "" = any type
	MinLength        *int64     `json:"min_length,omitempty"`
	MaxLength        *int64     `json:"max_length,omitempty"`
	Pattern          string     `json:"pattern,omitempty"` // a match anywhere in the value counts, as in ECMA-262
	Minimum          *Bound     `json:"minimum,omitempty"`
	Maximum          *Bound     `json:"maximum,omitempty"`
	ExclusiveMinimum *Bound     `json:"exclusive_minimum,omitempty"`
	ExclusiveMaximum *Bound     `json:"exclusive_maximum,omitempty"`
	Physical         string     `json:"physical,omitempty"` // physicalType: shown, not checked on files
	Classification   string     `json:"classification,omitempty"`
	Pos              lastro.Pos `json:"pos,omitzero"`
}

// Bound is an end of a range: a number, or a date or time as ISO text.
type Bound struct {
	Number float64 `json:"number"`
	Text   string  `json:"text,omitempty"` // set for dates and times
}

// Rule is one entry of a quality list.
type Rule struct {
	Name        string     `json:"name"`             // the rule's own, or made of column and metric; unique in the contract
	Column      string     `json:"column,omitempty"` // "" = the table
	Type        string     `json:"type"`             // library, sql or text
	Metric      string     `json:"metric,omitempty"` // library: rowCount, nullValues, missingValues, invalidValues, duplicateValues
	ValidValues []string   `json:"valid_values,omitempty"`
	HasValid    bool       `json:"has_valid,omitempty"` // tells an empty list from none
	Missing     []string   `json:"missing,omitempty"`   // missingValues: texts that count as missing beside null
	Pattern     string     `json:"pattern,omitempty"`   // invalidValues
	MinLength   *int64     `json:"min_length,omitempty"`
	MaxLength   *int64     `json:"max_length,omitempty"`
	Minimum     *Bound     `json:"minimum,omitempty"`
	Maximum     *Bound     `json:"maximum,omitempty"`
	Columns     []string   `json:"columns,omitempty"` // duplicateValues of several columns
	Query       string     `json:"query,omitempty"`   // sql
	Operator    string     `json:"operator,omitempty"`
	Operands    []float64  `json:"operands,omitempty"` // one, or two for between
	Percent     bool       `json:"percent,omitempty"`  // unit: the value is a share of rows, 0 to 100
	Severity    string     `json:"severity,omitempty"` // error (default), warning, info
	Dimension   string     `json:"dimension,omitempty"`
	Description string     `json:"description,omitempty"`
	Pos         lastro.Pos `json:"pos,omitzero"`
}

// ParseContract reads an ODCS 3.1 file. What lastro does not check it refuses
// by name with EUnsupported (never skipped); what is wrong is EInvalid. All
// problems come at once, as lastro.Problems with their places. Rules of type
// text are kept to be shown.
func ParseContract(file string, text []byte) (*Contract, error) { return parseContract(file, text) }

// Checks lists what the contract asks for, in the order in which they are
// reported: presence, type and options of each property, then keys, then
// rules.
func (c *Contract) Checks() []CheckSpec { return c.checks() }
