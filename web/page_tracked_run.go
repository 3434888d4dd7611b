// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
	"lastro/auth"
	"lastro/registry"
	"lastro/track"
)

// trackedPage is one tracked run.
type trackedPage struct {
	Run        track.Run
	Experiment track.Experiment
	Class      string
	Verdict    string
	Why        []phrase
	Step       string // what made it: #142 train[2], attempt 1
	StepLink   string
	Commit     string
	Note       template.HTML // what people wrote about it
	Metrics    []metricRow
	MoreLeft   string // how many metrics are not shown
	Curves     []curveView
	Tags       []track.Tag
	Said       []track.Tag // tags that clients write
	Models     []track.LoggedModel
	Read       []track.LoggedModel
	Versions   []registry.Version
	Files      trackedFiles
}

type metricRow struct {
	Key, Value, Step, When, On string
}

// trackedMetrics is how many metrics one page lists.
const trackedMetrics = 500

func (p *Pages) trackedRun(r *http.Request, l Lang) (string, page, error) {
	ctx := r.Context()
	run, err := p.ownRun(r)
	if err != nil {
		return "", page{}, err
	}
	e, err := p.Track.Experiment(ctx, run.ExperimentID)
	if err != nil {
		return "", page{}, err
	}
	body := trackedPage{Run: run, Experiment: e, Class: statusClass(run.Status)}
	body.describe(l)
	pg := page{Title: run.Name, Nav: "experiments"}
	if body.Commit, err = p.commitOf(ctx, run); err != nil {
		return "", pg, err
	}
	body.Step, body.StepLink = madeBy(l, run)
	if body.Curves, err = p.curvesOf(ctx, l, []track.Run{run}, curveNames([]track.Run{run})); err != nil {
		return "", pg, err
	}
	if err = p.modelsOf(ctx, r, &body); err != nil {
		return "", pg, err
	}
	if body.Files, err = p.filesOf(r, l, run); err != nil {
		return "", pg, err
	}
	if len(body.Curves) > 0 {
		pg.Scripts = []string{plotLibrary, curveScript}
	}
	if run.Status == track.Running {
		pg.Refresh = 10
	}
	pg.Body = body
	return "tracked.html", pg, nil
}

// madeBy names the step and the attempt that made a tracked run, with their address.
func madeBy(l Lang, run track.Run) (words, link string) {
	if words = originWords(run.Origin); words == "" {
		return "", ""
	}
	asked := url.Values{"step": {run.Origin.Step}}
	if run.Origin.Cell != "" {
		asked.Set("cell", run.Origin.Cell)
	}
	if n, err := strconv.Atoi(run.Tags[track.TagAttempt]); err == nil {
		words += ", " + l.T("run.attempt", n)
		asked.Set("attempt", strconv.Itoa(n))
	}
	return words, "/runs/" + run.Origin.Run + "?" + asked.Encode()
}

// ownRun is the tracked run of the address; its experiment has to fit.
func (p *Pages) ownRun(r *http.Request) (track.Run, error) {
	run, err := p.Track.Run(r.Context(), r.PathValue("run"))
	if err == nil && run.ExperimentID != r.PathValue("experiment") {
		err = lastro.Errorf(lastro.ENotFound, "experiment %s has no tracked run %s", r.PathValue("experiment"), run.ID)
	}
	return run, err
}

// describe says how the run ended, and lists what it reported.
func (b *trackedPage) describe(l Lang) {
	took := ""
	if !b.Run.EndedAt.IsZero() {
		took = l.Span(max(0, b.Run.EndedAt.Sub(b.Run.StartedAt)).Round(time.Millisecond))
	}
	switch b.Run.Status {
	case track.Finished:
		b.Verdict = l.T("tracked.finished", b.Run.Name, took)
	case track.Failed:
		b.Verdict = l.T("tracked.failed", b.Run.Name, took)
	case track.Killed:
		b.Verdict = l.T("tracked.killed", b.Run.Name, took)
	case track.Running:
		b.Verdict = l.T("tracked.running", b.Run.Name, l.Time(b.Run.StartedAt))
	default:
		b.Verdict = l.T("tracked.scheduled", b.Run.Name)
	}
	b.Why = append(b.Why, phrase{Text: l.T("tracked.began", l.Time(b.Run.StartedAt), l.Actor(b.Run.By))})
	if b.Run.State == track.Deleted {
		b.Why = append(b.Why, phrase{Text: l.T("tracked.deleted")})
	}
	if text := b.Run.Tags["mlflow.note.content"]; text != "" {
		b.Note, _ = summaryHTML(text)
	}
	for _, m := range b.Run.Metrics[:min(len(b.Run.Metrics), trackedMetrics)] {
		row := metricRow{Key: m.Key, Value: l.Measured(m.Value), Step: l.Int(m.Step), When: l.Time(m.At)}
		if m.DatasetName != "" {
			row.On = m.DatasetName
		}
		b.Metrics = append(b.Metrics, row)
	}
	if left := len(b.Run.Metrics) - len(b.Metrics); left > 0 {
		b.MoreLeft = l.T("run.more_found", l.Int(int64(left)))
	}
	for k, v := range b.Run.Tags {
		switch {
		case k == "mlflow.note.content":
		case strings.HasPrefix(k, "mlflow.") || strings.HasPrefix(k, "lastro."):
			b.Said = append(b.Said, track.Tag{Key: k, Value: shorten(v, 300)})
		default:
			b.Tags = append(b.Tags, track.Tag{Key: k, Value: shorten(v, 300)})
		}
	}
	for _, list := range [][]track.Tag{b.Tags, b.Said} {
		slices.SortFunc(list, func(a, b track.Tag) int { return strings.Compare(a.Key, b.Key) })
	}
}

// commitOf is the commit that a tracked run was made from: the one of its run,
// or the one that its client saw.
func (p *Pages) commitOf(ctx context.Context, run track.Run) (string, error) {
	if p.CommitOf != nil && run.Origin.Run != "" {
		if commit, err := p.CommitOf(ctx, run.Origin); commit != "" || err != nil {
			return commit, err
		}
	}
	return run.Tags["mlflow.source.git.commit"], nil
}

// modelsOf finds the logged models of a run, and the versions made of it for
// readers who may see the registry.
func (p *Pages) modelsOf(ctx context.Context, r *http.Request, b *trackedPage) error {
	seen := map[string]bool{}
	add := func(list *[]track.LoggedModel, id string) error {
		if seen[id] {
			return nil
		}
		seen[id] = true
		m, err := p.Track.LoggedModel(ctx, id)
		if lastro.Is(err, lastro.ENotFound) { // it may be deleted
			return nil
		}
		*list = append(*list, m)
		return err
	}
	for _, o := range b.Run.ModelOutputs {
		if err := add(&b.Models, o.ModelID); err != nil {
			return err
		}
	}
	for _, id := range b.Run.ModelInputs {
		if err := add(&b.Read, id); err != nil {
			return err
		}
	}
	if !auth.IdentityOf(ctx).May(auth.ReadRegistry) {
		return nil
	}
	var err error
	b.Versions, _, err = p.Registry.Versions(ctx, registry.Query{Limit: 50, Where: []registry.Clause{{Key: "run_id", Op: "=", Text: b.Run.ID}}})
	return err
}
