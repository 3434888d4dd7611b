// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"html/template"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/lineage"
	"lastro/registry"
)

// modelsPage lists models with their versions.
type modelsPage struct{ Models []modelRow }

type modelRow struct {
	Name     string
	Versions []versionRow
}

type versionRow struct {
	registry.Version
	Verdict gate.Outcome // "" = not decided
}

func (p *Pages) models(r *http.Request, l Lang) (string, page, error) {
	models, err := p.Registry.Models(r.Context(), registry.Query{Limit: 200})
	if err != nil {
		return "", page{}, err
	}
	var body modelsPage
	for _, m := range models {
		row := modelRow{Name: m.Name}
		versions, err := p.Registry.VersionsOf(r.Context(), m.Name)
		if err != nil {
			return "", page{}, err
		}
		slices.SortFunc(versions, func(a, b registry.Version) int { return b.Number - a.Number })
		for _, v := range versions {
			vr := versionRow{Version: v}
			d, err := p.Gates.ForVersion(r.Context(), v.Model, strconv.Itoa(v.Number))
			if err == nil {
				vr.Verdict = d.Verdict
			} else if !lastro.Is(err, lastro.ENotFound) {
				return "", page{}, err
			}
			row.Versions = append(row.Versions, vr)
		}
		body.Models = append(body.Models, row)
	}
	return "models.html", page{Title: l.T("models.title"), Nav: "models", Body: body}, nil
}

// versionPage is a version's passport: where it serves, what was decided and
// on which values, what it was made from.
type versionPage struct {
	Version  registry.Version
	Why      lineage.Why
	State    string // css class of the verdict
	Decision *gate.Decision
	Rules    []ruleRow
	Waivers  []gate.Waiver
	Allowed  bool
	Reason   string
	History  []registry.AliasMove
	Approve  string // command to waive, "" when nothing waits
}

// ruleRow is one condition with the value it saw.
type ruleRow struct {
	gate.Result
	Class string
	Dot   template.HTML
}

func (p *Pages) version(r *http.Request, l Lang) (string, page, error) {
	n, err := strconv.Atoi(r.PathValue("version"))
	if err != nil {
		return "", page{}, lastro.Errorf(lastro.ENotFound, "there is no version %q", r.PathValue("version"))
	}
	v, err := p.Registry.Version(r.Context(), r.PathValue("model"), n)
	if err != nil {
		return "", page{}, err
	}
	body := versionPage{Version: v}
	if body.Why, err = p.Why(r.Context(), fmt.Sprintf("%s@%d", v.Model, n)); err != nil {
		return "", page{}, err
	}
	if body.Allowed, body.Reason, err = p.Gates.Allows(r.Context(), v.Model, v.Digest, time.Now()); err != nil {
		return "", page{}, err
	}
	if err := p.decision(r, v, &body); err != nil {
		return "", page{}, err
	}
	moves, err := p.Registry.AliasHistory(r.Context(), v.Model, "")
	if err != nil {
		return "", page{}, err
	}
	for _, m := range moves {
		if m.To == n || m.From == n {
			body.History = append(body.History, m)
		}
	}
	return "version.html", page{Title: fmt.Sprintf("%s@%d", v.Model, n), Nav: "models", Body: body}, nil
}

func (p *Pages) decision(r *http.Request, v registry.Version, body *versionPage) error {
	body.State = "skipped"
	d, err := p.Gates.ForVersion(r.Context(), v.Model, strconv.Itoa(v.Number))
	if lastro.Is(err, lastro.ENotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	body.Decision, body.State = &d, stateClass(string(d.Verdict))
	if body.Waivers, err = p.Gates.Waivers(r.Context(), d.ID); err != nil {
		return err
	}
	if d.Verdict == gate.Waiting && body.Allowed {
		body.State = "passed"
	}
	if d.Verdict == gate.Waiting && !body.Allowed {
		body.Approve = fmt.Sprintf(`lastro approve %s --bundle %s --until YYYY-MM-DD --reason "..."`, d.ID, d.Digest)
	}
	for _, result := range d.Results {
		body.Rules = append(body.Rules, ruleRow{Result: result, Class: stateClass(string(result.Outcome)), Dot: ruleDot(result)})
	}
	return nil
}

// ruleDot draws the first value that a rule saw with its interval; nothing
// when it has none.
func ruleDot(r gate.Result) template.HTML {
	for _, s := range r.Saw {
		if s.CILow == nil || s.CIHigh == nil {
			continue
		}
		value := (*s.CILow + *s.CIHigh) / 2
		if v, ok := s.Value.(float64); ok {
			value = v
		}
		if s.Estimate != nil {
			value = *s.Estimate
		}
		low, high := span(0.6, *s.CILow, *s.CIHigh, value)
		return dot(value, *s.CILow, *s.CIHigh, math.NaN(), low, high, stateClass(string(r.Outcome)))
	}
	return ""
}
