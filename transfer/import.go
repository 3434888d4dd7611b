// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"lastro"
	"lastro/blob"
	"lastro/registry"
	"lastro/track"
)

// Writer takes whole contents into this lastro; every call can be repeated.
type Writer interface {
	// Marks returns what was remembered of things that were moved here before.
	Marks(ctx context.Context, kind string, ids []string) (map[string]string, error)
	PutExperiment(ctx context.Context, e track.Experiment, mark string, events ...lastro.Event) error
	PutRuns(ctx context.Context, parts []track.RunPart) error
	PutLoggedModel(ctx context.Context, p track.ModelPart) error
	// PutTrace remembers a trace that was moved, with its attachments.
	PutTrace(ctx context.Context, id string, files []track.Artifact, mark string) error
}

// Registry is this lastro's registry, with what it protects.
type Registry interface {
	Models
	Model(ctx context.Context, name string) (registry.Model, error)
	ImportModel(ctx context.Context, by lastro.Actor, m registry.Model) (created bool, err error)
	ImportVersion(ctx context.Context, v registry.Version) (created bool, err error)
	SetAlias(ctx context.Context, by lastro.Actor, model, alias string, number int, why string) error
}

// Importer moves a source into this lastro.
type Importer struct {
	Source   Source
	Contents Contents
	Write    Writer
	Registry Registry
	Blobs    Blobs
	Tracing  Tracing // nil: traces are left out
	By       lastro.Actor
	Plan     Plan
	// GoOn leaves out what is in conflict, and moves the rest.
	GoOn bool
	// Again moves also what seems not to have changed since it was moved.
	Again  bool
	Verify string         // full, quick or off
	Tell   func(string)   // what is being done; may be nil
	Count  func(c Counts) // how far it is; may be nil, must not keep c
	Clock  lastro.Clock

	t      *tally
	source Source // as planned
	only   map[string]bool
	models map[string]bool
}

// Run moves everything and compares. It can be called again after it was
// killed: what was moved is not moved twice. A difference is in the result, not an error.
func (i *Importer) Run(ctx context.Context) (Result, error) {
	if err := i.Plan.Check(); err != nil {
		return Result{}, err
	}
	i.t = newTally(i.Source.About(), i.Count)
	i.source = Planned(i.Source, i.Plan)
	for _, l := range i.t.result.Source.Left {
		i.t.note(fmt.Sprintf("%d %s", l.Count, l.Kind), l.Why)
	}
	list, err := i.experiments(ctx)
	if err != nil {
		return i.t.end(), err
	}
	for _, e := range list {
		i.say("experiment " + e.Name)
		if err := i.experiment(ctx, e); err != nil {
			return i.t.end(), err
		}
	}
	if err := i.registry(ctx); err != nil {
		return i.t.end(), err
	}
	i.t.result.Verify = i.Verify
	if i.Verify == VerifyOff {
		return i.t.end(), nil
	}
	i.say("comparing with the source")
	c := comparison{from: i.source, to: Own{Contents: i.Contents, Registry: i.Registry, Blobs: i.Blobs, Tracing: i.Tracing}, how: i.Verify, t: i.t, only: i.only, models: i.models}
	verified, err := c.run(ctx)
	i.t.result.Verified = verified
	return i.t.end(), err
}

func (i *Importer) say(what string) {
	if i.Tell != nil {
		i.Tell(what)
	}
}

// experiments lists those to move, after all conflicts were looked for: nothing
// is written before somebody has decided about them.
func (i *Importer) experiments(ctx context.Context) ([]track.Experiment, error) {
	var list []track.Experiment
	if err := i.source.Experiments(ctx, func(e track.Experiment) error { list = append(list, e); return nil }); err != nil {
		return nil, err
	}
	if len(list) == 0 && len(i.Plan.Experiments) > 0 {
		return nil, &lastro.Error{Code: lastro.ENotFound, ID: "L0767", Msg: fmt.Sprintf("the source has no experiment %q", strings.Join(i.Plan.Experiments, ", ")), Hint: "name experiments by their name or id; leave --experiment out for all"}
	}
	i.t.add(Experiments, Count{Found: len(list)})
	clashes, err := i.clashes(ctx, list)
	if err != nil {
		return nil, err
	}
	modelClashes, err := i.modelClashes(ctx)
	if err != nil {
		return nil, err
	}
	if n := len(clashes) + len(modelClashes); n > 0 && !i.GoOn {
		return nil, conflict(clashes, modelClashes)
	}
	i.only = map[string]bool{}
	var out []track.Experiment
	for _, e := range list {
		if why, ok := clashes[e.ID]; ok {
			i.t.skip(Experiments, fmt.Sprintf("experiment %q (%s) with its runs", e.Name, e.ID), why)
			continue
		}
		i.only[e.ID] = true
		out = append(out, e)
	}
	return out, nil
}

