// SPDX-License-Identifier: Apache-2.0

package data

import (
	"context"
	"time"
)

// Engine computes on data files. Every method reads the listed files only,
// answers the same bytes and numbers for the same input, and is safe for
// concurrent use. An engine that dies or runs out of memory answers with
// EErrored; a file or column that is not there, or bytes that do not parse,
// with EFailed or EInvalid and a message for the person who owns the data.
type Engine interface {
	// Describe returns the columns and the number of rows.
	Describe(ctx context.Context, t Table) (Schema, error)
	// Check evaluates every check of the contract in as few scans as possible.
	Check(ctx context.Context, req CheckRequest) (Report, error)
	// Split writes disjoint parts of a table, or refuses.
	Split(ctx context.Context, req SplitRequest) (SplitResult, error)
	// Project copies a table without some columns, or with columns of another
	// table joined back by key (SEMANTICS 19).
	Project(ctx context.Context, req ProjectRequest) (Written, error)
	// Columns summarises columns: counts by bin, categories, moments and, when
	// asked for, the sorted values.
	Columns(ctx context.Context, req ColumnsRequest) ([]Column, error)
	// Scores joins answers of a model with labels that came later.
	Scores(ctx context.Context, req ScoresRequest) (Scores, error)
	// GroupCounts returns the confusion counts of each group, for fairness.
	GroupCounts(ctx context.Context, req GroupCountsRequest) ([]GroupCounts, error)
	// Count counts rows of a window and returns its first and last moment.
	Count(ctx context.Context, req CountRequest) (Count, error)
	// Compact rewrites request-log segments as one Parquet file that reads as
	// the segments do.
	Compact(ctx context.Context, req CompactRequest) (Written, error)
	// Typed copies a CSV whose columns' types are known, without guessing any.
	Typed(ctx context.Context, req TypedRequest) (Written, error)
}

// File is one data file. Name tells the format by its extension (.parquet,
// .csv, .json, .ndjson, .jsonl) when Path, such as a blob's, does not; "" =
// the base of Path.
type File struct {
	Path string `json:"path"`
	Name string `json:"name,omitempty"`
}

// Table is the rows of some files, matched by column name; a column that a
// file lacks is null in its rows.
type Table struct {
	// Files: a folder stands for the .parquet, .csv, .json, .ndjson and .jsonl
	// files inside it, at any depth, in order of their names; they must be of
	// one format.
	Files []File `json:"files"`
	// Log marks request-log segments (NDJSON, or what Compact made of them).
	// Their columns are the inputs of the model by their own names, and the
	// log's fields with an underscore: _t, _req, _row, _endpoint, _rev, _role,
	// _status, _latency_us, _event_time, _out, _error. _t and _event_time are
	// timestamps, _out is a number when the answer is one. A line that was cut
	// by a crash is skipped.
	Log bool `json:"log,omitempty"`
	// Window keeps the rows of a span of event time.
	Window Window `json:"window,omitzero"`
	// Filters all hold for the rows kept.
	Filters []Filter `json:"filters,omitempty"`
	// Where is one more SQL condition, from a person at the command line; "" =
	// none. It is held to the rules of ReadOnlySQL.
	Where string `json:"where,omitempty"`
}

// Files makes the table of whole files and folders.
func Files(paths ...string) Table {
	t := Table{}
	for _, p := range paths {
		t.Files = append(t.Files, File{Path: p})
	}
	return t
}

// Window is the half-open span [From, To) of a time column; a zero end is
// open. A zero Window keeps every row, any other drops rows without a time.
// Dates, timestamps (without zone: UTC), ISO text and integer microseconds are
// understood.
type Window struct {
	Column string    `json:"column,omitempty"`
	From   time.Time `json:"from,omitzero"`
	To     time.Time `json:"to,omitzero"`
}

// Filter keeps rows whose column, as text, equals one of the values.
type Filter struct {
	Column string   `json:"column"`
	In     []string `json:"in"`
}

// Schema is what a table consists of.
type Schema struct {
	Columns []SchemaColumn `json:"columns"` // in the order of the file
	Rows    int64          `json:"rows"`
}

// SchemaColumn is a column's name, the engine's type and its logical type.
type SchemaColumn struct {
	Name    string `json:"name"`
	Type    string `json:"type"`    // DuckDB's spelling, such as BIGINT
	Logical string `json:"logical"` // ODCS: string, integer, number, boolean, date, timestamp, time, array, object
}

