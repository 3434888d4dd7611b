// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"time"

	"lastro"
	"lastro/deploy"
	"lastro/deploy/local"
	"lastro/gate"
	"lastro/registry"
	"lastro/serve"
	"lastro/step/compare"
	"lastro/store"
)

func (h *House) newDeploys(self string) *deploy.Service {
	command := []string{self, "serve", "--state", h.Paths.State}
	if h.endpoints != "" {
		command = append(command, "--listen", h.endpoints)
	}
	return &deploy.Service{
		Store: store.NewDeploy(h.DB),
		Driver: &local.Driver{Dir: h.Paths.Serve(), Socket: h.Paths.serveSocket(),
			Command: command, Trees: trees{h},
			Interpreter: func(ctx context.Context, r deploy.Release, _ string) (string, error) {
				return h.interpreter(ctx, r.Settings.Lock)
			},
			Log: h.Log},
		Aliases: aliases{h},
		Eval:    evalRollback,
		Spec: func(name string) (deploy.Spec, bool) {
			if h.Project() == nil {
				return deploy.Spec{}, false
			}
			return h.Project().Environment(name)
		},
		Clock: h.Clock, Log: h.Log,
	}
}

// evalRollback evaluates a rule of rollback_if; a missing fact holds the canary.
func evalRollback(rule string, facts map[string]any) (bool, error) {
	fires, err := gate.EvalBool(rule, facts)
	var missing *gate.Missing
	if errors.As(err, &missing) {
		return false, &lastro.Error{Code: lastro.ENotFound, Msg: missing.Error()}
	}
	return fires, err
}

// aliases moves the registry's names for rollouts.
type aliases struct{ h *House }

// Point implements deploy.Aliases.
func (a aliases) Point(ctx context.Context, model, alias string, version int, _ lastro.Actor, why string) error {
	if version == 0 {
		err := a.h.Registry.DeleteAlias(ctx, byRollouts, model, alias, why)
		if lastro.Is(err, lastro.ENotFound) {
			return nil
		}
		return err
	}
	if v, err := a.h.Registry.ByAlias(ctx, model, alias); err == nil && v.Number == version {
		return nil
	}
	return a.h.Registry.SetAlias(ctx, byRollouts, model, alias, version, why)
}

// trees brings models out of the blob store.
type trees struct{ h *House }

