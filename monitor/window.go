// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"time"
)

// span is a stretch of event time: [start, end).
type span struct{ start, end time.Time }

// String writes a span as people say it: "31 May – 30 Jun 2013", the last day
// included when the span ends at midnight.
func (w span) String() string {
	last := w.end
	if last.Equal(last.Truncate(24 * time.Hour)) {
		last = last.Add(-time.Second)
	}
	if w.start.Year() == last.Year() {
		return fmt.Sprintf("%s – %s", w.start.Format("2 Jan"), last.Format("2 Jan 2006"))
	}
	return fmt.Sprintf("%s – %s", w.start.Format("2 Jan 2006"), last.Format("2 Jan 2006"))
}

// month is the month of the window's middle: windows of 30 days wander through
// the calendar, and a chart wants one name for each.
func (w span) month() string { return w.start.Add(w.end.Sub(w.start) / 2).Format("2006-01") }

// maxWindows bounds the windows of one release, the newest are kept: a first
// event time that lies decades back (a wrong unit, an epoch of zero) must not
// cost a query for each.
const maxWindows = 1000

// windows cuts a release's event time into windows of the given length, from
// its first answer on (from the day of it when windows are whole days), and
// returns those that have ended at the newest event time. A window in which
// the release was replaced ends there.
func windows(r Release, length time.Duration, newest time.Time) []span {
	if length <= 0 || r.From.IsZero() {
		return nil
	}
	start := r.From
	if length%(24*time.Hour) == 0 {
		start = start.Truncate(24 * time.Hour)
	}
	until := newest
	if !r.To.IsZero() && r.To.Before(newest) {
		until = r.To
	}
	if skip := until.Sub(start)/length - maxWindows; skip > 0 {
		start = start.Add(skip * length)
	}
	var out []span
	for r.To.IsZero() || start.Before(r.To) {
		end := start.Add(length)
		if !r.To.IsZero() && end.After(r.To) {
			end = r.To
		}
		if end.After(newest) {
			break
		}
		out = append(out, span{start, end})
		start = end
	}
	return out
}