// clashes says which experiments cannot be moved as they are: by id here, the reason.
func (i *Importer) clashes(ctx context.Context, list []track.Experiment) (map[string]string, error) {
	here, err := i.Contents.Experiments(ctx)
	if err != nil {
		return nil, err
	}
	byID, byName := map[string]track.Experiment{}, map[string]track.Experiment{}
	for _, e := range here {
		byID[e.ID], byName[e.Name] = e, e
	}
	out := map[string]string{}
	for _, e := range list {
		if other, ok := byName[e.Name]; ok && other.ID != e.ID {
			out[e.ID] = fmt.Sprintf("the name %q is that of experiment %s here; give it another: --rename %s=NAME", e.Name, other.ID, i.there(e.ID))
		} else if other, ok := byID[e.ID]; ok && e.ID != "0" && other.Name != e.Name {
			if marks, err := i.Write.Marks(ctx, "experiment", []string{e.ID}); err != nil {
				return nil, err
			} else if marks[e.ID] == i.markOfExperiment() {
				continue // it was moved from here, and renamed since
			}
			out[e.ID] = fmt.Sprintf("the id %s is that of experiment %q here; give it another: --renumber %s=NUMBER", e.ID, other.Name, i.there(e.ID))
		}
	}
	return out, nil
}

func (i *Importer) there(id string) string { return i.source.(planned).there(id) }

// markOfExperiment is where an experiment came from: its id alone says nothing,
// since every server counts from 1.
func (i *Importer) markOfExperiment() string { return "from " + i.t.result.Source.Where }

func conflict(experiments, models map[string]string) error {
	e := &lastro.Error{Code: lastro.EConflict, ID: "L0768", Msg: fmt.Sprintf("%d of what the source has cannot be moved as it is; nothing was written", len(experiments)+len(models)),
		Hint: "decide for each, as said above, or leave these out: --skip-conflicts"}
	for _, list := range []map[string]string{experiments, models} {
		for _, k := range sorted(list) {
			e.Notes = append(e.Notes, list[k])
		}
	}
	return e
}

// experiment moves one with everything in it.
func (i *Importer) experiment(ctx context.Context, e track.Experiment) error {
	marks, err := i.Write.Marks(ctx, "experiment", []string{e.ID})
	if err != nil {
		return err
	}
	_, there := marks[e.ID]
	if here, err := i.Contents.Experiments(ctx); err != nil {
		return err
	} else if !there && e.ID != "0" {
		for _, h := range here {
			if h.ID == e.ID { // of the same name, or it would be a conflict: its runs come to those that are here
				i.t.note(string(e.Ref()), "it is here with the same id and name; its runs come to those that are here", "time", "tags", "state")
				there = true
			}
		}
	}
	if e.By = i.By; !there || marks[e.ID] != "" {
		at := i.Clock.Now()
		if e.CreatedAt.IsZero() {
			e.CreatedAt = at
		}
		if e.UpdatedAt.IsZero() {
			e.UpdatedAt = e.CreatedAt
		}
		if e.State == track.Deleted { // in the bin since now, or the next gc would empty it
			e.UpdatedAt = at
		}
		ev := lastro.NewEvent(at, i.By, "experiment.imported", e.Ref(), map[string]any{"name": e.Name, "source": i.t.result.Source.Where})
		if err := i.Write.PutExperiment(ctx, e, i.markOfExperiment(), ev); err != nil {
			return err
		}
	}
	if there {
		i.t.add(Experiments, Count{There: 1})
	} else {
		i.t.add(Experiments, Count{Moved: 1})
	}
	if err := i.loggedModels(ctx, e.ID); err != nil {
		return err
	}
	if err := i.runs(ctx, e.ID); err != nil {
		return err
	}
	return i.traces(ctx, e)
}

// workers is how many runs are read at a time: reading waits for the disk or
// the server, and for artifacts above all.
const workers = 4