// Materialise implements local.Trees.
func (t trees) Materialise(ctx context.Context, tree lastro.Digest, dir string) ([]byte, error) {
	if err := t.h.Blobs.Materialise(ctx, tree, dir); err != nil {
		return nil, err
	}
	r, err := t.h.Blobs.Open(ctx, tree)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// Release starts the rollout of a version to an environment.
func (h *House) Release(ctx context.Context, environment, model string, number int, by lastro.Actor, why string) (deploy.Release, deploy.Rollout, error) {
	v, err := h.Registry.Version(ctx, model, number)
	if err != nil {
		return deploy.Release{}, deploy.Rollout{}, err
	}
	ok, reason, err := h.Gates.Allows(ctx, model, v.Digest, h.Clock.Now())
	if err != nil {
		return deploy.Release{}, deploy.Rollout{}, err
	}
	if !ok {
		return deploy.Release{}, deploy.Rollout{}, &lastro.Error{Code: lastro.EGate, ID: "L0555", Msg: model + "@" + strconv.Itoa(number) + " may not go to " + environment + ": " + reason,
			Hint: "lastro why " + model + "@" + strconv.Itoa(number)}
	}
	if err := h.Blobs.Verify(ctx, v.Digest); err != nil {
		return deploy.Release{}, deploy.Rollout{}, &lastro.Error{Code: lastro.CodeOf(err), ID: "L0557",
			Msg:  fmt.Sprintf("%s@%d may not go to %s: its stored bytes are not those that were decided about", model, number, environment),
			Hint: "another version can go out; a run on the same commit and data makes this one again", Err: err}
	}
	return h.Deploys.Deploy(ctx, deploy.Request{Environment: environment, Model: model, Version: number, Digest: v.Digest,
		Settings: h.settings(v), By: by, Why: why})
}

// settings tells the data plane which columns are not the model's.
func (h *House) settings(v registry.Version) deploy.Settings {
	s := deploy.Settings{Lock: v.Lock, Run: v.Run}
	if h.Project() == nil {
		return s
	}
	for _, d := range h.Project().Datasets {
		if len(d.Key) == 1 && s.JoinKey == "" {
			s.JoinKey = d.Key[0]
		}
		if d.EventTime != "" && s.EventTime == "" {
			s.EventTime = d.EventTime
		}
	}
	for _, m := range h.Project().Monitors {
		if m.Performance != nil && m.Performance.Join != "" {
			s.JoinKey = m.Performance.Join
		}
	}
	return s
}

// offer starts the rollouts that a version with a passing decision is due to:
// every declared environment that follows an alias of its model. Somebody may
// have acted since: an environment with a release newer than since is left
// alone. So is one that has just rolled back this very version, when nothing
// new speaks for it; a person can still deploy it by name.
func (h *House) offer(ctx context.Context, v registry.Version, why string, reused bool, since time.Time) error {
	p := h.Project()
	if p == nil {
		return nil
	}
	for _, env := range p.Environments {
		if env.Model != v.Model {
			continue
		}
		over, err := h.settled(ctx, env.Name, v, reused, since)
		if err != nil {
			return err
		}
		if over != "" {
			h.Log.Info("not offered again", "version", v.Ref(), "environment", env.Name, "because", over)
			continue
		}
		if _, _, err := h.Release(ctx, env.Name, v.Model, v.Number, byRollouts, why); err != nil {
			return err
		}
	}
	return nil
}

// settled says why an environment is not to be offered a version; "" when it is.
func (h *House) settled(ctx context.Context, environment string, v registry.Version, reused bool, since time.Time) (string, error) {
	newest, err := h.Deploys.Store.Releases(ctx, environment, 1)
	if err != nil || len(newest) == 0 {
		return "", err
	}
	r := newest[0]
	if !since.IsZero() && r.At.After(since) {
		return "a release was made since the run", nil
	}
	if !reused || r.Model != v.Model || r.Version != v.Number {
		return "", nil
	}
	rollouts, err := h.Deploys.Store.Rollouts(ctx, environment, 1)
	if err == nil && len(rollouts) > 0 && rollouts[0].Release == r.Number && rollouts[0].State == deploy.RolledBack {
		return "it was rolled back: " + rollouts[0].Reason, nil
	}
	return "", err
}

// championOf finds what lastro/compare compares with.
type championOf struct{ h *House }

// Champion implements compare.Champions.
func (c championOf) Champion(ctx context.Context, alias string) (compare.Champion, bool, error) {
	if c.h.Project() == nil || c.h.Project().Model == nil {
		return compare.Champion{}, false, nil
	}
	v, err := c.h.Registry.ByAlias(ctx, c.h.Project().Model.Name, alias)
	if lastro.Is(err, lastro.ENotFound) {
		return compare.Champion{}, false, nil
	}
	return compare.Champion{Ref: v.Ref(), Digest: v.Digest}, err == nil, err
}

// Unpack implements compare.Champions.
func (c championOf) Unpack(ctx context.Context, ch compare.Champion, dir string) error {
	return c.h.Blobs.Materialise(ctx, ch.Digest, dir)
}

// modelInputs lists the columns that a version reads, from its schema.
func (h *House) modelInputs(ctx context.Context, model lastro.Ref) ([]string, error) {
	v, err := h.versionOf(ctx, model)
	if err != nil {
		return nil, err
	}
	dir, err := h.materialised(ctx, v.Digest, "model")
	if err != nil {
		return nil, err
	}
	schema, err := serve.ReadSchema(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range schema.Inputs {
		names = append(names, f.Name)
	}
	return names, nil
}

func (h *House) versionOf(ctx context.Context, ref lastro.Ref) (registry.Version, error) {
	_, model, version := ref.Parts()
	n, err := strconv.Atoi(version)
	if err != nil {
		return registry.Version{}, lastro.Errorf(lastro.EInvalid, "%q names no version", ref)
	}
	return h.Registry.Version(ctx, model, n)
}

// targetColumn is the truth's column: what lastro/compare is told, else what
// lastro/fairness is told.
func (h *House) targetColumn() string {
	if h.Project() == nil {
		return ""
	}
	var with struct{ Target, Outcome string }
	for _, s := range h.Project().Pipeline.Steps {
		if s.Kind == "lastro/compare" && json.Unmarshal(s.With, &with) == nil && with.Target != "" {
			return with.Target
		}
	}
	for _, s := range h.Project().Pipeline.Steps {
		if s.Kind == "lastro/fairness" && json.Unmarshal(s.With, &with) == nil && with.Outcome != "" {
			return with.Outcome
		}
	}
	return ""
}

// keyOf is the column that identifies a row of the first dataset with a key.
func (h *House) keyOf() string {
	for _, d := range h.Project().Datasets {
		if len(d.Key) == 1 {
			return d.Key[0]
		}
	}
	return ""
}

// predictionsStep is the step that keeps held-out predictions.
func (h *House) predictionsStep() (string, bool) {
	for _, s := range h.Project().Pipeline.Steps {
		for _, o := range s.Outputs {
			if o.Name == "predictions" {
				return s.Name, true
			}
		}
	}
	return "", false
}

// outputOf finds the output of a step in the run that made a version, as a
// file that engines can read.
func (h *House) outputOf(ctx context.Context, v registry.Version, step, output string) (string, error) {
	n, err := strconv.ParseInt(v.Run, 10, 64)
	if err != nil {
		return "", lastro.Errorf(lastro.ENotFound, "%s was not made by a run", v.Ref())
	}
	steps, err := h.Runs.StepRuns(ctx, n)
	if err != nil {
		return "", err
	}
	for _, s := range steps {
		if s.Step != step || !s.Selected || !s.State.OK() {
			continue
		}
		if a, ok := s.Output(output); ok {
			return h.materialised(ctx, a.Digest, filepath.Base(a.Path))
		}
	}
	return "", lastro.Errorf(lastro.ENotFound, "run #%d has no output %s.%s", n, step, output)
}

// RequestLog is the folder of an endpoint's request log.
func (p Paths) RequestLog(endpoint string) string { return filepath.Join(p.Serve(), "log", endpoint) }
