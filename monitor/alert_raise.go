// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"
	"fmt"
	"strings"

	"lastro"
)

// raise puts an alert into changes: a new one, the open one of its kind moved
// on, or its end. It returns the alert when people should hear of it, which is
// when its state changes.
func (e *evaluation) raise(c *Changes, a Alert) []Alert {
	was, open := e.open[a.Kind]
	if !open && a.State == Resolved {
		return nil
	}
	a.OpenedAt = e.now
	if open {
		a.ID, a.OpenedAt, a.FiredAt = was.ID, was.OpenedAt, was.FiredAt
		if a.State == Resolved { // what it was about stays on record
			end := a
			a = was
			a.State, a.Detail, a.Action = Resolved, end.Detail, end.Action
		}
	}
	if a.State == Firing && a.FiredAt.IsZero() {
		a.FiredAt = e.now
	}
	if a.State == Resolved {
		a.ResolvedAt = e.now
	}
	a.EventTime = e.newest
	c.Alerts = append(c.Alerts, a)
	if open && was.State == a.State {
		return nil
	}
	verb := map[AlertState]string{Pending: "opened", Firing: "fired", Resolved: "resolved"}[a.State]
	if open && a.State == Pending {
		verb = "eased" // from over the limit to a warning
	}
	c.Events = append(c.Events, lastro.NewEvent(e.now, lastro.System("monitor"), "alert."+verb, a.Ref(), a))
	return []Alert{a}
}

// alert starts an alert about a window.
func (e *evaluation) alert(kind Kind, name string, r Release, w span) Alert {
	return Alert{ID: alertID(e.spec.Environment, r.Ref, kind, w), Environment: e.spec.Environment, Release: r.Ref, Model: r.Model,
		Kind: kind, Name: name, State: Resolved, Start: w.start.UTC(), End: w.end.UTC()}
}

// driftAlert says which columns moved, and what harm is to be expected.
func (e *evaluation) driftAlert(c *Changes, r Release, w span, columns, estimated []Measurement) []Alert {
	a := e.alert(Drift, "", r, w)
	for _, m := range columns {
		if m.State != Warn && m.State != Alarm {
			continue
		}
		moved := Moved{Column: m.Name, Value: m.Value, State: m.State}
		if m.Noise != nil {
			moved.Noise = *m.Noise
		}
		a.Moved = append(a.Moved, moved)
		if m.State == Alarm {
			a.State = Firing
		} else if a.State == Resolved {
			a.State = Pending
		}
	}
	if a.State == Resolved {
		a.Detail = fmt.Sprintf("no column moved in %s", w)
		return e.raise(c, a)
	}
	a.Title = fmt.Sprintf("%s moved in %s", columnNames(a.Moved), w)
	a.Detail = fmt.Sprintf("compared with the training data of %s", r.Model)
	a.Harm = expectedHarm(estimated)
	a.Action = "people are told; drift alone does not retrain"
	return e.raise(c, a)
}

func columnNames(moved []Moved) string {
	var names []string
	for _, m := range moved[:min(3, len(moved))] {
		names = append(names, fmt.Sprintf("%s (%.2f)", m.Column, m.Value))
	}
	if n := len(moved) - 3; n > 0 {
		names = append(names, fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

// expectedHarm puts an estimate into words.
func expectedHarm(estimated []Measurement) string {
	for _, m := range estimated {
		switch {
		case m.State == Unknown || m.Harm == nil || m.CILow == nil || m.CIHigh == nil || m.Baseline == nil:
			return "the harm cannot be estimated: " + m.Note
		case m.State == Warn:
			return fmt.Sprintf("harm is to be expected: %s about %.3f [%.3f, %.3f], %.3f at evaluation", m.Name, m.Value, *m.CILow, *m.CIHigh, *m.Baseline)
		default:
			return fmt.Sprintf("the expected harm is small: %s about %.3f [%.3f, %.3f], %.3f at evaluation", m.Name, m.Value, *m.CILow, *m.CIHigh, *m.Baseline)
		}
	}
	return ""
}

// estimateAlert warns when the scores let one expect a loss that matters;
// only labels can confirm it.
func (e *evaluation) estimateAlert(c *Changes, r Release, w span, estimated []Measurement) []Alert {
	if len(estimated) == 0 {
		return nil
	}
	m := estimated[0] // one metric is estimated for each window
	a := e.alert(Estimated, m.Name, r, w)
	a.Detail = fmt.Sprintf("nothing notable is to be expected in %s", w)
	if m.State == Warn {
		a.State = Pending
		a.Title = fmt.Sprintf("%s is expected to be lower in %s", m.Name, w)
		a.Detail, a.Harm = "estimated from the scores alone (CBPE)", expectedHarm(estimated)
		a.Action = "people are told; labels will confirm or clear it"
	}
	return e.raise(c, a)
}

// performanceAlert fires when the rule over labelled rows does.
func (e *evaluation) performanceAlert(c *Changes, r Release, w span, m Measurement, facts map[string]float64, fired bool) []Alert {
	a := e.alert(Performance, m.Name, r, w)
	figure := fmt.Sprintf("%s %.3f [%.3f, %.3f] on %d labelled rows in %s", m.Name, m.Value, *m.CILow, *m.CIHigh, m.Rows, w)
	a.Rule, a.Facts, a.Detail = e.spec.Performance.Alert, facts, figure
	if !fired {
		return e.raise(c, a)
	}
	a.State = Firing
	a.Title = fmt.Sprintf("%s of %s fell: %s", m.Name, r.Model, figure)
	if m.Best != nil {
		a.Harm = fmt.Sprintf("measured: %.3f below the best earlier window (%.3f)", *m.Best-m.Value, *m.Best)
	}
	a.Action = "people are told"
	if e.spec.Retrain != nil && e.spec.Retrain.on(Performance) {
		a.Action = "a retrain follows when there is enough to learn from"
	}
	return e.raise(c, a)
}

// closeReplaced resolves alerts about releases that serve no more, and about
// what lastro.yaml no longer asks to be watched.
func (e *evaluation) closeReplaced(ctx context.Context) error {
	for _, kind := range []Kind{Drift, Estimated, Performance} {
		open, ok := e.open[kind]
		if !ok {
			continue
		}
		var why string
		switch {
		case open.Release != e.live().Ref:
			why = fmt.Sprintf("%s took its place", e.live().Model)
		case kind == Performance && e.spec.Performance == nil, kind != Performance && e.spec.Drift == nil:
			why = "it is watched no longer"
		default:
			continue
		}
		var c Changes
		end := open
		end.State = Resolved
		end.Detail, end.Action = open.Detail, why
		tell := e.raise(&c, end)
		if err := e.save(ctx, c, tell...); err != nil {
			return err
		}
	}
	return nil
}
