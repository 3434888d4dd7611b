// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"lastro"
	"lastro/registry"
	"lastro/track"
)

//go:embed mlflow-3.17.2.sql
var mlflowSchema string

// ExportedRelease is the release of MLflow whose tables an export has.
const ExportedRelease = "3.17.2"

// The names within the folder of an export.
const (
	ExportedDatabase  = "mlflow.db"
	ExportedArtifacts = "mlartifacts"
)

// Exporter writes a source into a new folder, as a database file and artifacts
// that a server of MLflow 3.17 and newer opens, with the ids that they have here.
type Exporter struct {
	Source Source
	Dir    string
	Plan   Plan // Renumber, Rename and RenameModels are not used
	Verify string
	Tell   func(string)
	Count  func(Counts)

	t      *tally
	source Source
	db     *sql.DB
	files  *os.Root
	inputs int
}

// Run writes the export. The database gets its name when it is complete: after
// a crash the command is given again, and begins anew.
func (x *Exporter) Run(ctx context.Context) (_ Result, err error) {
	final := filepath.Join(x.Dir, ExportedDatabase)
	if _, err := os.Lstat(final); err == nil {
		return Result{}, &lastro.Error{Code: lastro.EConflict, ID: "L0770", Msg: final + " exists already", Hint: "export into another folder, or remove it first"}
	}
	x.t = newTally(x.Source.About(), x.Count)
	x.source = Planned(x.Source, Plan{Experiments: x.Plan.Experiments, NoArtifacts: x.Plan.NoArtifacts, NoRegistry: x.Plan.NoRegistry, NoTraces: x.Plan.NoTraces})
	if err := os.MkdirAll(filepath.Join(x.Dir, ExportedArtifacts), 0o755); err != nil {
		return Result{}, err
	}
	part := final + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Result{}, err
	}
	if x.files, err = os.OpenRoot(filepath.Join(x.Dir, ExportedArtifacts)); err != nil {
		return Result{}, err
	}
	defer x.files.Close()
	address := (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: part}).EscapedPath()}).String()
	// Nothing but a whole file is ever used, so that no step of it needs to be safe.
	if x.db, err = sql.Open("sqlite", address+"?_pragma=journal_mode(off)&_pragma=synchronous(off)&_pragma=locking_mode(exclusive)"); err != nil {
		return Result{}, err
	}
	x.db.SetMaxOpenConns(1)
	if err := errors.Join(x.write(ctx), x.db.Close()); err != nil {
		return x.t.end(), err
	}
	if err := complete(part, final); err != nil {
		return x.t.end(), err
	}
	return x.compare(ctx, final)
}

// complete makes sure that a file is on the disk, and gives it its name.
func complete(part, final string) error {
	f, err := os.OpenFile(part, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, final)
}

func (x *Exporter) compare(ctx context.Context, file string) (Result, error) {
	x.t.result.Verify = x.Verify
	if x.Verify == VerifyOff {
		return x.t.end(), nil
	}
	x.say("comparing what was written")
	db, err := OpenDatabase(ctx, file, filepath.Join(x.Dir, ExportedArtifacts))
	if err != nil {
		return x.t.end(), err
	}
	defer db.Close()
	only, models := map[string]bool{}, map[string]bool{}
	if err := x.source.Experiments(ctx, func(e track.Experiment) error { only[e.ID] = true; return nil }); err != nil {
		return x.t.end(), err
	}
	if err := x.source.Models(ctx, func(m registry.Model) error { models[m.Name] = true; return nil }); err != nil {
		return x.t.end(), err
	}
	c := comparison{from: x.source, to: Planned(db, Plan{NoTraces: x.Plan.NoTraces}), how: x.Verify, t: x.t, only: only, models: models}
	x.t.result.Verified, err = c.run(ctx)
	return x.t.end(), err
}

func (x *Exporter) say(what string) {
	if x.Tell != nil {
		x.Tell(what)
	}
}

func (x *Exporter) exec(ctx context.Context, query string, args ...any) error {
	_, err := x.db.ExecContext(ctx, query, args...)
	return err
}

