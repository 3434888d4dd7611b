// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/blob"
	"lastro/lineage"
	"lastro/pipeline"
)

// Reproduction is a run that was done again from its record, and how what it
// made compares.
type Reproduction struct {
	Of        int64          `json:"of"`
	Run       int64          `json:"run"` // that did it again
	State     pipeline.State `json:"state"`
	Identical bool           `json:"identical"`        // every artifact of every step has the same bytes
	Artifacts int            `json:"artifacts"`        // that were compared
	First     *Divergence    `json:"first,omitempty"`  // in the order of the steps; nil = none
	Others    int            `json:"others,omitempty"` // further artifacts that differ
	Notes     []string       `json:"notes,omitempty"`  // what could not be the same work
}

// Divergence is an artifact that has other bytes than the first time.
type Divergence struct {
	Step     string        `json:"step"`
	Cell     int           `json:"cell,omitempty"`
	Artifact string        `json:"artifact"`
	From     lastro.Digest `json:"from"`
	To       lastro.Digest `json:"to,omitempty"` // "" = it was not made
	FromSize int64         `json:"from_size"`    // bytes
	ToSize   int64         `json:"to_size"`
	File     string        `json:"file,omitempty"`  // within a folder: the first one that differs
	Where    string        `json:"where,omitempty"` // for people: the first line, value or byte that differs
}

// Reproduce does a run again from its recorded files, params, data versions and
// lock, without the cache, and compares the artifacts. Nothing is registered or
// deployed, and no other run takes its results from the cache.
func (h *House) Reproduce(ctx context.Context, number int64, actor lastro.Actor, obs pipeline.Observer, notes func(string)) (Reproduction, RunResult, error) {
	run, tidy, err := h.again(ctx, number, actor, obs, notes)
	if err != nil {
		return Reproduction{Of: number}, RunResult{}, err
	}
	defer tidy()
	run, err = h.working(ctx, func() (pipeline.Run, error) { return h.waitOrCancel(ctx, run.Number) })
	out := RunResult{Run: run}
	if err != nil {
		return Reproduction{Of: number}, out, err
	}
	if out.Steps, err = h.Runs.StepRuns(ctx, run.Number); err != nil {
		return Reproduction{Of: number}, out, err
	}
	rep, err := h.Compare(ctx, number, run.Number)
	return rep, out, err
}

// again submits the run that does another one again. tidy removes what it
// needs and must be called once it has ended.
func (h *House) again(ctx context.Context, number int64, actor lastro.Actor, obs pipeline.Observer, notes func(string)) (run pipeline.Run, tidy func(), err error) {
	old, _, err := h.recordOf(ctx, number)
	if err != nil {
		return run, nil, err
	}
	dir, err := os.MkdirTemp(h.Paths.Work(), "reproduce-")
	if err != nil {
		return run, nil, diskError(err)
	}
	remove := func() { // not tidy: a return with an error makes that nil
		if err := (&Shell{Root: dir}).Close(); err != nil {
			h.Log.Warn("a folder was left behind", "dir", dir, "err", err)
		}
	}
	defer func() {
		if err != nil {
			remove()
		}
	}()
	shop, err := h.shopIn(ctx, old, filepath.Join(dir, "tree"), notes)
	if err != nil {
		return run, nil, err
	}
	options := old.Options
	options.NoCache, options.Scope = true, reproducing
	event := maps.Clone(old.Event) // steps may read it
	if event == nil {
		event = map[string]any{}
	}
	event["reproduces"] = number
	p, err := h.engine().Plan(ctx, shop, old.Spec, pipeline.PlanOptions{RunOptions: options, Git: old.Git, Event: event, Actor: actor, Keep: []string{"**"}})
	if err != nil {
		return run, nil, err
	}
	run, err = h.engine().Submit(ctx, p, obs)
	return run, remove, err
}

// Compare compares what two runs of the same plan made.
func (h *House) Compare(ctx context.Context, of, number int64) (Reproduction, error) {
	rep := Reproduction{Of: of, Run: number}
	run, err := h.Runs.Run(ctx, number)
	if err != nil {
		return rep, err
	}
	rep.State = run.State
	then, err := h.Runs.StepRuns(ctx, of)
	if err != nil {
		return rep, err
	}
	now, err := h.Runs.StepRuns(ctx, number)
	if err != nil {
		return rep, err
	}
	return rep, h.compareRuns(ctx, &rep, inOrder(run.Spec), then, now)
}

// ReproduceRun implements api.Actions: it submits the run and returns its number.
func (s *server) ReproduceRun(ctx context.Context, number int64, by lastro.Actor) (int64, error) {
	h := s.house
	h.running.Lock()
	defer h.running.Unlock()
	run, tidy, err := h.again(ctx, number, by, nil, func(line string) { h.Log.Info("preparing", "line", line) })
	if err != nil {
		return 0, err
	}
	s.setBusy(run.Number, true)
	s.queue <- followed{run: run.Number, project: h.Project(), actor: by, tidy: tidy}
	return run.Number, nil
}

