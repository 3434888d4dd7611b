// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"math/big"
	"strconv"
	"time"

	"lastro"
)

// Caller is who reports: an actor and, for a step's token, the step. A step
// writes only what it created itself; anybody else writes everything that
// their permissions allow.
type Caller struct {
	By     lastro.Actor
	Origin Origin
	// Attempt is the attempt at the step of Origin that calls, from 1; 0 outside
	// of one. Attempts at one step may write each other's things.
	Attempt int
}

// Service is tracking as every door uses it. It is safe for concurrent use.
type Service struct {
	store Store
	clock lastro.Clock
}

// NewService returns tracking over s.
func NewService(s Store, c lastro.Clock) *Service { return &Service{store: s, clock: c} }

// mayWrite refuses a step that touches what another step, or a person, made.
func (c Caller) mayWrite(what, id string, o Origin) error {
	if c.Origin == (Origin{}) || c.Origin == o {
		return nil
	}
	return &lastro.Error{Code: lastro.EDenied,
		Msg:  fmt.Sprintf("step %s of run %s did not create %s %s, so it may read but not change it", c.Origin.Step, c.Origin.Run, what, id),
		Hint: "start a tracked run in this step: mlflow.start_run()"}
}

// mayManage refuses a step what only a person does to things that many share.
func (c Caller) mayManage(what string) error {
	if c.Origin == (Origin{}) {
		return nil
	}
	return &lastro.Error{Code: lastro.EDenied, Msg: fmt.Sprintf("a step may not %s", what), Hint: "do it outside the pipeline, with a token of your own"}
}

// CreateExperiment makes an experiment with a name that no other has.
func (s *Service) CreateExperiment(ctx context.Context, c Caller, name string, tags map[string]string) (Experiment, error) {
	if err := lastro.CheckText("the name of an experiment", name, 1, MaxName); err != nil {
		return Experiment{}, err
	}
	for k, v := range tags {
		if err := checkTagTo(Tag{k, v}, MaxTagOfAll); err != nil {
			return Experiment{}, err
		}
	}
	at := s.clock.Now()
	e := Experiment{ID: newExperimentID(), Name: name, State: Active, CreatedAt: at, UpdatedAt: at, By: c.By, Tags: tags}
	return e, s.store.CreateExperiment(ctx, e, lastro.NewEvent(at, c.By, "experiment.created", e.Ref(), map[string]any{"name": name}))
}

// newExperimentID returns 18 random decimal digits: MLflow's clients expect a
// number in a string.
func newExperimentID() string {
	low := big.NewInt(1e17)
	n, err := rand.Int(rand.Reader, new(big.Int).Mul(low, big.NewInt(9)))
	if err != nil {
		panic(err) // crypto/rand never fails on the systems that Go supports
	}
	return n.Add(n, low).String()
}

// NewID returns 32 random hex digits, the form of a tracked run's id.
func NewID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// Experiment returns one experiment.
func (s *Service) Experiment(ctx context.Context, id string) (Experiment, error) {
	return s.store.Experiment(ctx, id)
}

// ExperimentByName returns one experiment, also a deleted one.
func (s *Service) ExperimentByName(ctx context.Context, name string) (Experiment, error) {
	return s.store.ExperimentByName(ctx, name)
}

// Experiments searches experiments; next is the token of the next page, "" at the end.
func (s *Service) Experiments(ctx context.Context, q Query) (page []Experiment, next string, err error) {
	return s.store.SearchExperiments(ctx, q)
}

// RenameExperiment gives an experiment another name.
func (s *Service) RenameExperiment(ctx context.Context, c Caller, id, name string) error {
	if err := c.mayManage("rename an experiment"); err != nil {
		return err
	}
	if err := lastro.CheckText("the name of an experiment", name, 1, MaxName); err != nil {
		return err
	}
	e, err := s.activeExperiment(ctx, id)
	if err != nil {
		return err
	}
	before := e.Name
	e.Name, e.UpdatedAt = name, s.clock.Now()
	return s.store.UpdateExperiment(ctx, e, lastro.NewEvent(e.UpdatedAt, c.By, "experiment.renamed", e.Ref(), map[string]any{"from": before, "to": name}))
}