// insert writes a row into the columns that are named.
func (x *Exporter) insert(ctx context.Context, into string, args ...any) error {
	return x.exec(ctx, `INSERT OR IGNORE INTO `+into+` VALUES (`+marked(len(args))+`)`, args...)
}

func (x *Exporter) write(ctx context.Context) error {
	if _, err := x.db.ExecContext(ctx, mlflowSchema); err != nil {
		return fmt.Errorf("make MLflow's tables: %w", err)
	}
	if err := x.exec(ctx, `BEGIN`); err != nil {
		return err
	}
	var list []track.Experiment
	if err := x.source.Experiments(ctx, func(e track.Experiment) error { list = append(list, e); return nil }); err != nil {
		return err
	}
	for _, e := range list {
		x.say("experiment " + e.Name)
		if err := x.experiment(ctx, e); err != nil {
			return fmt.Errorf("experiment %s: %w", e.ID, err)
		}
	}
	if err := x.registry(ctx); err != nil {
		return err
	}
	return x.exec(ctx, `COMMIT`)
}

// ms is a time as MLflow's tables keep it; nil for none.
func ms(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// orNull is a text as MLflow's tables keep it; nil for "".
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func (x *Exporter) experiment(ctx context.Context, e track.Experiment) error {
	x.t.add(Experiments, Count{Found: 1, Moved: 1})
	if err := x.insert(ctx, `experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time)`,
		e.ID, e.Name, artifactScheme+"/"+e.ID, string(e.State), ms(e.CreatedAt), ms(e.UpdatedAt)); err != nil {
		return err
	}
	for k, v := range e.Tags {
		if err := x.insert(ctx, `experiment_tags (key, value, experiment_id)`, k, v, e.ID); err != nil {
			return err
		}
	}
	if err := x.source.LoggedModels(ctx, e.ID, func(m LoggedModel) error { return x.logged(ctx, m) }); err != nil {
		return err
	}
	if err := x.source.Runs(ctx, e.ID, func(r Run) error { return x.run(ctx, r) }); err != nil {
		return err
	}
	return x.traces(ctx, e)
}

func (x *Exporter) run(ctx context.Context, r Run) error {
	x.t.add(Runs, Count{Found: 1, Moved: 1})
	root := track.RunRoot(r.ExperimentID, r.ID)
	if err := x.insert(ctx, `runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, end_time, source_version, lifecycle_stage, artifact_uri, experiment_id, deleted_time)`,
		r.ID, r.Name, "UNKNOWN", "", "", r.User, string(r.Status), ms(r.StartedAt), ms(r.EndedAt), "", string(r.State), artifactScheme+"/"+root, r.ExperimentID, ms(r.DeletedAt)); err != nil {
		return err
	}
	for _, p := range r.Params {
		if err := x.insert(ctx, `params (key, value, run_uuid)`, p.Key, p.Value, r.ID); err != nil {
			return err
		}
	}
	for k, v := range r.Tags {
		if err := x.insert(ctx, `tags (key, value, run_uuid)`, k, v, r.ID); err != nil {
			return err
		}
	}
	for _, m := range r.Metrics {
		v, nan := kept(m.Value)
		if err := x.insert(ctx, `latest_metrics (key, value, timestamp, step, is_nan, run_uuid)`, m.Key, v, m.At.UnixMilli(), m.Step, nan, r.ID); err != nil {
			return err
		}
	}
	if err := x.read(ctx, r); err != nil {
		return err
	}
	if err := x.source.Points(ctx, r, func(part []track.Metric) error { return x.points(ctx, r, part) }); err != nil {
		return err
	}
	return x.copyFiles(ctx, r.Root, root)
}

// kept is a value as MLflow's tables have it: no NaN and no infinity.
func kept(v float64) (float64, int) {
	switch {
	case math.IsNaN(v):
		return 0, 1
	case math.IsInf(v, 1):
		return math.MaxFloat64, 0
	case math.IsInf(v, -1):
		return -math.MaxFloat64, 0
	}
	return v, 0
}

// rowsAtOnce is how many points one statement inserts.
const rowsAtOnce = 500

func (x *Exporter) points(ctx context.Context, r Run, list []track.Metric) error {
	x.t.add(Points, Count{Found: len(list), Moved: len(list)})
	for start := 0; start < len(list); start += rowsAtOnce {
		part := list[start:min(start+rowsAtOnce, len(list))]
		args := make([]any, 0, 6*len(part))
		for _, m := range part {
			v, nan := kept(m.Value)
			args = append(args, m.Key, v, m.At.UnixMilli(), r.ID, m.Step, nan)
		}
		if err := x.exec(ctx, `INSERT OR IGNORE INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES `+
			strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?, ?, ?), ", len(part)), ", "), args...); err != nil {
			return err
		}
	}
	for _, m := range list {
		if m.LoggedModel == "" {
			continue
		}
		m.Run = r.ID
		if err := x.measured(ctx, r.ExperimentID, m); err != nil {
			return err
		}
	}
	return nil
}

