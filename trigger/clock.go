// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"context"
	"fmt"
	"time"

	"lastro"
)

// maxMissed bounds how many ticks that passed without a server are listed.
const maxMissed = 100

// back is how far the clock must go back before a schedule follows it. Within a
// minute no other tick can have come.
const back = time.Minute

// Tick records the ticks of all schedules up to now. After a time without a
// server the latest tick starts one run, and older ones are recorded as missed.
// The clock may jump: a tick that has started a run starts no second one when
// its time comes again, and one that was passed over as missed runs when its
// time comes after all. A schedule begins with its first call; what would have
// been before is nobody's business.
func (s *Service) Tick(ctx context.Context, spec Spec, now time.Time) error {
	var problems []error
	for _, schedule := range spec.Schedules {
		if err := s.tick(ctx, schedule, now); err != nil {
			problems = append(problems, fmt.Errorf("schedule %s: %w", schedule, err))
		}
	}
	if len(problems) > 0 {
		return problems[0]
	}
	return nil
}

func (s *Service) tick(ctx context.Context, schedule Schedule, now time.Time) error {
	c, err := schedule.parse()
	if err != nil {
		return err
	}
	name := "schedule " + schedule.String()
	mark, err := s.store.Mark(ctx, s.project, name)
	if err != nil {
		return err
	}
	if mark == "" {
		_, err := s.store.Advance(ctx, s.project, name, "", now.UTC().Format(time.RFC3339), nil)
		return err
	}
	since, err := time.Parse(time.RFC3339, mark)
	if err != nil {
		return fmt.Errorf("read the mark %q: %w", mark, err)
	}
	if now.Before(since.Add(-back)) {
		_, err := s.store.Advance(ctx, s.project, name, mark, now.UTC().Format(time.RFC3339), nil)
		return err
	}
	ticks, older := c.between(since, now, maxMissed)
	if len(ticks) == 0 {
		return nil
	}
	last := ticks[len(ticks)-1]
	// Another server that was quicker has moved the mark, and nothing is left to do.
	_, err = s.store.Advance(ctx, s.project, name, mark, last.UTC().Format(time.RFC3339), s.tickCauses(schedule, c, ticks, older))
	return err
}

// tickCauses makes the causes of ticks, of which the last one runs.
func (s *Service) tickCauses(schedule Schedule, c cron, ticks []time.Time, older int) []Cause {
	out := make([]Cause, len(ticks))
	last := ticks[len(ticks)-1]
	for i, t := range ticks {
		out[i] = Cause{Project: s.project, Key: tickKey(schedule, t), Kind: KindSchedule, State: Missed, At: t, SeenAt: s.clock.Now(), Actor: lastro.System("schedule"),
			Reason: "no server was up; the run of " + last.In(c.zone).Format("2006-01-02 15:04") + " stands for it",
			Detail: detail("schedule", schedule.String(), "tick", t.In(c.zone).Format(time.RFC3339))}
	}
	final := &out[len(out)-1]
	final.State, final.Reason = Pending, ""
	if n := older + len(ticks) - 1; n > 0 {
		final.Detail["missed"] = n
	}
	return out
}

// tickKey names a tick by the moment at which it falls.
func tickKey(s Schedule, t time.Time) string {
	return "schedule " + s.String() + " " + t.UTC().Format(time.RFC3339)
}

// String is the schedule as people read it: "0 5 * * * America/Sao_Paulo".
func (s Schedule) String() string {
	c, err := s.parse()
	if err != nil {
		return s.Cron + " " + s.Timezone
	}
	return c.expr + " " + c.zone.String()
}

// Next is the next tick after t; zero when there is none.
func (s Schedule) Next(t time.Time) time.Time {
	c, err := s.parse()
	if err != nil {
		return time.Time{}
	}
	next, _ := c.next(t)
	return next
}
