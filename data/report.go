// SPDX-License-Identifier: Apache-2.0

package data

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
)

// rulesVersion changes when the meaning of a check changes, so that reports
// made before are made again.
const rulesVersion = "check@1"

func checkKey(contract lastro.Digest, sensitive []string) lastro.Digest {
	hidden := slices.Clone(sensitive)
	slices.Sort(hidden)
	raw, err := lastro.CanonicalJSON(map[string]any{"rules": rulesVersion, "contract": contract, "sensitive": hidden})
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return lastro.DigestOf(raw)
}

func (r Report) with(status string) []Check {
	var out []Check
	for _, c := range r.Checks {
		if c.Status == status {
			out = append(out, c)
		}
	}
	return out
}

// Total is the number of checks that ran: those only shown do not count.
func (r Report) Total() int { return len(r.Checks) - len(r.with(Shown)) }

func (r Report) facts() map[string]float64 {
	prefix := "data." + r.Dataset + ".checks."
	return map[string]float64{prefix + "total": float64(r.Total()), prefix + "failed": float64(len(r.Failed()))}
}

// maxNotes bounds how many failed checks an error lists.
const maxNotes = 20

func (r Report) err() error {
	failed := r.Failed()
	if len(failed) == 0 {
		return nil
	}
	e := &lastro.Error{Code: lastro.EFailed, ID: "L0510", Pos: failed[0].Pos,
		Msg:  fmt.Sprintf("%s breaks its contract: %d of %d checks failed on %s rows", r.Dataset, len(failed), r.Total(), Thousands(r.Rows)),
		Hint: fmt.Sprintf("see it: lastro data check %[1]s; when the data is right and the contract is behind: lastro data propose %[1]s", r.Dataset)}
	for i, c := range failed {
		if i == maxNotes {
			e.Notes = append(e.Notes, fmt.Sprintf("and %d more", len(failed)-i))
			break
		}
		e.Notes = append(e.Notes, c.Name+": "+c.Message)
	}
	return e
}

func (c *Checker) ensure(ctx context.Context, v Version, t Table, contract *Contract, sensitive []string, actor lastro.Actor) (Report, error) {
	key := CheckKey(contract.Digest, sensitive)
	kept, err := c.Store.Report(ctx, v.Dataset, v.Digest, key)
	if err == nil || !lastro.Is(err, lastro.ENotFound) {
		return kept, err
	}
	started := c.Clock.Now()
	report, err := c.Engine.Check(ctx, CheckRequest{Dataset: v.Dataset, Version: v.Digest, Table: t, Contract: contract, Sensitive: sensitive})
	if err != nil {
		return Report{}, err
	}
	report.At, report.Key = c.Clock.Now(), key
	report.Seconds = report.At.Sub(started).Round(time.Millisecond).Seconds()
	v.Rows = report.Rows
	if _, _, err := c.Store.RegisterVersion(ctx, v, actor); err != nil {
		return Report{}, err
	}
	return report, c.Store.SaveReport(ctx, report, actor)
}

// Thousands spells a count with commas.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// number spells a number shortly: whole ones without a point, others with at
// most six digits.
func number(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e15 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// rows spells "1 row" or "12 rows".
func rows(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return Thousands(n) + " rows"
}

// quoteList spells values for people: "gig" (26,057), "?" (12).
func quoteList(values []ValueCount, limit int) string {
	var parts []string
	for i, v := range values {
		if i == limit {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprintf("%q (%s)", v.Value, Thousands(v.Rows)))
	}
	return strings.Join(parts, ", ")
}
