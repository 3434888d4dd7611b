// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"lastro"
	"lastro/gate"
	"lastro/pipeline"
	"lastro/registry"
)

// VersionDocument is a model version on the wire.
type VersionDocument struct {
	Model     string                 `json:"model"`
	Version   int                    `json:"version"`
	Ref       lastro.Ref             `json:"ref"`
	Digest    lastro.Digest          `json:"digest"`
	Run       string                 `json:"run,omitempty"`
	Step      string                 `json:"step,omitempty"`
	Tracked   string                 `json:"tracked_run,omitempty"`
	Source    string                 `json:"source,omitempty"`
	Data      []registry.DataVersion `json:"data,omitempty"`
	Commit    string                 `json:"commit,omitempty"`
	Lock      lastro.Digest          `json:"lock,omitempty"`
	Aliases   []string               `json:"aliases"`
	Tags      map[string]string      `json:"tags,omitempty"`
	CreatedAt time.Time              `json:"created_at"`
	By        lastro.Actor           `json:"by"`
	Decision  *gate.Decision         `json:"decision,omitempty"`
	Waivers   []gate.Waiver          `json:"waivers,omitempty"`
	Allowed   bool                   `json:"allowed"` // protected aliases may move to it now
	Reason    string                 `json:"reason,omitempty"`
}

// ModelDocument is a model on the wire.
type ModelDocument struct {
	Name     string            `json:"name"`
	Declared bool              `json:"declared"`
	Protect  []string          `json:"protect,omitempty"`
	Aliases  map[string]int    `json:"aliases"`
	Versions []VersionDocument `json:"versions,omitempty"`
}

func document(v registry.Version) VersionDocument {
	return VersionDocument{Model: v.Model, Version: v.Number, Ref: v.Ref(), Digest: v.Digest, Run: v.Run, Step: v.Step, Tracked: v.TrackedRun,
		Source: v.Source, Data: v.DataVersions, Commit: v.Commit, Lock: v.Lock, Aliases: append([]string{}, v.Aliases...), Tags: v.Tags, CreatedAt: v.CreatedAt, By: v.By}
}

// withDecision adds what the gate says of a version now.
func (h *handler) withDecision(ctx context.Context, v registry.Version) (VersionDocument, error) {
	doc := document(v)
	d, err := h.Gates.ForVersion(ctx, v.Model, strconv.Itoa(v.Number))
	if err == nil {
		doc.Decision = &d
		if doc.Waivers, err = h.Gates.Waivers(ctx, d.ID); err != nil {
			return doc, err
		}
	} else if !lastro.Is(err, lastro.ENotFound) {
		return doc, err
	}
	doc.Allowed, doc.Reason, err = h.Gates.Allows(ctx, v.Model, v.Digest, time.Now())
	return doc, err
}

// versionsOfRun lists the versions that a run made, or whose bytes it found
// again among its outputs.
func (h *handler) versionsOfRun(ctx context.Context, run int64, steps []pipeline.StepRun) ([]VersionDocument, error) {
	outputs := map[lastro.Digest]bool{}
	for _, s := range steps {
		for _, a := range s.Outputs {
			outputs[a.Digest] = s.Selected
		}
	}
	models, _, err := h.Registry.Models(ctx, registry.Query{Limit: 100})
	if err != nil {
		return nil, err
	}
	var out []VersionDocument
	for _, m := range models {
		versions, err := h.Registry.VersionsOf(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			if v.Run != strconv.FormatInt(run, 10) && !outputs[v.Digest] {
				continue
			}
			doc, err := h.withDecision(ctx, v)
			if err != nil {
				return nil, err
			}
			out = append(out, doc)
		}
	}
	return out, nil
}

func (h *handler) modelDocument(ctx context.Context, m registry.Model) (ModelDocument, error) {
	doc := ModelDocument{Name: m.Name, Declared: m.Declared, Protect: m.Protect, Aliases: map[string]int{}}
	for _, a := range m.Aliases {
		doc.Aliases[a.Name] = a.Number
	}
	versions, err := h.Registry.VersionsOf(ctx, m.Name)
	for _, v := range versions {
		doc.Versions = append(doc.Versions, document(v))
	}
	return doc, err
}

func (h *handler) listModels(r *http.Request) (any, error) {
	models, _, err := h.Registry.Models(r.Context(), registry.Query{Limit: limit(r, 100)})
	if err != nil {
		return nil, err
	}
	docs := []ModelDocument{}
	for _, m := range models {
		doc, err := h.modelDocument(r.Context(), m)
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return map[string]any{"models": docs}, nil
}

func (h *handler) showModel(r *http.Request) (any, error) {
	m, err := h.Registry.Model(r.Context(), r.PathValue("model"))
	if err != nil {
		return nil, err
	}
	return h.modelDocument(r.Context(), m)
}

func (h *handler) showVersion(r *http.Request) (any, error) {
	n, err := number(r, "version")
	if err != nil {
		return nil, err
	}
	v, err := h.Registry.Version(r.Context(), r.PathValue("model"), int(n))
	if err != nil {
		return nil, err
	}
	return h.withDecision(r.Context(), v)
}

func (h *handler) listDecisions(r *http.Request) (any, error) {
	q := r.URL.Query()
	ds, err := h.Gates.List(r.Context(), gate.Filter{Model: q.Get("model"), Verdict: gate.Outcome(q.Get("verdict")), Limit: limit(r, 100)})
	return map[string]any{"decisions": ds}, err
}

func (h *handler) showDecision(r *http.Request) (any, error) {
	d, err := h.Gates.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	waivers, err := h.Gates.Waivers(r.Context(), d.ID)
	return map[string]any{"decision": d, "waivers": waivers}, err
}

// WaiverRequest is the body of POST /api/v1/decisions/{id}/waivers.
type WaiverRequest struct {
	Bundle lastro.Digest `json:"bundle"` // digest of the decision as the person saw it
	Rule   string        `json:"rule"`
	Reason string        `json:"reason"`
	Until  time.Time     `json:"until"`
}

func (h *handler) waive(r *http.Request) (any, error) {
	var req WaiverRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return h.Actions.Waive(r.Context(), gate.WaiveRequest{Decision: r.PathValue("id"), Bundle: req.Bundle, Actor: actor(r), Rule: req.Rule,
		Reason: req.Reason, Until: req.Until})
}
