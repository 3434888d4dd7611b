// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"lastro"
)

// SetAlias points an alias at a version. On a protected alias the guard is
// asked first. Pointing it where it points already changes nothing. why may
// name what allowed it.
func (s *Service) SetAlias(ctx context.Context, by lastro.Actor, model, alias string, number int, why string) error {
	if err := checkAlias(alias); err != nil {
		return err
	}
	m, err := s.store.Model(ctx, model)
	if err != nil {
		return err
	}
	to, err := s.store.Version(ctx, model, number)
	if err != nil {
		return err
	}
	from, err := s.pointsAt(ctx, model, alias)
	if err != nil || from.Number == to.Number {
		return err
	}
	if m.protects(alias) {
		if err := s.ask(ctx, Move{Kind: MoveAlias, Model: model, Alias: alias, From: from, To: to, By: by, Why: why}); err != nil {
			return err
		}
	}
	return s.move(ctx, AliasMove{Model: model, Alias: alias, From: from.Number, To: number, By: by, Why: why}, to.Digest)
}

// DeleteAlias removes an alias; one that is not there is no error.
func (s *Service) DeleteAlias(ctx context.Context, by lastro.Actor, model, alias, why string) error {
	m, err := s.store.Model(ctx, model)
	if err != nil {
		return err
	}
	from, err := s.pointsAt(ctx, model, alias)
	if err != nil || from.Number == 0 {
		return err
	}
	if m.protects(alias) {
		if err := s.ask(ctx, Move{Kind: RemoveAlias, Model: model, Alias: alias, From: from, By: by, Why: why}); err != nil {
			return err
		}
	}
	return s.move(ctx, AliasMove{Model: model, Alias: alias, From: from.Number, By: by, Why: why}, "")
}

// SetStage gives a version a stage of the MLflow protocol. On a declared model
// a stage other than None and Archived is a promotion like any protected
// alias, and so is taking a version out of one. With archive the other
// versions of that stage become Archived.
func (s *Service) SetStage(ctx context.Context, by lastro.Actor, model string, number int, stage string, archive bool) (Version, error) {
	m, err := s.store.Model(ctx, model)
	if err != nil {
		return Version{}, err
	}
	v, err := s.store.Version(ctx, model, number)
	if err != nil {
		return v, err
	}
	var leave []Version
	if archive {
		all, err := s.VersionsOf(ctx, model)
		if err != nil {
			return v, err
		}
		leave = slices.DeleteFunc(all, func(o Version) bool { return o.Number == number || o.Stage != stage })
	}
	if m.Declared && (live(stage) || live(v.Stage)) {
		var from Version
		if len(leave) > 0 {
			from = leave[0]
		}
		if err := s.ask(ctx, Move{Kind: MoveStage, Model: model, Alias: stage, From: from, To: v, By: by}); err != nil {
			return v, err
		}
	}
	for _, o := range leave {
		if err := s.stage(ctx, by, &o, "Archived"); err != nil {
			return v, err
		}
	}
	return v, s.stage(ctx, by, &v, stage)
}

func (s *Service) stage(ctx context.Context, by lastro.Actor, v *Version, stage string) error {
	before := v.Stage
	v.Stage, v.UpdatedAt = stage, s.clock.Now()
	return s.store.UpdateVersion(ctx, *v, lastro.NewEvent(v.UpdatedAt, by, "version.staged", v.Ref(), map[string]any{"from": before, "to": stage, "digest": v.Digest}))
}

// live reports whether a stage is one that people deploy from.
func live(stage string) bool { return stage != "None" && stage != "Archived" }

// Rename gives a model another name. A declared model moves with all its
// protected aliases, so the guard is asked.
func (s *Service) Rename(ctx context.Context, by lastro.Actor, from, to string) (Model, error) {
	if err := checkName("model", to); err != nil {
		return Model{}, err
	}
	m, err := s.store.Model(ctx, from)
	if err != nil {
		return m, err
	}
	if m.Declared {
		if err := s.ask(ctx, Move{Kind: RenameModel, Model: from, Name: to, By: by}); err != nil {
			return m, err
		}
	}
	if err := s.store.RenameModel(ctx, from, to, lastro.NewEvent(s.clock.Now(), by, "model.renamed", m.Ref(), map[string]any{"to": to})); err != nil {
		return m, err
	}
	return s.Model(ctx, to)
}

