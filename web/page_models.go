// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"lastro"
	"lastro/gate"
	"lastro/registry"
)

// modelsPage lists models with their versions.
type modelsPage struct{ Models []modelRow }

type modelRow struct {
	Name     string
	Versions []versionRow
	Moves    []registry.AliasMove // the newest of its aliases
}

// movesShown is how many moves of aliases the page shows of a model.
const movesShown = 8

type versionRow struct {
	registry.Version
	Verdict gate.Outcome // "" = not decided
}

func (p *Pages) models(r *http.Request, l Lang) (string, page, error) {
	models, _, err := p.Registry.Models(r.Context(), registry.Query{Limit: 200})
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
			vr, err := p.decided(r.Context(), v)
			if err != nil {
				return "", page{}, err
			}
			row.Versions = append(row.Versions, vr)
		}
		moves, err := p.Registry.AliasHistory(r.Context(), m.Name, "")
		if err != nil {
			return "", page{}, err
		}
		slices.Reverse(moves)
		row.Moves = moves[:min(len(moves), movesShown)]
		body.Models = append(body.Models, row)
	}
	return "models.html", page{Title: l.T("models.title"), Nav: "models", Body: body}, nil
}

// decided adds the newest decision's verdict to a version.
func (p *Pages) decided(ctx context.Context, v registry.Version) (versionRow, error) {
	row := versionRow{Version: v}
	d, err := p.Gates.ForVersion(ctx, v.Model, strconv.Itoa(v.Number))
	if lastro.Is(err, lastro.ENotFound) {
		return row, nil
	}
	row.Verdict = d.Verdict
	return row, err
}
