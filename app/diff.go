// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"lastro"
	"lastro/lineage"
	"lastro/pipeline"
	"lastro/python"
	"lastro/source"
)

// maxCompared bounds the files that are compared line by line.
const maxCompared = 2 << 20

// Diff compares two runs: what went in, in the order in which it can matter,
// then the effect. unified asks for the lines of each file that changed.
func (h *House) Diff(ctx context.Context, from, to int64, unified bool) (lineage.Difference, error) {
	d := lineage.Difference{From: from, To: to}
	a, err := h.side(ctx, from)
	if err != nil {
		return d, err
	}
	b, err := h.side(ctx, to)
	if err != nil {
		return d, err
	}
	if d.Code, err = h.diffCode(ctx, a, b, unified, &d); err != nil {
		return d, err
	}
	d.Data = h.diffData(ctx, a.run, b.run)
	d.Params = lineage.Changes(a.params(), b.params())
	d.Packages = h.diffPackages(ctx, a, b, &d)
	d.Machine = machineChanges(h.machine(a), h.machine(b))
	d.Metrics, d.Equal = lineage.MetricDifferences(a.facts, b.facts)
	d.Settle()
	return d, nil
}

// side is one of two runs that are compared.
type side struct {
	run   pipeline.Run
	rows  []pipeline.StepRun
	facts map[string]float64
	tree  map[string]string // content of the files that it was planned from by path, without locks; nil when all was cached
	locks map[string]string // content of the locks
}

func (h *House) side(ctx context.Context, number int64) (side, error) {
	var s side
	var err error
	if s.run, err = h.Runs.Run(ctx, number); err != nil {
		return s, err
	}
	if s.rows, err = h.Runs.StepRuns(ctx, number); err != nil {
		return s, err
	}
	facts, err := pipeline.ReadFacts(ctx, h.Runs, number)
	if err != nil {
		return s, err
	}
	s.facts = ownFacts(facts)
	tree, err := h.treeOf(ctx, s.run, s.rows)
	if err != nil {
		return s, err
	}
	s.locks = map[string]string{}
	for _, name := range lockNames(s.run.Spec) {
		if content, ok := tree[name]; ok {
			s.locks[name] = content
			delete(tree, name)
		}
	}
	if s.run.Tree != "" {
		s.tree = tree
	}
	return s, nil
}

// ownFacts are the facts by their shortest name that is not ambiguous.
func ownFacts(f pipeline.Facts) map[string]float64 {
	out := map[string]float64{}
	for name, v := range f.Values {
		if rest, ok := strings.CutPrefix(name, "steps."); ok {
			_, fact, _ := strings.Cut(rest, ".")
			if _, ambiguous := f.Ambiguous[fact]; !ambiguous {
				continue
			}
		}
		out[name] = v
	}
	return out
}

// lockNames are the files that pin packages.
func lockNames(spec pipeline.Spec) []string {
	names := []string{"lastro.lock"}
	for _, p := range append([]pipeline.Python{spec.Python}, stepPythons(spec)...) {
		if p.Lock != "" && !slices.Contains(names, p.Lock) {
			names = append(names, p.Lock)
		}
	}
	return names
}

func stepPythons(spec pipeline.Spec) (out []pipeline.Python) {
	for _, s := range spec.Steps {
		if s.Python != nil {
			out = append(out, *s.Python)
		}
	}
	return out
}

// treeOf is the content of the files that a run was planned from, by path. A
// run that took everything from the cache recorded none; then it is that of a
// run that it came from, which had the same code and locks.
func (h *House) treeOf(ctx context.Context, run pipeline.Run, rows []pipeline.StepRun) (map[string]string, error) {
	tree := run.Tree
	for i := 0; tree == "" && i < len(rows); i++ {
		if rows[i].CachedFrom == 0 {
			continue
		}
		from, err := h.Runs.Run(ctx, rows[i].CachedFrom)
		if err != nil && !lastro.Is(err, lastro.ENotFound) {
			return nil, err
		}
		tree = from.Tree
	}
	out := map[string]string{}
	if tree == "" {
		return out, nil
	}
	entries, err := h.Blobs.Tree(ctx, tree)
	if lastro.Is(err, lastro.ENotFound) { // no longer kept
		return out, nil
	}
	for _, e := range entries {
		if e.Dir {
			continue
		}
		out[e.Path] = string(e.Digest)
		if e.Exec {
			out[e.Path] += "+x"
		}
	}
	return out, err
}