// recordOf returns a run that can be done again, with its steps. A run that
// took everything from the cache recorded no files: the runs that did its work
// are named.
func (h *House) recordOf(ctx context.Context, number int64) (pipeline.Run, []pipeline.StepRun, error) {
	run, err := h.Runs.Run(ctx, number)
	if err != nil {
		return run, nil, err
	}
	rows, err := h.Runs.StepRuns(ctx, number)
	if err != nil {
		return run, rows, err
	}
	if !run.State.Ended() {
		return run, rows, &lastro.Error{Code: lastro.EConflict, ID: "L0678", Msg: fmt.Sprintf("run #%d has not ended: there is nothing to compare with yet", number), Hint: fmt.Sprintf("lastro logs -f %d", number)}
	}
	if run.Tree == "" {
		var by []string
		for _, s := range rows {
			if n := strconv.FormatInt(s.CachedFrom, 10); s.CachedFrom != 0 && !slices.Contains(by, n) {
				by = append(by, n)
			}
		}
		e := &lastro.Error{Code: lastro.EConflict, ID: "L0679", Msg: fmt.Sprintf("run #%d did no work of its own that could be done again", number)}
		if len(by) > 0 {
			e.Hint = "its work was done in another run: lastro reproduce " + by[len(by)-1]
		}
		return run, rows, e
	}
	return run, rows, nil
}

// inOrder are the names of the steps, each after what it needs, in the order of
// the file where possible.
func inOrder(spec pipeline.Spec) []string {
	byName := map[string]pipeline.StepSpec{}
	for _, s := range spec.Steps {
		byName[s.Name] = s
	}
	var names []string
	done := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if done[name] {
			return
		}
		done[name] = true
		for _, n := range byName[name].Needs {
			visit(n)
		}
		for _, in := range byName[name].Inputs {
			if in.Step != "" {
				visit(in.Step)
			}
		}
		names = append(names, name)
	}
	for _, s := range spec.Steps {
		visit(s.Name)
	}
	return names
}

// compareRuns compares the artifacts step by step.
func (h *House) compareRuns(ctx context.Context, rep *Reproduction, steps []string, then, now []pipeline.StepRun) error {
	for _, step := range steps {
		before, after := newestAttempts(then, step, 0), newestAttempts(now, step, 0)
		for _, was := range before {
			i := slices.IndexFunc(after, func(s pipeline.StepRun) bool { return s.Cell == was.Cell })
			if i < 0 || !was.State.OK() {
				continue
			}
			if err := h.compareSteps(ctx, rep, was, after[i]); err != nil {
				return err
			}
		}
	}
	rep.Identical = rep.First == nil && rep.State == pipeline.Succeeded
	return nil
}

func (h *House) compareSteps(ctx context.Context, rep *Reproduction, was, is pipeline.StepRun) error {
	if rep.First == nil { // later the inputs differ anyway
		for _, c := range lineage.Changes(was.Ingredients, is.Ingredients) {
			if c.Name == "key version" || is.Ingredients == nil {
				continue
			}
			rep.Notes = append(rep.Notes, fmt.Sprintf("%s was not the same work: %s", title(is), lineage.Change{Name: c.Name, From: shortValue(c.From, c.From != ""), To: shortValue(c.To, c.To != "")}))
		}
	}
	for _, a := range was.Outputs {
		rep.Artifacts++
		b, made := is.Output(a.Name)
		if made && b.Digest == a.Digest {
			continue
		}
		if rep.First != nil {
			rep.Others++
			continue
		}
		d := &Divergence{Step: was.Step, Cell: was.Cell, Artifact: a.Name, From: a.Digest, FromSize: a.Size}
		if !made {
			d.Where = fmt.Sprintf("it was not made: the step %s", endedAs(is))
		} else {
			d.To, d.ToSize = b.Digest, b.Size
			var err error
			if d.File, d.Where, err = h.firstDifference(ctx, a, b); err != nil {
				return err
			}
		}
		rep.First = d
	}
	return nil
}

// title is train or train[2].
func title(s pipeline.StepRun) string {
	if s.Cell == 0 {
		return s.Step
	}
	return fmt.Sprintf("%s[%d]", s.Step, s.Cell)
}

// endedAs says how a step ended and why.
func endedAs(s pipeline.StepRun) string {
	text := was(s.State)
	if s.Reason != "" {
		text += ": " + s.Reason
	}
	return text
}

