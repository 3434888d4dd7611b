// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"lastro"
	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/exec/process"
	"lastro/pipeline"
	"lastro/registry"
	"lastro/store"
	"lastro/track"
)

// tracking is the door through which steps reach MLflow tracking: a server on
// a unix socket, to which the supervisor forwards a loopback port. Each
// attempt gets a token that may write its own tracked runs only.
type tracking struct{ h *House }

func (h *House) tracking() tracking { return tracking{h} }

// Begin opens the door for one attempt.
func (t tracking) Begin(ctx context.Context, j *pipeline.Job) ([]string, error) {
	if err := t.h.serveTracking(); err != nil {
		return nil, err
	}
	if t.h.madeFor.Load() != j.Run {
		if err := t.h.makeExperiment(ctx); err != nil {
			return nil, err
		}
		t.h.madeFor.Store(j.Run)
	}
	if !j.Resumed && !t.h.DB.Shared() { // else it may have called another server
		t.h.silent.Store(trackerOf(j), true)
	}
	url, err := t.h.executor().trackURL(ctx)
	if err != nil {
		return nil, err
	}
	t.h.hideFrom(j)
	life := 25 * time.Hour
	if j.Step.Timeout > 0 {
		life = j.Step.Timeout + 5*time.Minute
	}
	secret, err := t.h.Auth.IssueStepToken(auth.StepID{Run: runName(j), Step: j.Step.Name, Cell: cellName(j), Attempt: j.Attempt}, life)
	if err != nil {
		return nil, err
	}
	return []string{"MLFLOW_TRACKING_URI=" + url, "MLFLOW_REGISTRY_URI=" + url, "MLFLOW_TRACKING_TOKEN=" + secret,
		"MLFLOW_EXPERIMENT_NAME=" + t.h.experiment(), "MLFLOW_ENABLE_ASYNC_LOGGING=false", "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=1"}, nil
}

func runName(j *pipeline.Job) string { return strconv.FormatInt(j.Run, 10) }

func cellName(j *pipeline.Job) string {
	if j.Cell == 0 {
		return ""
	}
	return strconv.Itoa(j.Cell)
}

func (h *House) experiment() string {
	if h.Project() != nil {
		return h.Project().Name
	}
	return "Default"
}

// makeExperiment makes the project's experiment before any step can: MLflow's
// client looks for MLFLOW_EXPERIMENT_NAME and then creates it, so of two cells
// that start together the second would fail.
func (h *House) makeExperiment(ctx context.Context) error {
	_, err := h.Track.ExperimentByName(ctx, h.experiment())
	if !lastro.Is(err, lastro.ENotFound) {
		return err
	}
	_, err = h.Track.CreateExperiment(ctx, track.Caller{By: lastro.System("engine")}, h.experiment(), nil)
	if lastro.Is(err, lastro.EConflict) {
		return nil
	}
	return err
}

// End closes the door, adds what the step's files say to what it tracked, and
// returns the newest metrics of that.
func (t tracking) End(ctx context.Context, j *pipeline.Job, state pipeline.State, found map[string]float64) (map[string]float64, error) {
	t.h.maskers.Delete(trackerOf(j))
	if _, silent := t.h.silent.LoadAndDelete(trackerOf(j)); silent {
		if state != pipeline.Succeeded {
			return nil, nil
		}
		return nil, t.keepFiles(ctx, j, nil, found)
	}
	if state != pipeline.Succeeded {
		if err := t.h.Track.EndRunsOf(ctx, lastro.System("engine"), originOf(j), track.Failed); err != nil {
			return nil, err
		}
	}
	runs, err := t.h.Track.RunsBy(ctx, originOf(j))
	if err != nil {
		return nil, err
	}
	if state == pipeline.Succeeded {
		if err := t.keepFiles(ctx, j, runs, found); err != nil {
			return nil, err
		}
	}
	facts := map[string]float64{}
	for _, r := range runs {
		if !ofAttempt(r, j) {
			continue
		}
		for _, m := range r.Metrics {
			facts["metrics."+m.Key] = m.Value
		}
	}
	return facts, nil
}

// serveTracking starts the server on the unix socket, once.
func (h *House) serveTracking() error {
	h.trackOnce.Do(func() { h.trackErr = h.startTracking() })
	return h.trackErr
}

func (h *House) startTracking() error {
	if err := h.admitSteps(); err != nil {
		return err
	}
	handler, err := auth.Handler(h.masked(h.mlflowRoutes()), auth.Options{Service: h.Auth, Log: h.Log, Refuse: mlflow.Refuse, Loopback: true})
	if err != nil {
		return err
	}
	l, err := process.ListenUnix(h.trackSocket())
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	h.onClose(func() error {
		err := srv.Close()
		<-done
		return err
	})
	return nil
}

func (h *House) mlflowRoutes() []auth.Route {
	return h.trustedOnly(mlflow.Routes(mlflow.Deps{Track: h.Track, Registry: h.Registry, Webhooks: h.Webhooks, Traces: h.Traces, Blobs: h.Blobs,
		MadeOf: h.madeOf, Mask: h.maskOf, Version: Version, Log: h.Log}))
}

// madeOf says what went into a step's work, for versions that its script
// registers.
func (h *House) madeOf(ctx context.Context, run, _, _ string) (mlflow.Ingredients, error) {
	n, err := strconv.ParseInt(run, 10, 64)
	if err != nil {
		return mlflow.Ingredients{}, lastro.Errorf(lastro.EInvalid, "%q is not a run", run)
	}
	r, err := h.Runs.Run(ctx, n)
	if err != nil {
		return mlflow.Ingredients{}, err
	}
	made := mlflow.Ingredients{Commit: r.Git.Commit}
	for _, d := range r.Datasets {
		made.Data = append(made.Data, registry.DataVersion{Dataset: d.Name, Digest: d.Digest})
	}
	return made, nil
}

// admitSteps lets the tokens of running steps in. Their key is kept, so that a
// step which outlives this process is known to the next one.
func (h *House) admitSteps() error {
	file := filepath.Join(h.Paths.State, "steps.key")
	key, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(key) < 32 { // cut short by a crash, it would sign for everybody
		key = []byte(rand.Text() + rand.Text())
		err = os.WriteFile(file, key, 0o600)
	}
	if err != nil {
		return diskError(err)
	}
	h.Auth.AdmitSteps(auth.Steps{Key: key, Running: h.stepRuns})
	return nil
}

func (h *House) stepRuns(ctx context.Context, id auth.StepID) (bool, error) {
	h.silent.Delete(tracker{id.Run, id.Step, id.Cell})
	n, err := strconv.ParseInt(id.Run, 10, 64)
	if err != nil {
		return false, nil
	}
	cell := 0
	if id.Cell != "" {
		if cell, err = strconv.Atoi(id.Cell); err != nil {
			return false, nil
		}
	}
	return store.NewPipeline(h.DB).Running(ctx, n, id.Step, cell, id.Attempt)
}