// codes are the files of both runs that can be compared: of their trees, else
// of the code that their steps read.
func codes(a, b side) (map[string]string, map[string]string) {
	if len(a.tree) > 0 && len(b.tree) > 0 {
		return a.tree, b.tree
	}
	return a.run.Code, b.run.Code
}

// fileOf returns the bytes of a recorded file: from the store, else from the
// commit when it holds exactly these; ok is false when neither does.
func (h *House) fileOf(ctx context.Context, run pipeline.Run, path, content string) (text []byte, ok bool, err error) {
	d := lastro.Digest(strings.TrimSuffix(content, "+x"))
	if has, err := h.Blobs.Has(ctx, d); err != nil || has {
		if err != nil {
			return nil, false, err
		}
		r, err := h.Blobs.Open(ctx, d)
		if err != nil {
			return nil, false, err
		}
		defer r.Close()
		text, err = io.ReadAll(io.LimitReader(r, maxCompared+1))
		return text, len(text) <= maxCompared, err
	}
	if run.Git.Commit == "" || h.Paths.Project == "" {
		return nil, false, nil
	}
	text, err = source.Show(ctx, h.Paths.Project, run.Git.Commit, path)
	if err != nil || lastro.DigestOf(text) != d {
		return nil, false, nil // git may lack the commit, or the tree was not the commit
	}
	return text, len(text) <= maxCompared, nil
}

func (h *House) diffCode(ctx context.Context, a, b side, unified bool, d *lineage.Difference) ([]lineage.FileDifference, error) {
	out := []lineage.FileDifference{}
	before, after := codes(a, b)
	for _, c := range lineage.Changes(before, after) {
		f := lineage.FileDifference{Path: c.Name, State: "changed"}
		before, okBefore, err := h.changedFile(ctx, a.run, c.Name, c.From)
		if err != nil {
			return nil, err
		}
		after, okAfter, err := h.changedFile(ctx, b.run, c.Name, c.To)
		if err != nil {
			return nil, err
		}
		switch {
		case c.From == "":
			f.State = "new"
		case c.To == "":
			f.State = "gone"
		}
		if okBefore && okAfter {
			p := lineage.Lines(before, after)
			f.Added, f.Removed, f.Binary = p.Added, p.Removed, p.Binary
			if unified {
				f.Unified = p.Unified
			}
		} else {
			f.Unknown = true
		}
		out = append(out, f)
	}
	if slices.ContainsFunc(out, func(f lineage.FileDifference) bool { return f.Unknown }) {
		d.Notes = append(d.Notes, "the bytes of some files are no longer kept, or they are too large: their lines were not compared")
	}
	return out, nil
}

// changedFile is fileOf for one side of a change; a file that is not there is empty.
func (h *House) changedFile(ctx context.Context, run pipeline.Run, path, content string) ([]byte, bool, error) {
	if content == "" {
		return nil, true, nil
	}
	return h.fileOf(ctx, run, path, content)
}

func (h *House) diffData(ctx context.Context, a, b pipeline.Run) []lineage.DataDifference {
	versions := func(r pipeline.Run) map[string]string {
		out := map[string]string{}
		for _, d := range r.Datasets {
			out[d.Name] = string(d.Digest)
		}
		return out
	}
	out := []lineage.DataDifference{}
	for _, c := range lineage.Changes(versions(a), versions(b)) {
		d := lineage.DataDifference{Dataset: c.Name, From: c.From, To: c.To}
		before, okBefore := h.rowsOf(ctx, c.Name, c.From)
		after, okAfter := h.rowsOf(ctx, c.Name, c.To)
		if okBefore && okAfter {
			more := after - before
			d.Rows = &more
			if before > 0 {
				d.Share = float64(more) / float64(before)
			}
		}
		out = append(out, d)
	}
	return out
}