// measured writes a point of a logged model.
func (x *Exporter) measured(ctx context.Context, experiment string, m track.Metric) error {
	v, nan := kept(m.Value)
	value := any(v)
	if nan == 1 {
		value = nil
	}
	return x.insert(ctx, `logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, metric_value, experiment_id, run_id, dataset_name, dataset_digest)`,
		m.LoggedModel, m.Key, m.At.UnixMilli(), m.Step, value, experiment, m.Run, orNull(m.DatasetName), orNull(m.DatasetDigest))
}

// newInput numbers the rows of inputs, whose ids mean nothing outside the file.
func (x *Exporter) newInput() string {
	x.inputs++
	return fmt.Sprintf("%032x", x.inputs)
}

// read writes what a run read and wrote.
func (x *Exporter) read(ctx context.Context, r Run) error {
	for _, in := range r.Inputs {
		if err := x.insert(ctx, `datasets (dataset_uuid, experiment_id, name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile)`,
			x.newInput(), r.ExperimentID, in.Name, in.Digest, in.SourceType, in.Source, orNull(in.Schema), orNull(in.Profile)); err != nil {
			return err
		}
		var dataset string
		if err := x.db.QueryRowContext(ctx, `SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?`, r.ExperimentID, in.Name, in.Digest).Scan(&dataset); err != nil {
			return err
		}
		id := x.newInput()
		if err := x.insert(ctx, `inputs (input_uuid, source_type, source_id, destination_type, destination_id)`, id, "DATASET", dataset, "RUN", r.ID); err != nil {
			return err
		}
		for k, v := range in.Tags {
			if err := x.insert(ctx, `input_tags (input_uuid, name, value)`, id, k, v); err != nil {
				return err
			}
		}
	}
	for _, m := range r.ModelInputs {
		if err := x.insert(ctx, `inputs (input_uuid, source_type, source_id, destination_type, destination_id)`, x.newInput(), "RUN_INPUT", r.ID, "MODEL_INPUT", m); err != nil {
			return err
		}
	}
	for _, m := range r.ModelOutputs {
		if err := x.insert(ctx, `inputs (input_uuid, source_type, source_id, destination_type, destination_id, step)`, x.newInput(), "RUN_OUTPUT", r.ID, "MODEL_OUTPUT", m.ModelID, m.Step); err != nil {
			return err
		}
	}
	return nil
}

