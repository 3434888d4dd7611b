// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"

	"lastro"
	"lastro/track"
)

type createExperimentRequest struct {
	Name     string     `json:"name" need:"yes"`
	Location string     `json:"artifact_location"`
	Tags     []keyValue `json:"tags"`
}

// createExperiment accepts no artifact location: where bytes are kept is never
// a client's choice (SECURITY B1).
func (h *handler) createExperiment(ctx context.Context, req createExperimentRequest) (any, error) {
	if req.Location != "" {
		return nil, &lastro.Error{Code: lastro.EInvalid, Msg: "artifact_location cannot be chosen: artifacts are kept by their content",
			Hint: "leave it out"}
	}
	seen := map[string]bool{}
	for _, t := range req.Tags {
		if err := checkName("tag", t.Key); err != nil {
			return nil, err
		}
		if seen[t.Key] {
			return nil, lastro.Errorf(lastro.EConflict, "tag %q is there twice", t.Key)
		}
		seen[t.Key] = true
	}
	e, err := h.Track.CreateExperiment(ctx, caller(ctx), req.Name, asMap(req.Tags))
	return map[string]string{"experiment_id": e.ID}, err
}

type experimentRequest struct {
	ID string `json:"experiment_id" need:"yes"`
}

type experimentNameRequest struct {
	Name string `json:"experiment_name" need:"yes"`
}

type experimentAnswer struct {
	Experiment experiment `json:"experiment"`
}

func (h *handler) getExperiment(ctx context.Context, req experimentRequest) (any, error) {
	if err := checkExperimentID(req.ID); err != nil {
		return nil, err
	}
	e, err := h.Track.Experiment(ctx, req.ID)
	return experimentAnswer{toExperiment(e)}, err
}

func (h *handler) getExperimentByName(ctx context.Context, req experimentNameRequest) (any, error) {
	e, err := h.Track.ExperimentByName(ctx, req.Name)
	return experimentAnswer{toExperiment(e)}, err
}

type updateExperimentRequest struct {
	ID   string `json:"experiment_id" need:"yes"`
	Name string `json:"new_name" need:"yes"`
}

func (h *handler) updateExperiment(ctx context.Context, req updateExperimentRequest) (any, error) {
	return empty{}, h.Track.RenameExperiment(ctx, caller(ctx), req.ID, req.Name)
}

func (h *handler) deleteExperiment(ctx context.Context, req experimentRequest) (any, error) {
	return h.setExperimentState(ctx, req.ID, track.Deleted)
}

func (h *handler) restoreExperiment(ctx context.Context, req experimentRequest) (any, error) {
	return h.setExperimentState(ctx, req.ID, track.Active)
}

// setExperimentState finds nothing to delete or to restore in an experiment
// that is so already.
func (h *handler) setExperimentState(ctx context.Context, id string, state track.Lifecycle) (any, error) {
	e, err := h.Track.Experiment(ctx, id)
	if err != nil {
		return nil, err
	}
	if e.State == state {
		return nil, lastro.Errorf(lastro.ENotFound, "experiment %q (%s) is %s already", e.Name, id, state)
	}
	return empty{}, h.Track.SetExperimentState(ctx, caller(ctx), id, state)
}

type experimentTagRequest struct {
	ID    string `json:"experiment_id" need:"yes"`
	Key   string `json:"key" need:"yes"`
	Value string `json:"value"`
}

func (h *handler) setExperimentTag(ctx context.Context, req experimentTagRequest) (any, error) {
	if err := checkName("tag", req.Key); err != nil {
		return nil, err
	}
	return empty{}, h.Track.SetExperimentTag(ctx, caller(ctx), req.ID, track.Tag{Key: req.Key, Value: req.Value})
}

func (h *handler) deleteExperimentTag(ctx context.Context, req experimentTagRequest) (any, error) {
	return empty{}, h.Track.DeleteExperimentTag(ctx, caller(ctx), req.ID, req.Key)
}