// runs moves the runs of an experiment.
func (i *Importer) runs(ctx context.Context, experiment string) error {
	out := &portions{write: i.Write}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	var batch []Run
	flush := func() error {
		ids := make([]string, len(batch))
		for k, r := range batch {
			ids[k] = r.ID
		}
		marks, err := i.Write.Marks(inner, "trackedrun", ids)
		if err != nil {
			return err
		}
		for _, r := range batch {
			i.t.add(Runs, Count{Found: 1})
			have, there := marks[r.ID]
			mark := markOf(r)
			if there && have == mark && !i.Again {
				i.t.add(Runs, Count{There: 1})
				continue
			}
			group.Go(func() error { return i.run(inner, r, mark, out) })
		}
		batch = nil
		return nil
	}
	err := i.source.Runs(inner, experiment, func(r Run) error {
		if batch = append(batch, r); len(batch) < runsAtOnce {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if gerr := group.Wait(); gerr != nil { // what went wrong first
		return gerr
	}
	if err != nil {
		return err
	}
	return out.flush(ctx)
}

// run moves one run: its head with the first points, then the rest.
func (i *Importer) run(ctx context.Context, r Run, mark string, out *portions) error {
	head := r.Run
	head.By, head.Origin = i.By, track.Origin{}
	if head.State == track.Deleted { // in the bin since now, or the next gc would empty it
		head.DeletedAt = i.Clock.Now()
	}
	next := track.RunPart{ID: r.ID, Head: &head}
	points := 0
	err := i.source.Points(ctx, r, func(part []track.Metric) error {
		points += len(part)
		next.Points = append(next.Points, part...)
		if len(next.Points) < pointsAtOnce {
			return nil
		}
		err := out.add(ctx, next)
		next = track.RunPart{ID: r.ID}
		return err
	})
	if err != nil {
		return fmt.Errorf("run %s: %w", r.ID, err)
	}
	files, err := i.files(ctx, string(r.Ref()), r.Root, track.RunRoot(r.ExperimentID, r.ID))
	if err != nil {
		return fmt.Errorf("run %s: %w", r.ID, err)
	}
	next.Files, next.Last, next.Mark = files, true, mark
	if err := out.add(ctx, next); err != nil {
		return err
	}
	i.t.add(Points, Count{Found: points, Moved: points})
	i.t.add(Runs, Count{Moved: 1})
	return nil
}

// portions collects parts of runs until they are worth a transaction.
type portions struct {
	write  Writer
	mu     sync.Mutex
	parts  []track.RunPart
	points int
}

// What one transaction takes at most.
const (
	partsAtOnce = 100
	pointsMost  = 50_000
)

func (p *portions) add(ctx context.Context, part track.RunPart) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts = append(p.parts, part)
	p.points += len(part.Points)
	if len(p.parts) < partsAtOnce && p.points < pointsMost {
		return nil
	}
	return p.flushLocked(ctx)
}

func (p *portions) flush(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.flushLocked(ctx)
}

func (p *portions) flushLocked(ctx context.Context) error {
	parts := p.parts
	if len(parts) == 0 {
		return nil
	}
	p.parts, p.points = nil, 0
	return p.write.PutRuns(ctx, parts)
}

// files moves the bytes below a root and returns their names here. What cannot
// be read is noted, and the rest is moved.
func (i *Importer) files(ctx context.Context, ref, root, here string) (out []track.Artifact, err error) {
	if root == "" || i.Plan.NoArtifacts {
		return nil, nil
	}
	at := i.Clock.Now()
	err = i.source.Files(ctx, root, func(f File) error {
		if f.Path == spansFile && strings.HasPrefix(ref, "trace:") {
			return nil // its spans are moved as spans
		}
		i.t.add(Artifacts, Count{Found: 1})
		name, changed, err := nameHere(here, f.Path)
		if err != nil {
			i.t.skip(Artifacts, ref, fmt.Sprintf("artifact %.200q has a name that cannot be kept", f.Path), "artifacts")
			return nil
		}
		if changed {
			i.t.note(ref, fmt.Sprintf("artifact %.200q has characters that names here do not have; it is %q", f.Path, strings.TrimPrefix(name, here+"/")))
		}
		digest, size, err := i.bytes(ctx, root, f)
		if lastro.Is(err, lastro.EInvalid) {
			i.t.skip(Artifacts, ref, fmt.Sprintf("artifact %.200q: %s", f.Path, err), "artifacts")
			return nil
		}
		if err != nil {
			return err
		}
		i.t.add(Artifacts, Count{Moved: 1, Bytes: size})
		out = append(out, track.Artifact{Path: name, Digest: digest, Size: size, At: at})
		return nil
	})
	var none *ErrNoFiles
	if errors.As(err, &none) {
		i.t.skip(Artifacts, ref, none.Error(), "artifacts")
		return out, nil
	}
	return out, err
}

// bytes streams one file into the content store.
func (i *Importer) bytes(ctx context.Context, root string, f File) (lastro.Digest, int64, error) {
	r, err := i.source.Open(ctx, root, f.Path)
	if err != nil {
		return "", 0, fmt.Errorf("read artifact %s: %w", f.Path, err)
	}
	defer r.Close()
	digest, size, err := i.Blobs.Put(ctx, r)
	if err != nil {
		return "", 0, fmt.Errorf("artifact %s: %w", f.Path, err)
	}
	if f.Size > 0 && size != f.Size {
		return "", 0, lastro.Errorf(lastro.EErrored, "artifact %s has %d bytes and not %d: it was cut short, or changes now", f.Path, size, f.Size)
	}
	return digest, size, nil
}

func (i *Importer) loggedModels(ctx context.Context, experiment string) error {
	return i.source.LoggedModels(ctx, experiment, func(m LoggedModel) error {
		i.t.add(Logged, Count{Found: 1})
		marks, err := i.Write.Marks(ctx, "loggedmodel", []string{m.ID})
		if err != nil {
			return err
		}
		mark := markOfLogged(m)
		if marks[m.ID] == mark && !i.Again {
			i.t.add(Logged, Count{There: 1})
			return nil
		}
		part := track.ModelPart{LoggedModel: m.LoggedModel, Mark: mark}
		part.By, part.Origin = i.By, track.Origin{}
		if part.Files, err = i.files(ctx, string(m.Ref()), m.Root, track.ModelRoot(m.ExperimentID, m.ID)); err != nil {
			return fmt.Errorf("logged model %s: %w", m.ID, err)
		}
		if err := i.Write.PutLoggedModel(ctx, part); err != nil {
			return err
		}
		i.t.add(Logged, Count{Moved: 1})
		return nil
	})
}

var (
	runSource     = regexp.MustCompile(`^runs:/([0-9a-f]{32})/(.+)$`)
	versionSource = regexp.MustCompile(`^models:/([^/@:]+)/([0-9]{1,9})$`)
	storedRun     = regexp.MustCompile(`(?:^|/)([0-9]+)/([0-9a-f]{32})/artifacts((?:/.*)?)$`)
	storedModel   = regexp.MustCompile(`(?:^|/)([0-9]+)/models/(m-[0-9a-f]{32})/artifacts((?:/.*)?)$`)
)

// entriesHere lists files that are here under names below dir.
func (i *Importer) entriesHere(ctx context.Context, dir string) ([]blob.Entry, error) {
	if track.CheckPath(dir) != nil {
		return nil, nil
	}
	list, err := i.Contents.Artifacts(ctx, dir, 0)
	out := make([]blob.Entry, len(list))
	for k, a := range list {
		out[k] = blob.Entry{Path: strings.TrimPrefix(a.Path, dir+"/"), Digest: a.Digest, Size: a.Size}
	}
	return out, err
}

// filesOf finds the files of a version: among what was moved with its run or
// logged model, or at its own place in the source.
func (i *Importer) filesOf(ctx context.Context, v Version) ([]blob.Entry, error) {
	for _, dir := range i.placesOf(v) {
		entries, err := i.entriesHere(ctx, dir)
		if err != nil || len(entries) > 0 {
			return entries, err
		}
	}
	if isSymbolic(v.Root) {
		return nil, nil
	}
	var out []blob.Entry
	err := i.source.Files(ctx, v.Root, func(f File) error {
		digest, size, err := i.bytes(ctx, v.Root, f)
		if err == nil {
			out = append(out, blob.Entry{Path: path.Clean(f.Path), Digest: digest, Size: size})
			i.t.add(Artifacts, Count{Found: 1, Moved: 1, Bytes: size})
		}
		return err
	})
	return out, err
}

// placesOf lists the folders here that the files of a version may be in.
func (i *Importer) placesOf(v Version) (out []string) {
	here := func(experiment string) string {
		if id, ok := i.Plan.Renumber[experiment]; ok {
			return id
		}
		return experiment
	}
	for _, root := range []string{v.Root, v.Source} {
		if m := storedRun.FindStringSubmatch(root); m != nil {
			out = append(out, track.RunRoot(here(m[1]), m[2])+safeName(m[3]))
		}
		if m := storedModel.FindStringSubmatch(root); m != nil {
			out = append(out, track.ModelRoot(here(m[1]), m[2])+safeName(m[3]))
		}
	}
	return out
}