func (x *Exporter) logged(ctx context.Context, m LoggedModel) error {
	x.t.add(Logged, Count{Found: 1, Moved: 1})
	status := 1
	for n, s := range loggedStatus {
		if s == m.Status {
			status = n
		}
	}
	root := track.ModelRoot(m.ExperimentID, m.ID)
	if err := x.insert(ctx, `logged_models (model_id, experiment_id, name, artifact_location, creation_timestamp_ms, last_updated_timestamp_ms, status, lifecycle_stage, model_type, source_run_id, status_message)`,
		m.ID, m.ExperimentID, m.Name, artifactScheme+"/"+root, m.CreatedAt.UnixMilli(), m.UpdatedAt.UnixMilli(), status, "active", m.Type, orNull(m.SourceRun), orNull(m.StatusText)); err != nil {
		return err
	}
	for _, p := range m.Params {
		if err := x.insert(ctx, `logged_model_params (model_id, experiment_id, param_key, param_value)`, m.ID, m.ExperimentID, p.Key, p.Value); err != nil {
			return err
		}
	}
	for k, v := range m.Tags {
		if err := x.insert(ctx, `logged_model_tags (model_id, experiment_id, tag_key, tag_value)`, m.ID, m.ExperimentID, k, v); err != nil {
			return err
		}
	}
	for _, p := range m.Metrics {
		p.LoggedModel = m.ID
		if err := x.measured(ctx, m.ExperimentID, p); err != nil {
			return err
		}
	}
	return x.copyFiles(ctx, m.Root, root)
}

func (x *Exporter) registry(ctx context.Context) error {
	return x.source.Models(ctx, func(m registry.Model) error {
		x.say("model " + m.Name)
		x.t.add(Registered, Count{Found: 1, Moved: 1})
		if err := x.insert(ctx, `registered_models (name, creation_time, last_updated_time, description)`, m.Name, ms(m.CreatedAt), ms(m.UpdatedAt), orNull(m.Description)); err != nil {
			return err
		}
		for k, v := range m.Tags {
			if err := x.insert(ctx, `registered_model_tags (key, value, name)`, k, v, m.Name); err != nil {
				return err
			}
		}
		for _, a := range m.Aliases {
			x.t.add(Aliases, Count{Found: 1, Moved: 1})
			if err := x.insert(ctx, `registered_model_aliases (alias, version, name)`, a.Name, a.Number, m.Name); err != nil {
				return err
			}
		}
		return x.source.Versions(ctx, m.Name, func(v Version) error { return x.version(ctx, v) })
	})
}

// version writes a version. Its files go to a folder of their own, because
// those that it was registered from may have changed since.
func (x *Exporter) version(ctx context.Context, v Version) error {
	x.t.add(Versions, Count{Found: 1, Moved: 1})
	var stored any
	if v.Root != "" {
		dir := "versions/" + v.Digest.Hex()
		stored = artifactScheme + "/" + dir
		if v.Source == "" {
			v.Source = artifactScheme + "/" + dir
		}
		if err := x.copyFiles(ctx, v.Root, dir); err != nil {
			return err
		}
	}
	if err := x.insert(ctx, `model_versions (name, version, creation_time, last_updated_time, description, user_id, current_stage, source, run_id, status, run_link, storage_location)`,
		v.Model, v.Number, ms(v.CreatedAt), ms(v.UpdatedAt), v.Description, orNull(v.User), v.Stage, v.Source, orNull(v.TrackedRun), "READY", v.RunLink, stored); err != nil {
		return err
	}
	for k, val := range v.Tags {
		if err := x.insert(ctx, `model_version_tags (key, value, name, version)`, k, val, v.Model, v.Number); err != nil {
			return err
		}
	}
	return nil
}

// copyFiles writes the files below a root into a folder of the artifacts.
func (x *Exporter) copyFiles(ctx context.Context, root, dir string) error {
	return x.source.Files(ctx, root, func(f File) error {
		x.t.add(Artifacts, Count{Found: 1, Moved: 1, Bytes: f.Size})
		to := path.Join(dir, f.Path)
		if !filepath.IsLocal(filepath.FromSlash(to)) {
			return lastro.Errorf(lastro.EInvalid, "%q cannot be a file's name", to)
		}
		if err := x.files.MkdirAll(filepath.FromSlash(path.Dir(to)), 0o755); err != nil {
			return err
		}
		if err := x.files.Remove(filepath.FromSlash(to)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return x.copyFile(ctx, root, f, to)
	})
}

func (x *Exporter) copyFile(ctx context.Context, root string, f File, to string) error {
	r, err := x.source.Open(ctx, root, f.Path)
	if err != nil {
		return fmt.Errorf("read artifact %s: %w", f.Path, err)
	}
	defer r.Close()
	w, err := x.files.OpenFile(filepath.FromSlash(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Close()
}