// rowsOf is how many rows a version has, when somebody counted them.
func (h *House) rowsOf(ctx context.Context, dataset, digest string) (int64, bool) {
	if digest == "" {
		return 0, false
	}
	v, err := h.DataStore.Version(ctx, dataset, lastro.Digest(digest))
	return v.Rows, err == nil && v.Rows >= 0
}

// flatParams are params by dotted name, as text.
// params are the params of a run, and what its steps read of the event that
// started it: both are values from outside that the work depends on.
func (s side) params() map[string]string {
	out := flatParams(s.run)
	for _, row := range s.rows {
		for name, value := range row.Ingredients {
			if strings.HasPrefix(name, "event.") {
				out[name] = value
			}
		}
	}
	return out
}

func flatParams(r pipeline.Run) map[string]string {
	out := map[string]string{}
	var add func(prefix string, m map[string]any)
	add = func(prefix string, m map[string]any) {
		for k, v := range m {
			if inner, ok := v.(map[string]any); ok {
				add(prefix+k+".", inner)
				continue
			}
			out[prefix+k] = paramText(v)
		}
	}
	add("", r.Params)
	return out
}

func paramText(v any) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return `""`
		}
		return v
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	b, err := lastro.CanonicalJSON(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}

// diffPackages resolves both runs' locks to package versions.
func (h *House) diffPackages(ctx context.Context, a, b side, d *lineage.Difference) []lineage.Change {
	before, okBefore := h.packages(ctx, a)
	after, okAfter := h.packages(ctx, b)
	if okBefore && okAfter {
		return lineage.Changes(before, after)
	}
	was, is := environments(a.rows), environments(b.rows)
	if !maps.Equal(was, is) {
		d.Notes = append(d.Notes, "the lock of a run was not recorded: packages are compared by the digest of their environment")
	}
	return lineage.Changes(was, is)
}

// packages reads the locks of a run; ok is false when it ran in an environment
// whose lock is not there.
func (h *House) packages(ctx context.Context, s side) (map[string]string, bool) {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(s.locks)) {
		text, ok, err := h.fileOf(ctx, s.run, name, s.locks[name])
		if err != nil || !ok {
			return nil, false
		}
		for p, v := range python.Packages(text) {
			if len(s.locks) > 1 {
				p = name + ": " + p
			}
			out[p] = v
		}
	}
	return out, len(s.locks) > 0 || len(environments(s.rows)) == 0
}

// environments are the digests of the Python environments of the steps.
func environments(rows []pipeline.StepRun) map[string]string {
	out := map[string]string{}
	for _, s := range rows {
		if p := s.Ingredients["python"]; p != "" {
			out["environment of "+s.Step] = lastro.Digest(p).Short()
		}
	}
	return out
}

// machine is what is known of where a run's steps ran.
func (h *House) machine(s side) map[string]string {
	out := map[string]string{}
	for _, r := range s.rows {
		if p := r.Ingredients["platform"]; p != "" {
			out["system"] = p
		}
		if r.Isolation != "" {
			out["isolation"] = r.Isolation
		}
		if d := r.Ingredients["python"]; d != "" && out["python"] == "" {
			resolver := h.runtimes(h.Paths.Project, nil, nil).resolver
			if env, ok := resolver.ByDigest(lastro.Digest(d)); ok {
				out["python"] = env.Exact
			}
		}
	}
	return out
}

// machineChanges compares what is known of both: a run that took everything
// from the cache was nowhere.
func machineChanges(a, b map[string]string) []lineage.Change {
	return slices.DeleteFunc(lineage.Changes(a, b), func(c lineage.Change) bool { return c.From == "" || c.To == "" })
}

// Machine says where a run's steps ran, for people: "linux/amd64, python 3.11.9".
func (h *House) Machine(ctx context.Context, number int64) (string, error) {
	s, err := h.side(ctx, number)
	if err != nil {
		return "", err
	}
	var parts []string
	m := h.machine(s)
	for _, name := range []string{"system", "python", "isolation"} {
		if v := m[name]; v != "" && name == "system" {
			parts = append(parts, v)
		} else if v != "" {
			parts = append(parts, name+" "+v)
		}
	}
	return strings.Join(parts, ", "), nil
}