// SetExperimentState deletes or restores an experiment with its runs.
func (s *Service) SetExperimentState(ctx context.Context, c Caller, id string, state Lifecycle) error {
	if err := c.mayManage("delete or restore an experiment"); err != nil {
		return err
	}
	e, err := s.store.Experiment(ctx, id)
	if err != nil || e.State == state {
		return err
	}
	e.State, e.UpdatedAt = state, s.clock.Now()
	verb := map[Lifecycle]string{Deleted: "experiment.deleted", Active: "experiment.restored"}[state]
	return s.store.UpdateExperiment(ctx, e, lastro.NewEvent(e.UpdatedAt, c.By, verb, e.Ref(), nil))
}

// SetExperimentTag writes one tag of an experiment.
func (s *Service) SetExperimentTag(ctx context.Context, _ Caller, id string, tag Tag) error {
	if err := checkTagTo(tag, MaxTagOfAll); err != nil {
		return err
	}
	if _, err := s.activeExperiment(ctx, id); err != nil {
		return err
	}
	return s.store.SetExperimentTag(ctx, id, tag)
}

// DeleteExperimentTag removes one tag of an experiment.
func (s *Service) DeleteExperimentTag(ctx context.Context, _ Caller, id, key string) error {
	if _, err := s.activeExperiment(ctx, id); err != nil {
		return err
	}
	return s.store.DeleteExperimentTag(ctx, id, key)
}

func (s *Service) activeExperiment(ctx context.Context, id string) (Experiment, error) {
	e, err := s.store.Experiment(ctx, id)
	if err == nil && e.State != Active {
		err = &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("experiment %q (%s) is deleted", e.Name, id), Hint: "restore it first"}
	}
	return e, err
}

// The tags that say where a tracked run comes from. Clients cannot write them.
const (
	TagRun  = "lastro.run"
	TagStep = "lastro.step"
	TagCell = "lastro.cell"
	// TagAttempt is which attempt at the step it was, from 1.
	TagAttempt = "lastro.attempt"

	reservedTags = "lastro."

	// TagRunName is MLflow's own copy of a run's name, which its clients read and write.
	TagRunName = "mlflow.runName"
)

func (o Origin) tags() map[string]string {
	tags := map[string]string{}
	for k, v := range map[string]string{TagRun: o.Run, TagStep: o.Step, TagCell: o.Cell} {
		if v != "" {
			tags[k] = v
		}
	}
	return tags
}

// CreateRun starts a tracked run. Of r it takes ExperimentID, Name, User,
// StartedAt (zero = now) and Tags; the origin comes from the caller.
func (s *Service) CreateRun(ctx context.Context, c Caller, r Run) (Run, error) {
	for k, v := range r.Tags {
		if err := checkTag(Tag{k, v}); err != nil {
			return r, err
		}
	}
	r.ID, r.Status, r.State, r.By, r.Origin = NewID(), Running, Active, c.By, c.Origin
	if r.StartedAt.IsZero() {
		r.StartedAt = s.clock.Now()
	}
	if r.Name == "" {
		r.Name = r.Tags[TagRunName]
	}
	if r.Name == "" {
		r.Name = r.defaultName()
	}
	if err := lastro.CheckText("the name of a tracked run", r.Name, 1, MaxKey); err != nil {
		return r, err
	}
	tags := c.Origin.tags()
	if c.Attempt > 0 {
		tags[TagAttempt] = strconv.Itoa(c.Attempt)
	}
	for k, v := range r.Tags {
		tags[k] = v
	}
	tags[TagRunName] = r.Name
	r.Tags = tags
	ev := lastro.NewEvent(s.clock.Now(), c.By, "trackedrun.created", r.Ref(),
		map[string]any{"experiment": r.ExperimentID, "name": r.Name, "run": c.Origin.Run, "step": c.Origin.Step, "cell": c.Origin.Cell})
	err := s.store.CreateRun(ctx, r, ev)
	if lastro.Is(err, lastro.ENotFound) {
		if _, why := s.activeExperiment(ctx, r.ExperimentID); why != nil {
			err = why
		}
	}
	return r, err
}