// Delete removes a model with its versions and aliases. Their bytes stay in
// the blob store and their history in the events.
func (s *Service) Delete(ctx context.Context, by lastro.Actor, model string) error {
	m, err := s.store.Model(ctx, model)
	if err != nil {
		return err
	}
	if m.Declared {
		if err := s.ask(ctx, Move{Kind: DeleteModel, Model: model, By: by}); err != nil {
			return err
		}
	}
	return s.store.DeleteModel(ctx, model, lastro.NewEvent(s.clock.Now(), by, "model.deleted", m.Ref(), nil))
}

// DeleteVersion removes a version and the aliases on it. The guard is asked
// when one of those is protected, or the version has a live stage.
func (s *Service) DeleteVersion(ctx context.Context, by lastro.Actor, model string, number int) error {
	m, err := s.store.Model(ctx, model)
	if err != nil {
		return err
	}
	v, err := s.store.Version(ctx, model, number)
	if err != nil {
		return err
	}
	for _, alias := range v.Aliases {
		if m.protects(alias) {
			if err := s.ask(ctx, Move{Kind: DeleteVersion, Model: model, Alias: alias, From: v, By: by}); err != nil {
				return err
			}
		}
	}
	if m.Declared && live(v.Stage) {
		if err := s.ask(ctx, Move{Kind: DeleteVersion, Model: model, Alias: v.Stage, From: v, By: by}); err != nil {
			return err
		}
	}
	for _, alias := range v.Aliases {
		if err := s.move(ctx, AliasMove{Model: model, Alias: alias, From: number, By: by, Why: "version deleted"}, ""); err != nil {
			return err
		}
	}
	return s.store.DeleteVersion(ctx, model, number, lastro.NewEvent(s.clock.Now(), by, "version.deleted", v.Ref(), map[string]any{"digest": v.Digest}))
}

// protects reports whether an alias moves only when the guard lets it.
func (m Model) protects(alias string) bool { return m.Declared && slices.Contains(m.Protect, alias) }

// ask asks the guard; without one the answer is no.
func (s *Service) ask(ctx context.Context, m Move) error {
	if s.guard == nil {
		return s.refuse(ctx, m, &lastro.Error{Code: lastro.EDenied,
			Msg:  fmt.Sprintf("%s of model %q is protected, and nothing here can decide whether it may move", m.Kind, m.Model),
			Hint: "ask where the project of this model is run: lastro up"})
	}
	if err := s.guard.MayMove(ctx, m); err != nil {
		return s.refuse(ctx, m, err)
	}
	return nil
}

// pointsAt returns the version under an alias, the zero Version if none.
func (s *Service) pointsAt(ctx context.Context, model, alias string) (Version, error) {
	a, err := s.store.Alias(ctx, model, alias)
	if lastro.Is(err, lastro.ENotFound) {
		return Version{}, nil
	}
	if err != nil {
		return Version{}, err
	}
	return s.store.Version(ctx, model, a.Number)
}

func (s *Service) move(ctx context.Context, m AliasMove, digest lastro.Digest) error {
	m.At = s.clock.Now()
	ev := lastro.NewEvent(m.At, m.By, "alias.moved", lastro.NewRef("model", m.Model, m.Alias),
		map[string]any{"alias": m.Alias, "from": m.From, "to": m.To, "digest": digest, "why": m.Why})
	return s.store.MoveAlias(ctx, m, ev)
}

// checkAlias refuses aliases that could be taken for something else in a model URI.
func checkAlias(alias string) error {
	if err := checkName("alias", alias); err != nil {
		return err
	}
	_, notNumber := strconv.Atoi(strings.TrimPrefix(strings.ToLower(alias), "v"))
	if strings.EqualFold(alias, "latest") || notNumber == nil {
		return &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%q cannot be an alias: it reads like a version", alias),
			Hint: "choose a word such as champion"}
	}
	return nil
}
