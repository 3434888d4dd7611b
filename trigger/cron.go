// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"fmt"
	"slices"
	"strings"
	"time"

	// Time zones must be known on machines that have no list of them.
	_ "time/tzdata"

	"github.com/adhocore/gronx"

	"lastro"
)

// cron is a schedule that can be asked for its ticks.
//
// A cron line names times on a wall clock, and a wall clock may leave out an
// hour or show one twice. Ticks are therefore found on a clock without changes
// and then placed in the time zone:
//
//   - a time that the wall clock leaves out runs at the first minute after the
//     gap; several that fall into one gap run there once;
//   - a time that the wall clock shows twice runs the first time only.
//
// So each time that a line names runs once a day, whatever the clock does; on
// the day when the clock goes back, an hourly line has one pause of two hours.
type cron struct {
	expr string
	zone *time.Location
}

// tags are the names that stand for a line.
var tags = map[string]string{"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *"}

// parse reads a schedule; the error names what is wrong with the line or zone.
func (s Schedule) parse() (cron, error) {
	c := cron{expr: strings.Join(strings.Fields(s.Cron), " "), zone: time.UTC}
	if full, ok := tags[strings.ToLower(c.expr)]; ok {
		c.expr = full
	}
	if n := len(strings.Fields(c.expr)); n != 5 || strings.HasPrefix(c.expr, "@") {
		return c, &lastro.Error{Code: lastro.EInvalid, ID: "L0231", Pos: s.Pos, Msg: fmt.Sprintf("the schedule %q has %s; it takes five: minute hour day month weekday", s.Cron, fields(n)),
			Hint: `cron: "0 5 * * 1" is Mondays at 05:00; @hourly, @daily, @weekly, @monthly and @yearly are known too`}
	}
	if !gronx.IsValid(c.expr) {
		return c, &lastro.Error{Code: lastro.EInvalid, ID: "L0231", Pos: s.Pos, Msg: fmt.Sprintf("the schedule %q cannot be read", s.Cron),
			Hint: "minute 0-59, hour 0-23, day 1-31, month 1-12 or JAN-DEC, weekday 0-6 or SUN-SAT; *, lists 1,2, ranges 1-5 and steps */15"}
	}
	if s.Timezone != "" {
		var err error
		// Local is a zone for Go, but not the same one on two machines.
		if c.zone, err = time.LoadLocation(s.Timezone); err != nil || s.Timezone == "Local" {
			return c, &lastro.Error{Code: lastro.EInvalid, ID: "L0232", Pos: s.Pos, Msg: fmt.Sprintf("there is no time zone %q", s.Timezone),
				Hint: "a name of the IANA list, such as America/Sao_Paulo, Europe/Lisbon or UTC"}
		}
	}
	if _, ok := c.next(time.Date(2000, 3, 1, 0, 0, 0, 0, time.UTC)); !ok {
		return c, &lastro.Error{Code: lastro.EInvalid, ID: "L0233", Pos: s.Pos, Msg: fmt.Sprintf("the schedule %q never comes: there is no such day", s.Cron),
			Hint: "the last day of each month is L: 0 5 L * *"}
	}
	return c, nil
}

func fields(n int) string {
	if n == 1 {
		return "1 field"
	}
	return fmt.Sprintf("%d fields", n)
}

// next returns the first tick after t; ok is false when there is none within
// the nine years in which every date that exists comes.
func (c cron) next(t time.Time) (tick time.Time, ok bool) {
	// What the wall clock shows at t came at t or before, and so did all earlier times.
	wall := naive(t.In(c.zone))
	for range 10_000 {
		next, err := gronx.NextTickAfter(c.expr, wall, false)
		if err != nil || next.Sub(wall) > 9*366*24*time.Hour {
			return time.Time{}, false
		}
		wall = next
		if at := place(wall, c.zone); at.After(t) {
			return at, true
		}
	}
	return time.Time{}, false
}

// between returns the newest ticks after from and not after to, oldest first,
// at most limit, and how many older ones there are at least.
func (c cron) between(from, to time.Time, limit int) (ticks []time.Time, older int) {
	// Looking back step by step finds the last ticks of a line that names each
	// minute without walking through the years for which no server was up.
	for _, back := range []time.Duration{time.Hour, 24 * time.Hour, 32 * 24 * time.Hour, 366 * 24 * time.Hour, 9 * 366 * 24 * time.Hour} {
		start := to.Add(-back)
		whole := !start.After(from)
		if whole {
			start = from
		}
		ticks = ticks[:0]
		for t, ok := c.next(start); ok && !t.After(to); t, ok = c.next(t) {
			ticks = append(ticks, t)
		}
		if whole || len(ticks) > limit {
			break
		}
	}
	older = max(0, len(ticks)-limit)
	return slices.Clone(ticks[older:]), older
}

// naive is what the wall clock shows, on a clock that never changes.
func naive(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// place finds when a wall clock shows a time first; for one that it leaves out,
// the moment at which it jumps over it.
func place(wall time.Time, zone *time.Location) time.Time {
	// Offsets on both sides are those of a day before and a day after: two
	// changes within two days have not been seen in a zone since 1970.
	_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(zone).Zone()
	first := time.Time{}
	for _, offset := range []int{before, after} {
		at := wall.Add(-time.Duration(offset) * time.Second)
		if naive(at.In(zone)).Equal(wall) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if !first.IsZero() {
		return first
	}
	// In a gap. Read with the offset of before it lies behind the gap, so the
	// change is the start of the offset that rules there.
	start, _ := wall.Add(-time.Duration(before) * time.Second).In(zone).ZoneBounds()
	return start.UTC()
}
