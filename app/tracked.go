// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"lastro"
	"lastro/api/mlflow"
	"lastro/track"
)

// TrackedSearch asks for tracked runs as people do.
type TrackedSearch struct {
	Experiments []string // names or ids; nil = every active experiment
	Filter      string   // as MLflow writes it: metrics.auc > 0.8 AND params.depth = '4'
	Order       []string // such as "metrics.auc DESC"; nil = the newest first
	Deleted     bool     // the deleted ones instead
}

// Query turns the question into a search of track.
func (h *House) Query(ctx context.Context, s TrackedSearch) (track.Query, error) {
	q, err := mlflow.RunQuery(s.Filter, s.Order)
	if err != nil {
		return q, err
	}
	q.State = track.Active
	if s.Deleted {
		q.State = track.Deleted
	}
	for _, name := range s.Experiments {
		e, err := h.FindExperiment(ctx, name)
		if err != nil {
			return q, err
		}
		q.Experiments = append(q.Experiments, e.ID)
	}
	return q, nil
}

// EachTracked calls f with the tracked runs that a query finds, page by page,
// until most were found (0 = all) or f fails. It reports whether there are more.
func (h *House) EachTracked(ctx context.Context, q track.Query, most int, f func(track.Run) error) (more bool, err error) {
	found := 0
	for {
		q.Limit = 500
		if most > 0 {
			q.Limit = min(q.Limit, most-found)
		}
		list, next, err := h.Track.Runs(ctx, q)
		if err != nil {
			return false, err
		}
		for _, r := range list {
			if err := f(r); err != nil {
				return false, err
			}
		}
		if found += len(list); next == "" || most > 0 && found >= most {
			return next != "", nil
		}
		q.Token = next
	}
}

// ListExperiments lists experiments that fit a filter, in the filter's language of
// experiments, with what they hold.
func (h *House) ListExperiments(ctx context.Context, filter string, order []string, deleted bool, most int) (list []track.Experiment, activity map[string]track.Activity, more bool, err error) {
	q, err := mlflow.ExperimentQuery(filter, order)
	if err != nil {
		return nil, nil, false, err
	}
	q.State, q.Limit = track.Active, most
	if deleted {
		q.State = track.Deleted
	}
	list, next, err := h.Track.Experiments(ctx, q)
	if err != nil {
		return nil, nil, false, err
	}
	ids := make([]string, len(list))
	for i, e := range list {
		ids[i] = e.ID
	}
	activity, err = h.Track.Activity(ctx, ids)
	return list, activity, next != "", err
}

// FindExperiment finds an experiment by its name, or else by its id.
func (h *House) FindExperiment(ctx context.Context, name string) (track.Experiment, error) {
	e, err := h.Track.ExperimentByName(ctx, name)
	if lastro.Is(err, lastro.ENotFound) {
		e, err = h.Track.Experiment(ctx, name)
	}
	if lastro.Is(err, lastro.ENotFound) {
		return e, &lastro.Error{Code: lastro.ENotFound, ID: "L0780", Msg: fmt.Sprintf("there is no experiment %q", name), Hint: "lastro experiments"}
	}
	return e, err
}

// CompareTracked compares tracked runs that are named as FindTracked takes them.
func (h *House) CompareTracked(ctx context.Context, names []string, all bool) (track.Comparison, error) {
	var ids []string
	for _, name := range names {
		found, err := h.FindTracked(ctx, name)
		if err != nil {
			return track.Comparison{}, err
		}
		ids = append(ids, found...)
	}
	return h.Track.Compare(ctx, ids, track.CompareOptions{All: all, Commit: h.commitOf})
}

// commitOf is the commit of the run that a step belonged to.
func (h *House) commitOf(ctx context.Context, o track.Origin) (string, error) {
	n, err := strconv.ParseInt(o.Run, 10, 64)
	if err != nil {
		return "", nil
	}
	r, err := h.Runs.Run(ctx, n)
	if lastro.Is(err, lastro.ENotFound) { // a tracked run may outlive its run
		return "", nil
	}
	return r.Git.Commit, err
}

var (
	pipelineRun = regexp.MustCompile(`^#?([0-9]{1,9})(?:/([A-Za-z0-9_.-]+)(?:\[([0-9]+)\])?)?$`)
	trackedID   = regexp.MustCompile(`^[0-9a-f]{32}$`)
	trackedPart = regexp.MustCompile(`^[0-9a-f]{4,31}$`)
)

// FindTracked finds tracked runs by what people write: an id or its first four
// digits and more, a name, or 142, 142/train and 142/train[2] for all that a run
// or a step of the pipeline tracked, oldest first.
func (h *House) FindTracked(ctx context.Context, name string) ([]string, error) {
	if trackedID.MatchString(name) {
		return []string{name}, nil
	}
	if m := pipelineRun.FindStringSubmatch(name); m != nil {
		return h.trackedOf(ctx, name, m[1], m[2], m[3])
	}
	found := map[string]track.Run{}
	look := func(key string, op track.Op, text string) error {
		list, _, err := h.Track.Runs(ctx, track.Query{State: track.Active, Limit: 5, Where: []track.Clause{{Field: track.Attribute, Key: key, Op: op, Text: text}}})
		for _, r := range list {
			found[r.ID] = r
		}
		return err
	}
	if err := look("run_name", track.Eq, name); err != nil {
		return nil, err
	}
	if trackedPart.MatchString(name) {
		if err := look("run_id", track.Like, name+"%"); err != nil {
			return nil, err
		}
	}
	var ids, notes []string
	for id, r := range found {
		ids = append(ids, id)
		notes = append(notes, fmt.Sprintf("%s  %s, started %s", id, r.Name, r.StartedAt.Local().Format("2006-01-02 15:04")))
	}
	switch len(ids) {
	case 0:
		return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0781", Msg: fmt.Sprintf("there is no tracked run %q", name),
			Hint: "lastro runs search lists them; an id may be cut to its first four digits and more"}
	case 1:
		return ids, nil
	}
	return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0782", Msg: fmt.Sprintf("%q means more than one tracked run", name), Notes: notes, Hint: "write more of the id"}
}

func (h *House) trackedOf(ctx context.Context, name, run, step, cell string) ([]string, error) {
	list, err := h.Track.RunsOf(ctx, strings.TrimLeft(run, "0"), step)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range list {
		if r.State == track.Active && (cell == "" || r.Origin.Cell == cell) {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) == 0 {
		return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0783", Msg: fmt.Sprintf("nothing was tracked in %s", name),
			Hint: "a step tracks when it calls mlflow.start_run(); lastro diff compares runs of the pipeline"}
	}
	return ids, nil
}
