// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
)

func mustParse(t *testing.T, expr, zone string) cron {
	t.Helper()
	c, err := Schedule{Cron: expr, Timezone: zone}.parse()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestClockChanges: expected moments were read off the IANA time zone database
// (tzdata 2024a, `zdump -v America/Sao_Paulo Europe/Lisbon Pacific/Apia`):
// Sao Paulo went from 00:00 -03 to 01:00 -02 on 2018-11-04 (03:00Z) and from
// 24:00 -02 to 23:00 -03 on 2018-02-17 (2018-02-18T02:00Z); Lisbon from 01:00
// to 02:00 on 2026-03-29 (01:00Z) and from 02:00 to 01:00 on 2026-10-25
// (01:00Z); Apia left out all of 2011-12-30.
func TestClockChanges(t *testing.T) {
	for name, tc := range map[string]struct {
		cron, zone, from, to string
		want                 string // UTC
	}{
		"midnight that is left out": {"0 0 * * *", "America/Sao_Paulo", "2018-11-02T12:00:00Z", "2018-11-06T00:00:00Z",
			"2018-11-03T03:00 2018-11-04T03:00 2018-11-05T02:00"},
		"half past midnight left out runs after the gap": {"30 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-05T12:00:00Z",
			"2018-11-04T03:00 2018-11-05T02:30"},
		"several in one gap run once": {"*/20 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T12:00:00Z",
			"2018-11-04T03:00"},
		"a gap and the hour behind it": {"0 0,1 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T12:00:00Z",
			"2018-11-04T03:00"},
		"an hour that comes twice runs once": {"30 23 * * *", "America/Sao_Paulo", "2018-02-16T12:00:00Z", "2018-02-19T12:00:00Z",
			"2018-02-17T01:30 2018-02-18T01:30 2018-02-19T02:30"},
		"each hour, the clock goes back": {"0 * * * *", "America/Sao_Paulo", "2018-02-18T00:30:00Z", "2018-02-18T04:30:00Z",
			"2018-02-18T01:00 2018-02-18T03:00 2018-02-18T04:00"},
		"no changes any more": {"0 5 1 * *", "America/Sao_Paulo", "2026-10-15T00:00:00Z", "2026-12-15T00:00:00Z",
			"2026-11-01T08:00 2026-12-01T08:00"},
		"Lisbon, spring": {"30 1 * * *", "Europe/Lisbon", "2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z",
			"2026-03-28T01:30 2026-03-29T01:00 2026-03-30T00:30"},
		"Lisbon, autumn": {"30 1 * * *", "Europe/Lisbon", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z",
			"2026-10-24T00:30 2026-10-25T00:30 2026-10-26T01:30"},
		"Lisbon, autumn, each half hour": {"*/30 * * * *", "Europe/Lisbon", "2026-10-24T23:45:00Z", "2026-10-25T03:15:00Z",
			"2026-10-25T00:00 2026-10-25T00:30 2026-10-25T02:00 2026-10-25T02:30 2026-10-25T03:00"},
		"a day that is left out": {"0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-01T00:00:00Z",
			"2011-12-29T22:00 2011-12-30T10:00 2011-12-30T22:00 2011-12-31T22:00"},
		"leap day": {"0 0 29 2 *", "", "2026-01-01T00:00:00Z", "2036-12-31T00:00:00Z",
			"2028-02-29T00:00 2032-02-29T00:00 2036-02-29T00:00"},
		"no leap day in 2100": {"0 0 29 2 *", "", "2095-01-01T00:00:00Z", "2105-01-01T00:00:00Z",
			"2096-02-29T00:00 2104-02-29T00:00"},
		"last of the month": {"0 0 L * *", "", "2027-12-15T00:00:00Z", "2028-04-01T00:00:00Z",
			"2027-12-31T00:00 2028-01-31T00:00 2028-02-29T00:00 2028-03-31T00:00"},
		"day of month or weekday": {"0 0 13 * 5", "", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", // Friday or the 13th, POSIX crontab
			"2026-02-06T00:00 2026-02-13T00:00 2026-02-20T00:00 2026-02-27T00:00"},
		"a name": {"@weekly", "", "2026-11-20T00:00:00Z", "2026-12-01T00:00:00Z", "2026-11-22T00:00 2026-11-29T00:00"}, // Sundays
	} {
		t.Run(name, func(t *testing.T) {
			c := mustParse(t, tc.cron, tc.zone)
			ticks, older := c.between(at(t, tc.from), at(t, tc.to), 100)
			var got []string
			for _, k := range ticks {
				got = append(got, k.UTC().Format("2006-01-02T15:04"))
			}
			if strings.Join(got, " ") != tc.want || older != 0 {
				t.Errorf("%s in %s:\n got %s\nwant %s", tc.cron, tc.zone, strings.Join(got, " "), tc.want)
			}
		})
	}
}

// TestTicksAgainstMinutes holds next against asking each minute of a year's
// change weeks whether a line names it.
func TestTicksAgainstMinutes(t *testing.T) {
	t.Parallel()
	named := map[string]func(w time.Time) bool{
		"*/7 * * * *":    func(w time.Time) bool { return w.Minute()%7 == 0 },
		"5,35 1-3 * * *": func(w time.Time) bool { return (w.Minute() == 5 || w.Minute() == 35) && w.Hour() >= 1 && w.Hour() <= 3 },
		"0 */6 * * 1-5": func(w time.Time) bool {
			return w.Minute() == 0 && w.Hour()%6 == 0 && w.Weekday() >= 1 && w.Weekday() <= 5
		},
		"59 23 28-31 * *": func(w time.Time) bool { return w.Minute() == 59 && w.Hour() == 23 && w.Day() >= 28 },
		"10 0 1,15 * SUN": func(w time.Time) bool {
			return w.Minute() == 10 && w.Hour() == 0 && (w.Day() == 1 || w.Day() == 15 || w.Weekday() == 0)
		},
	}
	for _, zone := range []string{"UTC", "Europe/Lisbon", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for _, start := range []string{"2018-02-15T00:00:00Z", "2018-03-23T00:00:00Z", "2018-04-01T00:00:00Z", "2018-10-06T00:00:00Z", "2018-10-26T00:00:00Z", "2018-11-02T00:00:00Z"} {
			from := at(t, start)
			to := from.Add(4 * 24 * time.Hour)
			for expr, names := range named {
				want := byMinute(from, to, loc, names)
				c := mustParse(t, expr, zone)
				var got []time.Time
				for k, ok := c.next(from); ok && !k.After(to); k, ok = c.next(k) {
					got = append(got, k)
				}
				if !slices.EqualFunc(got, want, time.Time.Equal) {
					t.Errorf("%s in %s from %s:\n got %v\nwant %v", expr, zone, start, got, want)
				}
			}
		}
	}
}

// byMinute walks real minutes and remembers what the wall clock has shown: a
// time that it shows for the first time counts, and when it jumps, all that it
// left out counts at once.
func byMinute(from, to time.Time, loc *time.Location, named func(time.Time) bool) []time.Time {
	var out []time.Time
	shown := naive(from.Add(-48 * time.Hour).In(loc)) // the latest time shown so far
	for m := from.Add(-48 * time.Hour).Add(time.Minute); !m.After(to); m = m.Add(time.Minute) {
		due := false
		for w := naive(m.In(loc)); shown.Before(w); {
			shown = shown.Add(time.Minute)
			due = due || named(shown)
		}
		if due && m.After(from) {
			out = append(out, m)
		}
	}
	return out
}

func TestManyTicks(t *testing.T) {
	c := mustParse(t, "* * * * *", "")
	to := at(t, "2026-11-23T10:00:00Z")
	ticks, older := c.between(to.AddDate(-3, 0, 0), to, 100)
	if len(ticks) != 100 || !ticks[99].Equal(to) || older < 1000 {
		t.Errorf("%d ticks up to %v and %d older, want the newest 100", len(ticks), ticks[len(ticks)-1], older)
	}
	yearly := mustParse(t, "0 0 1 1 *", "")
	if ticks, _ := yearly.between(at(t, "2024-06-01T00:00:00Z"), to, 100); len(ticks) != 2 {
		t.Errorf("a yearly line in two and a half years: %v, want 2025 and 2026", ticks)
	}
}

func TestBadSchedules(t *testing.T) {
	for name, tc := range map[string]struct {
		s  Schedule
		id string
	}{
		"four fields":    {Schedule{Cron: "0 5 * *"}, "L0231"},
		"with seconds":   {Schedule{Cron: "0 0 5 * * *"}, "L0231"},
		"empty":          {Schedule{}, "L0231"},
		"unknown name":   {Schedule{Cron: "@often"}, "L0231"},
		"each minute":    {Schedule{Cron: "@everyminute"}, "L0231"},
		"minute 60":      {Schedule{Cron: "60 5 * * *"}, "L0231"},
		"words":          {Schedule{Cron: "at five in the morning"}, "L0231"},
		"shell":          {Schedule{Cron: "$(touch x) 5 * * *"}, "L0231"},
		"no such zone":   {Schedule{Cron: "0 5 * * *", Timezone: "America/Atlantis"}, "L0232"},
		"a path as zone": {Schedule{Cron: "0 5 * * *", Timezone: "../../etc/passwd"}, "L0232"},
		"local":          {Schedule{Cron: "0 5 * * *", Timezone: "Local"}, "L0232"},
		"no such day":    {Schedule{Cron: "0 5 31 2 *"}, "L0233"},
		"30 February":    {Schedule{Cron: "0 5 30 2 *"}, "L0233"},
	} {
		_, err := tc.s.parse()
		var e *lastro.Error
		if !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("%s: parse(%q) = %v, want an error", name, tc.s.Cron, err)
			continue
		}
		if e = err.(*lastro.Error); e.ID != tc.id || e.Hint == "" {
			t.Errorf("%s: %s %v, want %s with a hint", name, e.ID, e, tc.id)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	c, err := Schedule{Cron: "0 5 1 * *", Timezone: "America/Sao_Paulo"}.parse()
	if err != nil {
		b.Fatal(err)
	}
	t := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for b.Loop() {
		c.next(t)
	}
}
