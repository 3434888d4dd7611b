// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"fmt"
	"time"

	"lastro"
)

// measurementID is the same for the same figure however often it is computed:
// that makes a second evaluation harmless.
func measurementID(environment string, release lastro.Ref, kind Kind, name string, w span) string {
	return shortDigest(environment, string(release), string(kind), name, fmt.Sprint(lastro.Micros(w.start)), fmt.Sprint(lastro.Micros(w.end)))
}

// alertID is one per environment, release, kind and the window that opened it.
func alertID(environment string, release lastro.Ref, kind Kind, w span) string {
	return string(kind) + "-" + shortDigest(environment, string(release), string(kind), fmt.Sprint(lastro.Micros(w.start)))[:8]
}

func shortDigest(parts ...string) string {
	raw, err := lastro.CanonicalJSON(parts)
	if err != nil {
		panic(err) // strings always encode
	}
	return lastro.DigestOf(raw).Hex()[:16]
}

// windowMeasured is the data of measurement.made: one event for the figures of
// one kind in one window.
type windowMeasured struct {
	Kind    Kind       `json:"kind"`
	Release lastro.Ref `json:"release"`
	Start   time.Time  `json:"start"`
	End     time.Time  `json:"end"`
	Figures []figure   `json:"figures"`
}

type figure struct {
	ID    string  `json:"id"`
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Rows  int     `json:"rows"`
	State State   `json:"state"`
}

func measuredEvents(ms []Measurement, now time.Time) []lastro.Event {
	var groups []*windowMeasured
	subject := map[*windowMeasured]lastro.Ref{}
	for _, m := range ms {
		var g *windowMeasured
		for _, have := range groups {
			if have.Kind == m.Kind && have.Release == m.Release && have.Start.Equal(m.Start) && have.End.Equal(m.End) {
				g = have
			}
		}
		if g == nil {
			g = &windowMeasured{Kind: m.Kind, Release: m.Release, Start: m.Start, End: m.End}
			groups = append(groups, g)
			subject[g] = lastro.NewRef("monitor", m.Environment, "")
		}
		g.Figures = append(g.Figures, figure{m.ID, m.Name, m.Value, m.Rows, m.State})
	}
	var out []lastro.Event
	for _, g := range groups {
		out = append(out, lastro.NewEvent(now, lastro.System("monitor"), "measurement.made", subject[g], g))
	}
	return out
}
