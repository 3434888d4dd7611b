// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lastro"
)

// SetAlias points an alias at a version. On a protected alias the guard is
// asked first. Pointing it where it points already changes nothing. why may
// name what allowed it. When somebody else moves the alias at the same time,
// one of both fails with lastro.EConflict (L0721).
func (s *Service) SetAlias(ctx context.Context, by lastro.Actor, model, alias string, number int, why string) error {
	if err := checkAlias(alias); err != nil {
		return err
	}
	return s.steady(func() error {
		m, err := s.store.Model(ctx, model)
		if err != nil {
			return err
		}
		to, err := s.store.Version(ctx, model, number)
		if err != nil {
			return err
		}
		from, err := s.pointsAt(ctx, m, alias)
		if err != nil || from.Number == to.Number {
			return err
		}
		if m.protects(alias) {
			if err := s.ask(ctx, Move{Kind: MoveAlias, Model: model, Alias: alias, From: from, To: to, By: by, Why: why}); err != nil {
				return err
			}
		}
		return s.move(ctx, m, AliasMove{Model: model, Alias: alias, From: from.Number, To: number, By: by, Why: why}, to.Digest)
	})
}

// DeleteAlias removes an alias; one that is not there is no error.
func (s *Service) DeleteAlias(ctx context.Context, by lastro.Actor, model, alias, why string) error {
	return s.steady(func() error {
		m, err := s.store.Model(ctx, model)
		if err != nil {
			return err
		}
		from, err := s.pointsAt(ctx, m, alias)
		if err != nil || from.Number == 0 {
			return err
		}
		if m.protects(alias) {
			if err := s.ask(ctx, Move{Kind: RemoveAlias, Model: model, Alias: alias, From: from, By: by, Why: why}); err != nil {
				return err
			}
		}
		return s.move(ctx, m, AliasMove{Model: model, Alias: alias, From: from.Number, By: by, Why: why}, "")
	})
}

// SetStage gives a version a stage of the MLflow protocol. On a declared model
// a stage other than None and Archived is a promotion like any protected
// alias, and taking a version out of one is like taking the alias away. With archive the other
// versions of that stage become Archived.
func (s *Service) SetStage(ctx context.Context, by lastro.Actor, model string, number int, stage string, archive bool) (Version, error) {
	err := s.steady(func() error { return s.setStage(ctx, by, model, number, stage, archive) })
	if err != nil {
		return Version{}, err
	}
	return s.store.Version(ctx, model, number)
}

func (s *Service) setStage(ctx context.Context, by lastro.Actor, model string, number int, stage string, archive bool) error {
	m, err := s.store.Model(ctx, model)
	if err != nil {
		return err
	}
	v, err := s.store.Version(ctx, model, number)
	if err != nil {
		return err
	}
	var leave []Version
	if archive {
		all, err := s.VersionsOf(ctx, model)
		if err != nil {
			return err
		}
		leave = slices.DeleteFunc(all, func(o Version) bool { return o.Number == number || o.Stage != stage })
	}
	if m.Declared && live(v.Stage) && v.Stage != stage { // nothing would be there any more
		if err := s.ask(ctx, Move{Kind: MoveStage, Model: model, Alias: v.Stage, From: v, By: by}); err != nil {
			return err
		}
	}
	if m.Declared && live(stage) {
		var from Version
		if len(leave) > 0 {
			from = leave[0]
		}
		if err := s.ask(ctx, Move{Kind: MoveStage, Model: model, Alias: stage, From: from, To: v, By: by}); err != nil {
			return err
		}
	}
	at := s.clock.Now()
	var moves []StageMove
	var events []lastro.Event
	add := func(o Version, to string) {
		moves = append(moves, StageMove{Number: o.Number, From: o.Stage, To: to})
		events = append(events, lastro.NewEvent(at, by, "version.staged", o.Ref(), map[string]any{"from": o.Stage, "to": to, "digest": o.Digest}))
	}
	for _, o := range leave {
		add(o, "Archived")
	}
	add(v, stage)
	return s.store.MoveStages(ctx, m, moves, at, events...)
}

// live reports whether a stage is one that people deploy from.
func live(stage string) bool { return stage != "None" && stage != "Archived" }