// firstDifference says where two artifacts begin to differ.
func (h *House) firstDifference(ctx context.Context, a, b pipeline.Artifact) (file, where string, err error) {
	infoA, err := h.Blobs.Stat(ctx, a.Digest)
	if lastro.Is(err, lastro.ENotFound) {
		return "", "the bytes of then are no longer kept", nil
	}
	if err != nil {
		return "", "", err
	}
	infoB, err := h.Blobs.Stat(ctx, b.Digest)
	if err != nil {
		return "", "", err
	}
	switch {
	case infoA.Tree != infoB.Tree:
		return "", "one is a folder, the other a file", nil
	case !infoA.Tree:
		where, err = h.differingBytes(ctx, a.Path, a.Digest, b.Digest)
		return "", where, err
	}
	filesA, err := h.Blobs.Tree(ctx, a.Digest)
	if err != nil {
		return "", "", err
	}
	filesB, err := h.Blobs.Tree(ctx, b.Digest)
	if err != nil {
		return "", "", err
	}
	return h.differingFile(ctx, filesA, filesB)
}

// differingFile finds the first file of two folders that differs, by path.
func (h *House) differingFile(ctx context.Context, then, now []blob.Entry) (file, where string, err error) {
	contents := func(entries []blob.Entry) map[string]string {
		out := map[string]string{}
		for _, e := range entries {
			out[e.Path] = fmt.Sprintf("%s %v", e.Digest, e.Exec)
		}
		return out
	}
	changes := lineage.Changes(contents(then), contents(now))
	if len(changes) == 0 {
		return "", "", nil
	}
	c := changes[0]
	switch {
	case c.From == "":
		where = "it was not there before"
	case c.To == "":
		where = "it is not there now"
	default:
		before, _, _ := strings.Cut(c.From, " ")
		after, _, _ := strings.Cut(c.To, " ")
		if where, err = h.differingBytes(ctx, c.Name, lastro.Digest(before), lastro.Digest(after)); err != nil {
			return "", "", err
		}
	}
	if n := len(changes) - 1; n > 0 {
		where += fmt.Sprintf("; %d more files of the folder differ", n)
	}
	return c.Name, where, nil
}

// differingBytes names the first value of JSON, line of text or byte that differs.
func (h *House) differingBytes(ctx context.Context, name string, then, now lastro.Digest) (string, error) {
	if then == now {
		return "only its mode", nil
	}
	a, err := h.bytesOf(ctx, then)
	if err != nil {
		return "", err
	}
	b, err := h.bytesOf(ctx, now)
	if err != nil {
		return "", err
	}
	if strings.HasSuffix(name, ".json") {
		if where, ok := differingJSON(a, b); ok {
			return where, nil
		}
	}
	return differingText(a, b), nil
}

// maxInspected bounds what is read of an artifact to find where it differs.
const maxInspected = 16 << 20

func (h *House) bytesOf(ctx context.Context, d lastro.Digest) ([]byte, error) {
	r, err := h.Blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxInspected))
}

// differingJSON names the first value that differs, in the order of the names.
func differingJSON(a, b []byte) (string, bool) {
	var before, after any
	if json.Unmarshal(a, &before) != nil || json.Unmarshal(b, &after) != nil {
		return "", false
	}
	changes := lineage.Changes(leaves(before), leaves(after))
	if len(changes) == 0 {
		return "the same values, written in another way", true
	}
	return changes[0].String(), true
}

// leaves are the values of a JSON document by dotted path.
func leaves(v any) map[string]string {
	out := map[string]string{}
	var add func(path string, v any)
	add = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, inner := range v {
				add(strings.TrimPrefix(path+"."+k, "."), inner)
			}
		case []any:
			for i, inner := range v {
				add(fmt.Sprintf("%s[%05d]", path, i), inner)
			}
		default:
			out[path] = paramText(v)
		}
	}
	add("", v)
	return out
}

// differingText names the first line that differs, or the first byte of what
// is no text.
func differingText(a, b []byte) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if p := lineage.Lines(a[:min(len(a), 4096)], b[:min(len(b), 4096)]); p.Binary {
		return fmt.Sprintf("from byte %d on", n+1)
	}
	if n == len(a) && n == len(b) {
		return fmt.Sprintf("after the first %d MiB", maxInspected>>20)
	}
	line := bytes.Count(a[:n], []byte("\n"))
	return fmt.Sprintf("line %d: %s → %s", line+1, lineAt(a, n), lineAt(b, n))
}

// lineAt is the line that holds byte n, shortened.
func lineAt(text []byte, n int) string {
	start := bytes.LastIndexByte(text[:n], '\n') + 1
	line, _, _ := bytes.Cut(text[start:], []byte("\n"))
	if start >= len(text) {
		return "(end)"
	}
	r := []rune(strings.ToValidUTF8(string(line[:min(len(line), 400)]), "?"))
	if len(r) > 60 {
		return string(r[:59]) + "…"
	}
	return string(r)
}
