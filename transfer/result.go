// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"slices"
	"strings"
	"sync"
)

// The kinds of what is counted, in the order in which they are shown.
const (
	Experiments = "experiments"
	Runs        = "runs"
	Points      = "metric points"
	Logged      = "logged models"
	Traces      = "traces"
	Registered  = "registered models"
	Versions    = "model versions"
	Aliases     = "aliases"
	Artifacts   = "artifacts"
)

// Kinds lists them.
var Kinds = []string{Experiments, Runs, Points, Logged, Traces, Registered, Versions, Aliases, Artifacts}

// Count is how many of a kind a transfer has met.
type Count struct {
	Found   int   `json:"found"`
	Moved   int   `json:"moved"`
	There   int   `json:"already_there"`
	Skipped int   `json:"skipped"`
	Bytes   int64 `json:"bytes,omitempty"` // of artifacts that were moved
}

// Skip is something that was not moved, or moved otherwise than it was.
type Skip struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Difference is a part of an entity that is not the same at both ends.
type Difference struct {
	What string `json:"what"` // such as trackedrun:ID
	Part string `json:"part"`
}

// Result is what a transfer did.
type Result struct {
	Source      About            `json:"source"`
	Counts      map[string]Count `json:"counts"`
	Skips       []Skip           `json:"skips"`
	Notes       []string         `json:"notes,omitempty"`
	Verified    map[string]int   `json:"verified,omitempty"` // how many of each kind were compared
	Differences []Difference     `json:"differences,omitempty"`
	// Verify says how the two ends were compared: full, quick or off.
	Verify string `json:"verify"`
}

// tally collects a result from several goroutines.
type tally struct {
	mu     sync.Mutex
	result Result
	accept map[Difference]bool // differences that were announced as skips
	tell   func(Counts)
}

// Counts is how far a transfer is, by kind.
type Counts map[string]Count

func newTally(about About, tell func(Counts)) *tally {
	return &tally{result: Result{Source: about, Counts: map[string]Count{}}, accept: map[Difference]bool{}, tell: tell}
}

func (t *tally) add(kind string, c Count) {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := t.result.Counts[kind]
	have.Found += c.Found
	have.Moved += c.Moved
	have.There += c.There
	have.Skipped += c.Skipped
	have.Bytes += c.Bytes
	t.result.Counts[kind] = have
	if t.tell != nil {
		t.tell(t.result.Counts)
	}
}

// skip notes what was not moved; the comparison expects these parts to differ.
func (t *tally) skip(kind, what, why string, parts ...string) {
	t.add(kind, Count{Skipped: 1})
	t.note(what, why, parts...)
}

// note is skip for something that was moved all the same.
func (t *tally) note(what, why string, parts ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Skips = append(t.result.Skips, Skip{what, why})
	for _, p := range parts {
		t.accept[Difference{what, p}] = true
	}
}

// differ notes a difference unless it was announced.
func (t *tally) differ(what, part string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if d := (Difference{what, part}); !t.accept[d] && !t.accept[Difference{what, "all"}] {
		t.result.Differences = append(t.result.Differences, d)
	}
}

func (t *tally) end() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.result
	slices.SortStableFunc(r.Skips, func(a, b Skip) int { return strings.Compare(a.Why, b.Why) })
	return r
}
