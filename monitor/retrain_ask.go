// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"fmt"
	"slices"

	"lastro"
)

// on reports whether firing alerts of a kind start a retrain. An estimate
// never fires: it warns until labels confirm it.
func (s RetrainSpec) on(k Kind) bool { return slices.Contains(s.When, string(k)) }

// retrain asks for training when a firing alert says so and there is something
// new to learn (SEMANTICS 22). One alert asks once.
func (e *evaluation) retrain(ctx context.Context) error {
	spec := e.spec.Retrain
	if spec == nil {
		return nil
	}
	earlier, err := e.Store.Retrains(ctx, e.spec.Environment, 0)
	if err != nil {
		return err
	}
	for _, kind := range []Kind{Performance, Drift} {
		a, open := e.open[kind]
		if !open || a.State != Firing || !spec.on(a.Kind) {
			continue
		}
		i := slices.IndexFunc(earlier, func(r Retrain) bool { return r.Alert == a.Ref() })
		if i >= 0 && earlier[i].Run != "" {
			continue
		}
		var r Retrain
		if i >= 0 {
			r = earlier[i] // requested, but not started: a crash or a failure came between
		} else {
			var ok bool
			if r, ok, err = e.request(ctx, a, earlier); err != nil {
				return err
			} else if !ok {
				continue
			}
			earlier = append(earlier, r) // counts for the cooldown of the next alert
		}
		if err := e.start(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// request records that an alert wants a retrain, unless something speaks
// against it now; what does is in the report, and the next call asks again.
func (e *evaluation) request(ctx context.Context, a Alert, earlier []Retrain) (Retrain, bool, error) {
	spec := e.spec.Retrain
	rows, err := e.newLabels(ctx)
	if err != nil {
		return Retrain{}, false, err
	}
	if rows < spec.NewLabels {
		e.wait("retrain: %d of %d new label rows", rows, spec.NewLabels)
		return Retrain{}, false, nil
	}
	recent := 0
	for _, r := range earlier {
		if again := r.EventTime.Add(spec.Cooldown); e.newest.Before(again) {
			e.wait("retrain: the cooldown ends at event time %s", again.Format("2006-01-02"))
			return Retrain{}, false, nil
		}
		if spec.Per > 0 && r.EventTime.After(e.newest.Add(-spec.Per)) {
			recent++
		}
	}
	if spec.Max > 0 && spec.Per > 0 && recent >= spec.Max {
		e.wait("retrain: %d already in this span of event time", recent)
		return Retrain{}, false, nil
	}
	r := Retrain{ID: "retrain-" + a.ID, Environment: a.Environment, Alert: a.Ref(), Release: a.Release, Model: a.Model, Reason: a.Title,
		NewLabels: rows, EventTime: e.newest, At: e.now}
	return r, true, e.save(ctx, Changes{Retrains: []Retrain{r}, Events: []lastro.Event{
		lastro.NewEvent(e.now, lastro.System("monitor"), "retrain.requested", a.Ref(), r)}})
}

// newLabels counts what was not there when the live version was trained; any
// number when no labels are declared and none are asked for.
func (e *evaluation) newLabels(ctx context.Context) (int, error) {
	if e.spec.Performance == nil || e.spec.Performance.Labels == "" {
		return 0, nil
	}
	n, err := e.Source.NewLabels(ctx, e.spec.Performance.Labels, e.live())
	if err != nil {
		return 0, fmt.Errorf("count new labels: %w", err)
	}
	return n, nil
}

// start hands a request to the trigger and records the run.
func (e *evaluation) start(ctx context.Context, r Retrain) error {
	if e.Trigger == nil {
		return nil
	}
	run, err := e.Trigger.Retrain(ctx, r)
	if err != nil {
		return fmt.Errorf("start the retrain of %s: %w", r.Model, err)
	}
	r.Run = run
	return e.save(ctx, Changes{Retrains: []Retrain{r}, Events: []lastro.Event{
		lastro.NewEvent(e.now, lastro.System("monitor"), "retrain.started", run, r)}})
}
