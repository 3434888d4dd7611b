// SPDX-License-Identifier: Apache-2.0

package trigger_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"lastro/trigger"
)

// hourly runs at each full hour of a zone.
func hourly(zone string) trigger.Spec {
	return trigger.Spec{Schedules: []trigger.Schedule{{Cron: "0 * * * *", Timezone: zone}}}
}

func (h *house) tick(spec trigger.Spec) {
	h.t.Helper()
	if err := h.Tick(h.t.Context(), spec, h.at.Now()); err != nil {
		h.t.Fatal(err)
	}
}

// live moves the clock in steps for a while, looking and starting runs each time.
func (h *house) live(spec trigger.Spec, d, step time.Duration) {
	h.t.Helper()
	for end := h.at.Now().Add(d); h.at.Now().Before(end); {
		h.at.set(h.at.Now().Add(step))
		h.tick(spec)
		h.dispatch()
	}
}

// byState counts causes and fails on a tick that has two.
func (h *house) byState() map[trigger.State]int {
	h.t.Helper()
	n, seen := map[trigger.State]int{}, map[time.Time]bool{}
	for _, c := range h.causes(trigger.Filter{}) {
		if seen[c.At] {
			h.t.Errorf("two causes for %v", c.At)
		}
		seen[c.At] = true
		n[c.State]++
	}
	return n
}

func TestScheduleDay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "2026-11-23T10:17:00Z")
	spec := hourly("")
	h.tick(spec)
	h.live(spec, 24*time.Hour, 20*time.Second)
	if n := h.byState(); n[trigger.Started] != 24 || len(n) != 1 {
		t.Errorf("a day of an hourly schedule: %v, want 24 runs", n)
	}
}

// TestServerWasAway: after ten hours the latest tick runs, the nine before are
// recorded as missed, and a restart at the same minute changes nothing.
func TestServerWasAway(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:17:00Z")
	spec := hourly("")
	h.tick(spec)
	h.at.set(h.at.Now().Add(10 * time.Hour))
	for range 3 {
		again := open(t, h.path, h.at) // a server that starts
		again.tick(spec)
		again.dispatch()
	}
	if n := h.byState(); n[trigger.Started] != 1 || n[trigger.Missed] != 9 {
		t.Errorf("ten hours away: %v, want 1 run and 9 missed", n)
	}
	last := h.causes(trigger.Filter{State: trigger.Started})[0]
	if want := time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC); !last.At.Equal(want) || fmt.Sprint(last.Detail["missed"]) != "9" {
		t.Errorf("the run stands for %v and says %v missed, want %v and 9", last.At, last.Detail["missed"], want)
	}
	if r := h.causes(trigger.Filter{State: trigger.Missed})[0].Reason; !strings.Contains(r, "2026-11-23 20:00") {
		t.Errorf("a missed tick says %q", r)
	}
}

// TestClockJumps moves the clock by a day in both directions and back, in both
// orders, while a server lives. Each tick of the true days has one run, except
// those of the two hours in which the clock was wrong: of these, ones that the
// clock never showed are recorded as missed.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for name, jumps := range map[string][2]time.Duration{"forward, then right": {day, -day}, "back, then right": {-day, day}} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "2026-11-23T10:17:00Z")
			spec := hourly("")
			h.tick(spec)
			h.live(spec, 3*time.Hour, time.Minute) // 11, 12, 13 h
			h.at.set(h.at.Now().Add(jumps[0]))
			h.live(spec, 2*time.Hour, time.Minute) // truly 14, 15 h
			h.at.set(h.at.Now().Add(jumps[1]))
			h.live(spec, 48*time.Hour, time.Minute)
			state := map[time.Time]trigger.State{}
			for _, c := range h.causes(trigger.Filter{}) {
				state[c.At] = c.State
			}
			for at := time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC); at.Before(h.at.Now()); at = at.Add(time.Hour) {
				wrong := at.Day() == 23 && (at.Hour() == 14 || at.Hour() == 15)
				if s := state[at]; s != trigger.Started && (!wrong || s != trigger.Missed) {
					t.Errorf("the tick of %v is %q", at, s)
				}
			}
			h.byState()
		})
	}
}

// TestClockOfNonsense: a clock that was years ahead for a moment does not
// silence a schedule.
func TestClockOfNonsense(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:17:00Z")
	spec := hourly("")
	h.tick(spec)
	now := h.at.Now()
	h.at.set(now.AddDate(40, 0, 0))
	h.tick(spec)
	h.at.set(now)
	h.tick(spec)
	h.live(spec, 5*time.Hour, time.Minute)
	on := 0
	for _, c := range h.causes(trigger.Filter{State: trigger.Started}) {
		if c.At.Year() == 2026 {
			on++
		}
	}
	if on != 5 {
		t.Errorf("%d of 5 ticks ran after the clock was right again", on)
	}
}

// TestClockRandom: whatever the clock and servers do, no tick has two runs, and
// with a clock that only runs and pauses each tick has a run or is missed.
func TestClockRandom(t *testing.T) {
	t.Parallel()
	seeds := uint64(10)
	if os.Getenv("LASTRO_TORTURE") != "" {
		seeds = 2000
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 1))
		h := newHouse(t, "2018-11-03T12:30:00Z") // Sao Paulo's clock goes forward in the night
		spec := hourly("America/Sao_Paulo")
		h.tick(spec)
		start, jumped := h.at.Now(), seed%2 == 1
		servers := []*house{h, open(t, h.path, h.at)}
		for range 60 {
			d := time.Duration(rnd.IntN(90)) * time.Minute
			if jumped && rnd.IntN(6) == 0 {
				d = time.Duration(rnd.IntN(49)-24) * time.Hour
			}
			h.at.set(h.at.Now().Add(d))
			server := servers[rnd.IntN(2)]
			server.tick(spec)
			if rnd.IntN(2) == 0 {
				server.dispatch()
			}
		}
		h.dispatch()
		n := h.byState()
		if n[trigger.Pending] != 0 {
			t.Errorf("seed %d: %v", seed, n)
		}
		if want := int(h.at.Now().Truncate(time.Hour).Sub(start.Truncate(time.Hour)).Hours()); !jumped && n[trigger.Started]+n[trigger.Missed] != want {
			t.Errorf("seed %d: %v, want %d ticks", seed, n, want)
		}
	}
}

// TestTwoSchedules: equal ones are one; one that has problems does not stop the other.
func TestTwoSchedules(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:17:00Z")
	spec := trigger.Spec{Schedules: []trigger.Schedule{{Cron: "nonsense"}, {Cron: "0 * * * *"}, {Cron: "0  *  * * *", Timezone: "UTC"}, {Cron: "@hourly"}}}
	look := func() error { return h.Tick(t.Context(), spec, h.at.Now()) }
	if err := look(); err == nil {
		t.Error("a schedule that cannot be read was not reported")
	}
	h.at.set(h.at.Now().Add(time.Hour))
	_ = look()
	if got := keysOf(h.causes(trigger.Filter{})); len(got) != 1 {
		t.Errorf("three spellings of one schedule: %v", got)
	}
}
