// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"

	"lastro"
)

// ImportModel creates a model as it was elsewhere, with its description, tags
// and times. One of that name that is here already stays as it is, and created
// is false. What is declared or protected is never imported.
func (s *Service) ImportModel(ctx context.Context, by lastro.Actor, m Model) (created bool, err error) {
	if err := checkName("model", m.Name); err != nil {
		return false, err
	}
	if err := checkTags(m.Tags); err != nil {
		return false, err
	}
	m.By, m.Declared, m.Protect, m.Tags = by, false, nil, ClientTags(m.Tags)
	now := s.clock.Now()
	if m.CreatedAt.IsZero() {
		m.CreatedAt = now
	}
	if m.UpdatedAt.IsZero() {
		m.UpdatedAt = m.CreatedAt
	}
	ev := m.created()
	ev.At = now
	err = s.store.CreateModel(ctx, m, ev)
	if lastro.Is(err, lastro.EConflict) {
		return false, nil
	}
	return err == nil, err
}

// ImportVersion creates a version as it was elsewhere, with its number, stage,
// description, tags and times. The same one again changes nothing and created is
// false; another one of that number is lastro.EConflict. The blob tree Digest
// exists. A live stage of a declared model needs evidence, and becomes None.
func (s *Service) ImportVersion(ctx context.Context, v Version) (created bool, err error) {
	if err := s.checkVersion(v); err != nil {
		return false, err
	}
	if v.Number < 1 {
		return false, lastro.Errorf(lastro.EInvalid, "%d is not the number of a version", v.Number)
	}
	m, err := s.store.Model(ctx, v.Model)
	if err != nil {
		return false, err
	}
	now := s.clock.Now()
	if v.CreatedAt.IsZero() {
		v.CreatedAt = now
	}
	if v.UpdatedAt.IsZero() {
		v.UpdatedAt = v.CreatedAt
	}
	if v.Stage == "" || m.Declared && live(v.Stage) {
		v.Stage = "None"
	}
	v.Tags = v.tagged()
	ev := v.created()
	ev.At = now
	err = s.store.PutVersion(ctx, v, ev)
	if !lastro.Is(err, lastro.EConflict) {
		return err == nil, err
	}
	have, verr := s.store.Version(ctx, v.Model, v.Number)
	if verr == nil && have.Digest == v.Digest && have.Source == v.Source {
		return false, nil
	}
	return false, &lastro.Error{Code: lastro.EConflict, ID: "L0725", Msg: fmt.Sprintf("model %q has, or had, another version %d", v.Model, v.Number),
		Hint: "import it under another name"}
}