// defaultName is the step, so that a list of runs reads well, or part of the id.
func (r Run) defaultName() string {
	switch {
	case r.Origin.Step == "":
		return "run-" + r.ID[:7]
	case r.Origin.Cell == "":
		return r.Origin.Step
	}
	return r.Origin.Step + " " + r.Origin.Cell
}

// Run returns one tracked run, also a deleted one.
func (s *Service) Run(ctx context.Context, id string) (Run, error) { return s.store.Run(ctx, id) }

// Runs searches tracked runs; next is the token of the next page, "" at the end.
func (s *Service) Runs(ctx context.Context, q Query) (page []Run, next string, err error) {
	return s.store.SearchRuns(ctx, q)
}

// RunsOf lists the tracked runs of a step of a pipeline run, oldest first;
// step "" means every step.
func (s *Service) RunsOf(ctx context.Context, run, step string) ([]Run, error) {
	return s.store.RunsOf(ctx, run, step)
}

// RunChange is what an update changes; nil and zero leave things as they are.
type RunChange struct {
	Name    string
	Status  Status
	EndedAt time.Time
}

// UpdateRun changes the name or the status of a tracked run, and returns it
// as RunInfo does.
func (s *Service) UpdateRun(ctx context.Context, c Caller, id string, change RunChange) (Run, error) {
	if change.Status != "" && !change.Status.Known() {
		return Run{}, lastro.Errorf(lastro.EInvalid, "%q is not a status of a tracked run", change.Status)
	}
	if change.Name != "" {
		if err := lastro.CheckText("the name of a tracked run", change.Name, 1, MaxKey); err != nil {
			return Run{}, err
		}
	}
	return s.store.UpdateRun(ctx, id, func(r *Run) ([]lastro.Event, error) {
		if err := c.mayChange(*r); err != nil {
			return nil, err
		}
		if change.Name != "" {
			r.Name = change.Name
		}
		if change.Status == "" {
			return nil, nil
		}
		r.Status = change.Status
		if !change.EndedAt.IsZero() || !r.Status.Terminal() {
			r.EndedAt = change.EndedAt
		} else if r.EndedAt.IsZero() {
			r.EndedAt = s.clock.Now()
		}
		if !r.Status.Terminal() {
			return nil, nil
		}
		return []lastro.Event{lastro.NewEvent(s.clock.Now(), c.By, "trackedrun.ended", r.Ref(), map[string]any{"status": r.Status})}, nil
	})
}

// RunsBy lists the tracked runs that one step and cell of a pipeline run
// created, oldest first; those of all its attempts.
func (s *Service) RunsBy(ctx context.Context, o Origin) ([]Run, error) { return s.store.RunsBy(ctx, o) }

// EndRunsOf ends the tracked runs that one step and cell left running, when it
// has ended itself: a script that was killed cannot say so.
func (s *Service) EndRunsOf(ctx context.Context, by lastro.Actor, o Origin, status Status) error {
	runs, err := s.store.RunsBy(ctx, o)
	if err != nil {
		return err
	}
	for _, r := range runs {
		if r.Status.Terminal() {
			continue
		}
		if _, err := s.UpdateRun(ctx, Caller{By: by}, r.ID, RunChange{Status: status}); err != nil {
			return err
		}
	}
	return nil
}

