// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"

	"lastro"
)

// CreateLoggedModel makes a logged model in state PENDING. Of m it takes
// ExperimentID, Name, Type, SourceRun, Params and Tags.
func (s *Service) CreateLoggedModel(ctx context.Context, c Caller, m LoggedModel) (LoggedModel, error) {
	if _, err := s.activeExperiment(ctx, m.ExperimentID); err != nil {
		return m, err
	}
	if m.SourceRun != "" {
		if _, err := s.writable(ctx, c, m.SourceRun); err != nil {
			return m, err
		}
	}
	for _, p := range m.Params {
		if err := checkParam(p); err != nil {
			return m, err
		}
	}
	for k, v := range m.Tags {
		if err := checkTag(Tag{k, v}); err != nil {
			return m, err
		}
	}
	m.ID = "m-" + NewID()
	if m.Name == "" {
		m.Name = "model-" + m.ID[2:9]
	}
	if err := lastro.CheckText("the name of a logged model", m.Name, 1, MaxKey); err != nil {
		return m, err
	}
	m.Status, m.By, m.Origin = ModelPending, c.By, c.Origin
	m.CreatedAt = s.clock.Now()
	m.UpdatedAt = m.CreatedAt
	tags := c.Origin.tags()
	for k, v := range m.Tags {
		tags[k] = v
	}
	m.Tags = tags
	ev := lastro.NewEvent(m.CreatedAt, c.By, "loggedmodel.created", m.Ref(),
		map[string]any{"experiment": m.ExperimentID, "name": m.Name, "trackedrun": m.SourceRun, "run": c.Origin.Run, "step": c.Origin.Step})
	return m, s.store.CreateLoggedModel(ctx, m, ev)
}

// Ref returns "loggedmodel:ID".
func (m LoggedModel) Ref() lastro.Ref { return lastro.NewRef("loggedmodel", m.ID, "") }

// LoggedModel returns one logged model.
func (s *Service) LoggedModel(ctx context.Context, id string) (LoggedModel, error) {
	return s.store.LoggedModel(ctx, id)
}

// LoggedModels searches logged models; next is the token of the next page, "" at the end.
func (s *Service) LoggedModels(ctx context.Context, q Query) (page []LoggedModel, next string, err error) {
	return s.store.SearchLoggedModels(ctx, q)
}

// FinalizeLoggedModel says that a logged model is READY, or that its upload failed.
func (s *Service) FinalizeLoggedModel(ctx context.Context, c Caller, id string, status ModelStatus) (LoggedModel, error) {
	m, err := s.writableModel(ctx, c, id)
	if err != nil {
		return m, err
	}
	if status != ModelReady && status != ModelFailed && status != ModelPending {
		return m, lastro.Errorf(lastro.EInvalid, "%q is not a status of a logged model", status)
	}
	m.Status, m.UpdatedAt = status, s.clock.Now()
	return m, s.store.UpdateLoggedModel(ctx, m, lastro.NewEvent(m.UpdatedAt, c.By, "loggedmodel.finalized", m.Ref(), map[string]any{"status": status}))
}

// DeleteLoggedModel removes a logged model. Versions made of it stay.
func (s *Service) DeleteLoggedModel(ctx context.Context, c Caller, id string) error {
	m, err := s.writableModel(ctx, c, id)
	if err != nil {
		return err
	}
	return s.store.DeleteLoggedModel(ctx, id, lastro.NewEvent(s.clock.Now(), c.By, "loggedmodel.deleted", m.Ref(), nil))
}

// LogModelParams writes params of a logged model.
func (s *Service) LogModelParams(ctx context.Context, c Caller, id string, params []Param) error {
	if _, err := s.writableModel(ctx, c, id); err != nil {
		return err
	}
	for _, p := range params {
		if err := checkParam(p); err != nil {
			return err
		}
	}
	return s.store.LogModelParams(ctx, id, params)
}

// SetModelTags writes tags of a logged model.
func (s *Service) SetModelTags(ctx context.Context, c Caller, id string, tags []Tag) error {
	if _, err := s.writableModel(ctx, c, id); err != nil {
		return err
	}
	for _, t := range tags {
		if err := checkTag(t); err != nil {
			return err
		}
	}
	return s.store.SetModelTags(ctx, id, tags)
}

// DeleteModelTag removes one tag of a logged model.
func (s *Service) DeleteModelTag(ctx context.Context, c Caller, id, key string) error {
	if _, err := s.writableModel(ctx, c, id); err != nil {
		return err
	}
	return s.store.DeleteModelTag(ctx, id, key)
}

func (s *Service) writableModel(ctx context.Context, c Caller, id string) (LoggedModel, error) {
	m, err := s.store.LoggedModel(ctx, id)
	if err != nil {
		return m, err
	}
	return m, c.mayWrite("logged model", id, m.Origin)
}