// Rename gives a model another name. A declared model moves with all its
// protected aliases, so the guard is asked.
func (s *Service) Rename(ctx context.Context, by lastro.Actor, from, to string) (Model, error) {
	if err := checkName("model", to); err != nil {
		return Model{}, err
	}
	err := s.steady(func() error {
		m, err := s.store.Model(ctx, from)
		if err != nil {
			return err
		}
		if m.Declared {
			if err := s.ask(ctx, Move{Kind: RenameModel, Model: from, Name: to, By: by}); err != nil {
				return err
			}
		}
		at := s.clock.Now()
		return s.store.RenameModel(ctx, m, to, at, lastro.NewEvent(at, by, "model.renamed", m.Ref(), map[string]any{"to": to}))
	})
	if err != nil {
		return Model{}, err
	}
	return s.Model(ctx, to)
}

// Delete removes a model with its versions and aliases. Their bytes stay in
// the blob store and their history in the events.
func (s *Service) Delete(ctx context.Context, by lastro.Actor, model string) error {
	return s.steady(func() error {
		m, err := s.store.Model(ctx, model)
		if err != nil {
			return err
		}
		if m.Declared {
			if err := s.ask(ctx, Move{Kind: DeleteModel, Model: model, By: by}); err != nil {
				return err
			}
		}
		at := s.clock.Now()
		return s.store.DeleteModel(ctx, m, by, at, lastro.NewEvent(at, by, "model.deleted", m.Ref(), nil))
	})
}

// DeleteVersion removes a version and the aliases on it. The guard is asked
// when one of those is protected, or the version has a live stage.
func (s *Service) DeleteVersion(ctx context.Context, by lastro.Actor, model string, number int) error {
	return s.steady(func() error {
		m, err := s.store.Model(ctx, model)
		if err != nil {
			return err
		}
		v, err := s.store.Version(ctx, model, number)
		if err != nil {
			return err
		}
		held := slices.DeleteFunc(slices.Clone(v.Aliases), func(a string) bool { return !m.protects(a) })
		if m.Declared && live(v.Stage) {
			held = append(held, v.Stage)
		}
		for _, name := range held {
			if err := s.ask(ctx, Move{Kind: DeleteVersion, Model: model, Alias: name, From: v, By: by}); err != nil {
				return err
			}
		}
		at := s.clock.Now()
		var events []lastro.Event
		for _, alias := range v.Aliases {
			events = append(events, AliasMove{Model: model, Alias: alias, From: number, By: by, At: at, Why: VersionDeleted}.event(m, ""))
		}
		events = append(events, lastro.NewEvent(at, by, "version.deleted", v.Ref(), map[string]any{"digest": v.Digest}))
		return s.store.DeleteVersion(ctx, m, v, by, at, events...)
	})
}

// Why an alias went with what it pointed at.
const (
	VersionDeleted = "version deleted"
	ModelDeleted   = "model deleted"
)

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
func (s *Service) pointsAt(ctx context.Context, m Model, alias string) (Version, error) {
	i := slices.IndexFunc(m.Aliases, func(a Alias) bool { return a.Name == alias })
	if i < 0 {
		return Version{}, nil
	}
	v, err := s.store.Version(ctx, m.Name, m.Aliases[i].Number)
	if lastro.Is(err, lastro.ENotFound) { // it was deleted since m was read
		return v, ErrChanged
	}
	return v, err
}

func (s *Service) move(ctx context.Context, seen Model, m AliasMove, digest lastro.Digest) error {
	m.At = s.clock.Now()
	return s.store.MoveAlias(ctx, seen, m, m.event(seen, digest))
}

func (m AliasMove) event(of Model, digest lastro.Digest) lastro.Event {
	return lastro.NewEvent(m.At, m.By, "alias.moved", lastro.NewRef("model", m.Model, m.Alias),
		map[string]any{"alias": m.Alias, "from": m.From, "to": m.To, "digest": digest, "why": m.Why, "prompt": of.IsPrompt()})
}

// Aliases are those that MLflow's clients can set; the second pattern reads
// like a version in a model URI.
var (
	aliasPattern = regexp.MustCompile(`^[\pL\pN_-]{1,255}$`)
	likeVersion  = regexp.MustCompile(`^[vV]?[0-9]+$`)
)

// checkAlias refuses aliases that could not be spelled in a model URI, or that
// could be taken for something else there.
func checkAlias(alias string) error {
	switch {
	case !aliasPattern.MatchString(alias):
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0720", Msg: fmt.Sprintf("%.300q cannot be an alias", alias), Hint: "use 1 to 255 letters, digits, _ and -"}
	case strings.EqualFold(alias, "latest") || likeVersion.MatchString(alias):
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0720", Msg: fmt.Sprintf("%q cannot be an alias: it reads like a version", alias),
			Hint: "choose a word such as champion"}
	}
	return nil
}