// SetRunState deletes or restores a tracked run.
func (s *Service) SetRunState(ctx context.Context, c Caller, id string, state Lifecycle) error {
	_, err := s.store.UpdateRun(ctx, id, func(r *Run) ([]lastro.Event, error) {
		if err := c.mayWrite("tracked run", id, r.Origin); err != nil || r.State == state {
			return nil, err
		}
		verb := "trackedrun.restored"
		r.State, r.DeletedAt = state, time.Time{}
		if state == Deleted {
			r.DeletedAt, verb = s.clock.Now(), "trackedrun.deleted"
		}
		return []lastro.Event{lastro.NewEvent(s.clock.Now(), c.By, verb, r.Ref(), nil)}, nil
	})
	return err
}

// RunDeleted is the error of writing to a tracked run in the bin.
func RunDeleted(id string) error {
	return &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("tracked run %s is deleted", id), Hint: "restore it first"}
}

// mayChange refuses to change a run that is deleted or that another step made.
func (c Caller) mayChange(r Run) error {
	if r.State != Active {
		return RunDeleted(r.ID)
	}
	return c.mayWrite("tracked run", r.ID, r.Origin)
}

// writable returns a run, as RunInfo does, that the caller may change now.
func (s *Service) writable(ctx context.Context, c Caller, id string) (Run, error) {
	r, err := s.store.RunInfo(ctx, id)
	if err != nil {
		return r, err
	}
	return r, c.mayChange(r)
}

// Log writes params, metrics and tags of one tracked run, all or none.
func (s *Service) Log(ctx context.Context, c Caller, runID string, b Batch) error {
	if err := b.check(); err != nil {
		return err
	}
	if err := s.modelsExist(ctx, b.Metrics); err != nil {
		return err
	}
	return s.store.Log(ctx, runID, b, c.mayChange)
}

// modelsExist checks the logged models that metrics are about. A step may
// measure a model of another step: the point says which run measured it.
func (s *Service) modelsExist(ctx context.Context, metrics []Metric) error {
	seen := map[string]bool{"": true}
	for _, m := range metrics {
		if seen[m.LoggedModel] {
			continue
		}
		seen[m.LoggedModel] = true
		if _, err := s.store.LoggedModel(ctx, m.LoggedModel); err != nil {
			return err
		}
	}
	return nil
}

// DeleteTag removes one tag of a tracked run.
func (s *Service) DeleteTag(ctx context.Context, c Caller, runID, key string) error {
	if _, err := s.writable(ctx, c, runID); err != nil {
		return err
	}
	if err := checkTag(Tag{Key: key}); err != nil {
		return err
	}
	return s.store.DeleteRunTag(ctx, runID, key)
}

// LogInputs records datasets and logged models that a tracked run read.
func (s *Service) LogInputs(ctx context.Context, c Caller, runID string, in []Input, models []string) error {
	if _, err := s.writable(ctx, c, runID); err != nil {
		return err
	}
	for _, m := range models {
		if _, err := s.store.LoggedModel(ctx, m); err != nil {
			return err
		}
	}
	return s.store.LogInputs(ctx, runID, in, models)
}

// LogOutputs records logged models that a tracked run wrote.
func (s *Service) LogOutputs(ctx context.Context, c Caller, runID string, out []ModelOutput) error {
	if _, err := s.writable(ctx, c, runID); err != nil {
		return err
	}
	for _, o := range out {
		if _, err := s.store.LoggedModel(ctx, o.ModelID); err != nil {
			return err
		}
	}
	return s.store.LogOutputs(ctx, runID, out)
}

// History returns points of one metric ordered by time, step and value.
func (s *Service) History(ctx context.Context, q HistoryQuery) ([]Metric, error) {
	return s.store.History(ctx, q)
}

// Points is History one point after the other, for histories of any length.
func (s *Service) Points(ctx context.Context, q HistoryQuery) iter.Seq2[Metric, error] {
	return s.store.Points(ctx, q)
}

// RunInfo returns a tracked run without params, metrics, tags, inputs and outputs.
func (s *Service) RunInfo(ctx context.Context, id string) (Run, error) {
	return s.store.RunInfo(ctx, id)
}