// Written is a Parquet file that an engine wrote.
type Written struct {
	Path  string `json:"path"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

// SplitRequest cuts a table into train, test and, when asked for, validation.
type SplitRequest struct {
	Table    Table    `json:"table"`
	By       string   `json:"by"`               // time or random
	Column   string   `json:"column,omitempty"` // by time: the event time
	Window   Duration `json:"window,omitempty"` // by time: only the newest rows of this span, counted back from the newest row; 0 = all
	TestFrom string   `json:"test_from,omitempty"`
	// TestShare and ValidShare are shares (0 to 1) of the rows kept. By time
	// the newest rows are the test part, those just before it the validation;
	// rows of one moment stay together, so the shares are approximate.
	TestShare  float64 `json:"test_share,omitempty"`
	ValidShare float64 `json:"valid_share,omitempty"`
	Stratify   string  `json:"stratify,omitempty"` // random: keep the shares of this column's values
	Seed       int64   `json:"seed,omitempty"`     // random
	// Key identifies a row, so that the same row always falls on the same side
	// whatever the order of files; nil = all columns.
	Key []string `json:"key,omitempty"`
	// NoOverlap lists columns of which no value may be on two sides. A random
	// split keeps the rows of one such value together; a split by time is
	// refused with EFailed when they are not.
	NoOverlap []string `json:"no_overlap,omitempty"`
	Drop      []string `json:"drop,omitempty"` // sensitive columns, left out of every part
	Train     string   `json:"train"`          // Parquet files to write
	Test      string   `json:"test"`
	Valid     string   `json:"valid,omitempty"`
}

// SplitResult says what a split did.
type SplitResult struct {
	Train Written `json:"train"`
	Test  Written `json:"test"`
	Valid Written `json:"valid,omitzero"`
	// By time: the first and last moment of each part, empty for random.
	TrainFrom string `json:"train_from,omitempty"`
	TrainTo   string `json:"train_to,omitempty"`
	TestFrom  string `json:"test_from,omitempty"`
	TestTo    string `json:"test_to,omitempty"`
	Outside   int64  `json:"outside"` // rows older than the window
	NoTime    int64  `json:"no_time"` // rows without an event time, in no part
}

// ProjectRequest copies a table.
type ProjectRequest struct {
	Table Table    `json:"table"`
	Drop  []string `json:"drop,omitempty"`
	// Join adds the columns With of another table, matched on the columns Key
	// of both; nil = none. Keys that are not unique there, or rows that find
	// nothing, are refused with EFailed.
	Join *Table   `json:"join,omitempty"`
	Key  []string `json:"key,omitempty"`
	With []string `json:"with,omitempty"`
	Out  string   `json:"out"` // .parquet, .csv, .json, .ndjson or .jsonl: the format of the copy
}

// ColumnsRequest asks for summaries of columns of one table.
type ColumnsRequest struct {
	Table   Table       `json:"table"`
	Columns []ColumnAsk `json:"columns,omitempty"` // nil = every column, deciles for numbers
	Except  []string    `json:"except,omitempty"`
}

// The kinds of column that drift tells apart.
const (
	Numeric     = "numeric"
	Categorical = "categorical"
)

// ColumnAsk says how to summarise one column.
type ColumnAsk struct {
	Name string `json:"name"`
	Kind string `json:"kind,omitempty"` // "" = numeric for numbers and times (seconds since 1970), else categorical
	// Edges are the inner edges of the bins, ascending: bin 0 is below
	// Edges[0], bin i is [Edges[i-1], Edges[i]), the last has no upper bound.
	// Not nil and empty is one bin.
	Edges []float64 `json:"edges"`
	// Quantiles computes the edges from this table when Edges is nil: that many
	// bins of equal count by linear interpolation (numpy's default), equal
	// edges merged and those at the least or greatest value left out. 0 = 10.
	Quantiles int `json:"quantiles,omitempty"`
	// MaxCategories bounds the list of categories, the most frequent first; the
	// rest is counted in Column.Other. 0 = 1,000.
	MaxCategories int `json:"max_categories,omitempty"`
	// Values asks for the sorted finite values of a numeric column, for tests
	// that need them (Kolmogorov-Smirnov, Wasserstein).
	Values bool `json:"values,omitempty"`
}

// Column is the summary of one column. Nulls, NaN and infinities are counted
// in Nulls and nowhere else.
type Column struct {
	Name       string       `json:"name"`
	Kind       string       `json:"kind"`
	Type       string       `json:"type"`
	Rows       int64        `json:"rows"` // with a value
	Nulls      int64        `json:"nulls"`
	Distinct   int64        `json:"distinct"`
	Edges      []float64    `json:"edges"`            // numeric: never nil when there are rows
	Counts     []int64      `json:"counts,omitempty"` // numeric: len(Edges)+1
	Min        float64      `json:"min"`
	Max        float64      `json:"max"`
	Mean       float64      `json:"mean"`
	SD         float64      `json:"sd"`                   // population (divided by n)
	Categories []ValueCount `json:"categories,omitempty"` // most frequent first, then by value
	Other      int64        `json:"other,omitempty"`      // rows of categories left out
	Values     []float64    `json:"values,omitempty"`     // ascending
}

// ValueCount is a value as text and the rows that have it.
type ValueCount struct {
	Value string `json:"value"`
	Rows  int64  `json:"rows"`
}

// ScoresRequest joins a request log with labels.
type ScoresRequest struct {
	Log    Table  `json:"log"`    // Table.Log, or a table with the columns Join and Score
	Labels Table  `json:"labels"` // files of the dataset that brings the labels
	Join   string `json:"join"`   // column of both sides, compared as text
	Score  string `json:"score"`  // "" = _out
	Label  string `json:"label"`  // column of Labels: number or boolean
}

// Scores are pairs of answer and label, in order of the join column. When one
// key was asked several times the latest answer counts.
type Scores struct {
	Score     []float64 `json:"score"`
	Label     []float64 `json:"label"`
	Answers   int64     `json:"answers"`   // rows of the log in the window with a numeric answer, one a key
	Unlabeled int64     `json:"unlabeled"` // of these, without a label
}

// GroupCountsRequest asks for confusion counts by group.
type GroupCountsRequest struct {
	Predictions Table         `json:"predictions"`
	Data        Table         `json:"data"` // joined by Join; has the group columns
	Join        []string      `json:"join"`
	Outcome     string        `json:"outcome"`    // column of either side (predictions first): true, 1 or "1" is the good truth
	Prediction  string        `json:"prediction"` // column of Predictions
	Favourable  string        `json:"favourable"` // the good answer, as text; numbers compare as numbers
	EventTime   string        `json:"event_time,omitempty"`
	Groups      []GroupColumn `json:"groups"`
}

// GroupColumn is a column by whose values rows are grouped.
type GroupColumn struct {
	Name   string    `json:"name"`
	Column string    `json:"column"`
	Bins   []float64 `json:"bins,omitempty"` // half-open bands; a date becomes the age in whole years at event time
}

// GroupCounts are the confusion counts of one group: the first word is whether
// the answer was right, the second what it was (positive = favourable).
type GroupCounts struct {
	Group string `json:"group"` // GroupColumn.Name
	Value string `json:"value"` // "" = null
	TP    int64  `json:"tp"`
	FP    int64  `json:"fp"`
	TN    int64  `json:"tn"`
	FN    int64  `json:"fn"`
}

// N is the number of rows of the group.
func (g GroupCounts) N() int64 { return g.TP + g.FP + g.TN + g.FN }

// CountRequest counts rows; Time names the column of First and Last, "" = the
// window's.
type CountRequest struct {
	Table Table  `json:"table"`
	Time  string `json:"time,omitempty"`
}

// Count is the outcome; First and Last are zero without a time column.
type Count struct {
	Rows  int64     `json:"rows"`
	First time.Time `json:"first,omitzero"`
	Last  time.Time `json:"last,omitzero"`
}

// The types of TypedRequest.
const (
	TextColumn    = "text"
	NumberColumn  = "number"  // 64-bit float; NaN and Infinity are values
	IntegerColumn = "integer" // 64 bits
	TimeColumn    = "time"    // RFC 3339; UTC, to the microsecond
)

// TypedRequest copies the CSV From, comma-separated with a header; a field that
// is empty and not quoted is null.
type TypedRequest struct {
	From  string   `json:"from"`
	Types []string `json:"types"` // of each column
	Out   string   `json:"out"`   // as in ProjectRequest
}

// CompactRequest rewrites segments.
type CompactRequest struct {
	Segments []File `json:"segments"`
	Out      string `json:"out"`
}
