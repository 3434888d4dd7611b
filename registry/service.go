// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"lastro"
)

// alwaysProtected are the aliases that every declared model protects.
var alwaysProtected = []string{"candidate", "challenger", "champion"}

// Service is the registry as every door uses it. It is safe for concurrent use.
type Service struct {
	store Store
	guard Guard
	clock lastro.Clock
}

// NewService returns the registry over s. Without a guard nothing protected moves.
func NewService(s Store, g Guard, c lastro.Clock) *Service {
	return &Service{store: s, guard: g, clock: c}
}

// Declare records that a lastro.yaml declares these models, and creates those
// that do not exist. A declared model stays protected although the file may be
// unreadable or edited later: taking the line out of a file must not unlock an alias.
func (s *Service) Declare(ctx context.Context, by lastro.Actor, specs []Spec) error {
	for _, spec := range specs {
		if err := checkName("model", spec.Name); err != nil {
			return err
		}
		for _, alias := range spec.Protect {
			if err := checkAlias(alias); err != nil {
				return err
			}
		}
		if err := s.steady(func() error { return s.declare(ctx, by, spec) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) declare(ctx context.Context, by lastro.Actor, spec Spec) error {
	m, err := s.store.Model(ctx, spec.Name)
	if lastro.Is(err, lastro.ENotFound) {
		if m, err = s.create(ctx, Model{Name: spec.Name, By: by}); lastro.Is(err, lastro.EConflict) {
			m, err = s.store.Model(ctx, spec.Name)
		}
	}
	if err != nil {
		return err
	}
	protect := slices.Concat(alwaysProtected, spec.Protect, m.Protect)
	slices.Sort(protect)
	protect = slices.Compact(protect)
	if m.Declared && slices.Equal(protect, m.Protect) {
		return nil
	}
	at := s.clock.Now()
	return s.store.DeclareModel(ctx, m, protect, at, lastro.NewEvent(at, by, "model.declared", m.Ref(), map[string]any{"protect": protect}))
}

// steady does something again when a model was changed between looking at it
// and writing: others may have moved an alias, and what is decided on must be
// what is there.
func (s *Service) steady(f func() error) (err error) {
	for range 50 {
		if err = f(); !errors.Is(err, ErrChanged) {
			return err
		}
	}
	return &lastro.Error{Code: lastro.EConflict, ID: "L0721", Msg: "the model changes faster than it can be decided on", Hint: "try again", Err: err}
}

// Registration is what somebody registers.
type Registration struct {
	Version      // all but Number, Stage, times and Aliases
	Once    bool // return the version that the same Run already made from the same Digest: a pipeline's retry
}

// Register creates a version, and the model when it does not exist yet. It
// succeeds whoever asks and whatever the model is: only aliases need evidence.
// The caller has checked that the blob tree Digest exists.
func (s *Service) Register(ctx context.Context, r Registration) (v Version, created bool, err error) {
	if err := s.checkVersion(r.Version); err != nil {
		return v, false, err
	}
	if _, err := s.store.Model(ctx, r.Model); lastro.Is(err, lastro.ENotFound) {
		if _, err := s.create(ctx, Model{Name: r.Model, By: r.By}); err != nil && !lastro.Is(err, lastro.EConflict) {
			return v, false, err
		}
	}
	v = r.Version
	v.Tags = v.tagged()
	v.CreatedAt = s.clock.Now()
	v.UpdatedAt, v.Stage = v.CreatedAt, "None"
	return s.store.CreateVersion(ctx, v, r.Once && r.Run != "", Version.created)
}

func (s *Service) checkVersion(v Version) error {
	if err := checkName("model", v.Model); err != nil {
		return err
	}
	if _, err := lastro.ParseDigest(string(v.Digest)); err != nil {
		return err
	}
	return checkTags(v.Tags)
}

// created is the event of a new version.
func (v Version) created() lastro.Event {
	return lastro.NewEvent(v.CreatedAt, v.By, "version.created", v.Ref(), map[string]any{
		"digest": v.Digest, "run": v.Run, "step": v.Step, "cell": v.Cell, "trackedrun": v.TrackedRun, "source": v.Source,
		"data": v.DataVersions, "commit": v.Commit, "lock": v.Lock, "prompt": v.IsPrompt()})
}

// CreateModel creates a model without versions; lastro.EConflict when the name is taken.
func (s *Service) CreateModel(ctx context.Context, by lastro.Actor, m Model) (Model, error) {
	if err := checkName("model", m.Name); err != nil {
		return m, err
	}
	if err := checkTags(m.Tags); err != nil {
		return m, err
	}
	m.By, m.Declared, m.Protect, m.Tags = by, false, nil, ClientTags(m.Tags)
	return s.create(ctx, m)
}

func (s *Service) create(ctx context.Context, m Model) (Model, error) {
	m.CreatedAt = s.clock.Now()
	m.UpdatedAt = m.CreatedAt
	return m, s.store.CreateModel(ctx, m, m.created())
}

// created is the event of a new model.
func (m Model) created() lastro.Event {
	return lastro.NewEvent(m.CreatedAt, m.By, "model.created", m.Ref(), map[string]any{"prompt": m.IsPrompt()})
}

// Model returns a model with its tags, aliases and the newest version of each stage.
func (s *Service) Model(ctx context.Context, name string) (Model, error) {
	m, err := s.store.Model(ctx, name)
	if err != nil {
		return m, err
	}
	m.Latest, err = s.Latest(ctx, name, nil)
	return m, err
}

// Models searches models, each with the newest version of each stage; next is
// the token of the next page, "" at the end.
func (s *Service) Models(ctx context.Context, q Query) (page []Model, next string, err error) {
	page, next, err = s.store.SearchModels(ctx, q)
	if err != nil {
		return nil, "", err
	}
	names := make([]string, len(page))
	at := make(map[string]int, len(page))
	for i, m := range page {
		names[i], at[m.Name] = m.Name, i
	}
	latest, err := s.store.LatestVersions(ctx, names)
	for _, v := range latest {
		m := &page[at[v.Model]]
		m.Latest = append(m.Latest, v)
	}
	return page, next, err
}

// Version returns one version.
func (s *Service) Version(ctx context.Context, model string, number int) (Version, error) {
	return s.store.Version(ctx, model, number)
}

// Versions searches versions of all models; next is the token of the next page,
// "" at the end.
func (s *Service) Versions(ctx context.Context, q Query) (page []Version, next string, err error) {
	return s.store.SearchVersions(ctx, q)
}

// VersionsOf lists all versions of one model, newest first.
func (s *Service) VersionsOf(ctx context.Context, model string) ([]Version, error) {
	list, _, err := s.store.SearchVersions(ctx, Query{Where: []Clause{{Key: "name", Op: "=", Text: model}},
		Order: []Order{{Key: "version_number", Desc: true}}, Limit: 100_000})
	return list, err
}

// Latest returns the newest version of each of the stages, or of every stage
// that has one when stages is empty, in order of stage.
func (s *Service) Latest(ctx context.Context, model string, stages []string) ([]Version, error) {
	list, err := s.store.LatestVersions(ctx, []string{model})
	if len(stages) == 0 {
		return list, err
	}
	return slices.DeleteFunc(list, func(v Version) bool {
		return !slices.ContainsFunc(stages, func(s string) bool { return strings.EqualFold(s, v.Stage) })
	}), err
}

// ByAlias returns the version that an alias points at.
func (s *Service) ByAlias(ctx context.Context, model, alias string) (Version, error) {
	a, err := s.store.Alias(ctx, model, alias)
	if err != nil {
		return Version{}, err
	}
	return s.store.Version(ctx, model, a.Number)
}

// HasDigest reports whether any version is made of these bytes.
func (s *Service) HasDigest(ctx context.Context, d lastro.Digest) (bool, error) {
	return s.store.HasDigest(ctx, d)
}

// Describe changes a model's description.
func (s *Service) Describe(ctx context.Context, by lastro.Actor, model, description string) (Model, error) {
	at := s.clock.Now()
	ev := lastro.NewEvent(at, by, "model.described", lastro.NewRef("model", model, ""), nil)
	if err := s.store.DescribeModel(ctx, model, description, at, ev); err != nil {
		return Model{}, err
	}
	return s.Model(ctx, model)
}

// DescribeVersion changes a version's description.
func (s *Service) DescribeVersion(ctx context.Context, by lastro.Actor, model string, number int, description string) (Version, error) {
	at := s.clock.Now()
	ev := lastro.NewEvent(at, by, "version.described", lastro.NewRef("model", model, strconv.Itoa(number)), nil)
	if err := s.store.DescribeVersion(ctx, model, number, description, at, ev); err != nil {
		return Version{}, err
	}
	return s.store.Version(ctx, model, number)
}

// checkName refuses names that could not be spelled in a reference or a model URI.
func checkName(what, name string) error {
	bad := &lastro.Error{Code: lastro.EInvalid, Hint: "use 1 to 256 characters without / : @ and line breaks"}
	switch {
	case strings.TrimSpace(name) == "":
		bad.Msg = "the name of a " + what + " is empty"
	case len(name) > 256:
		bad.Msg = fmt.Sprintf("the name of a %s has %d bytes", what, len(name))
	case strings.ContainsAny(name, "/:@\\") || strings.ContainsFunc(name, unicode.IsControl):
		bad.Msg = fmt.Sprintf("%q cannot be the name of a %s", name, what)
	default:
		return nil
	}
	return bad
}

// refuse turns a guard's answer into what every door shows, and records it.
func (s *Service) refuse(ctx context.Context, m Move, cause error) error {
	var e *lastro.Error
	if !errors.As(cause, &e) || e.Code != lastro.EDenied {
		return cause // the guard could not decide: nothing moves, and nothing was refused either
	}
	subject := m.To.Ref()
	if m.To.Number == 0 {
		subject = lastro.NewRef("model", m.Model, "")
	}
	data := map[string]any{"kind": m.Kind, "alias": m.Alias, "why": e.Msg}
	if m.From.Number > 0 {
		data["from"] = strconv.Itoa(m.From.Number)
	}
	note := s.store.Note(ctx, lastro.NewEvent(s.clock.Now(), m.By, "alias.refused", subject, data))
	return errors.Join(cause, note)
}
