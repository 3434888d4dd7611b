// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"lastro"
	"lastro/registry"
	"lastro/track"
)

// How much of the artifacts a comparison reads.
const (
	VerifyFull  = "full"  // every byte, at both ends
	VerifyQuick = "quick" // names and sizes
	VerifyOff   = "off"
)

// comparison holds one end against the other: whatever from has, to must have.
type comparison struct {
	from, to Source
	how      string
	t        *tally
	only     map[string]bool // experiments; those that were left out are not looked at
	models   map[string]bool
}

func (c comparison) run(ctx context.Context) (map[string]int, error) {
	n := map[string]int{}
	here := map[string]track.Experiment{}
	if err := c.to.Experiments(ctx, func(e track.Experiment) error { here[e.ID] = e; return nil }); err != nil {
		return n, err
	}
	var list []track.Experiment
	if err := c.from.Experiments(ctx, func(e track.Experiment) error { list = append(list, e); return nil }); err != nil {
		return n, err
	}
	for _, e := range list {
		if !c.only[e.ID] {
			continue
		}
		n[Experiments]++
		c.experiment(e, here)
		if err := errors.Join(c.logged(ctx, e.ID, n), c.runs(ctx, e.ID, n), c.traces(ctx, e.ID, n)); err != nil {
			return n, err
		}
	}
	return n, c.registry(ctx, n)
}

func (c comparison) experiment(e track.Experiment, here map[string]track.Experiment) {
	ref := string(e.Ref())
	have, ok := here[e.ID]
	switch {
	case !ok:
		c.t.differ(ref, "missing")
		return
	case have.Name != e.Name:
		c.t.differ(ref, "name")
	}
	if have.State != e.State {
		c.t.differ(ref, "state")
	}
	if !e.CreatedAt.IsZero() && have.CreatedAt.UnixMilli() != e.CreatedAt.UnixMilli() {
		c.t.differ(ref, "time")
	}
	for k, v := range e.Tags {
		if h, ok := have.Tags[k]; !ok || h != v {
			c.t.differ(ref, "tags")
			return
		}
	}
}

// runs compares the runs of an experiment; of each there are 150 bytes in memory.
func (c comparison) runs(ctx context.Context, experiment string, n map[string]int) error {
	want, err := c.printRuns(ctx, c.from, experiment)
	if err != nil {
		return err
	}
	have, err := c.printRuns(ctx, c.to, experiment)
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		w := want[id]
		n[Runs], n[Points], n[Artifacts] = n[Runs]+1, n[Points]+w.points, n[Artifacts]+w.files
		ref := string(lastro.NewRef("trackedrun", id, ""))
		h, ok := have[id]
		if !ok {
			c.t.differ(ref, "missing")
			continue
		}
		for i, part := range runParts {
			if w.parts[i] != h.parts[i] && !(i == len(runParts)-1 && (w.unread || h.unread)) {
				c.t.differ(ref, part)
			}
		}
	}
	return nil
}

func (c comparison) printRuns(ctx context.Context, s Source, experiment string) (map[string]runPrint, error) {
	out := map[string]runPrint{}
	var p printer
	err := s.Runs(ctx, experiment, func(r Run) error {
		var one runPrint
		head := headOf(r)
		copy(one.parts[:], head[:])
		var points set
		if err := s.Points(ctx, r, func(part []track.Metric) error {
			for _, m := range part {
				points.add(printOfPoint(&p, m))
			}
			return nil
		}); err != nil {
			return err
		}
		one.parts[6], one.points = points.sum(), points.n
		files, err := c.files(ctx, s, r.Root)
		one.parts[7], one.files, one.unread = files.sum(), files.n, err != nil
		out[r.ID] = one
		return onlyReal(err)
	})
	return out, err
}

// onlyReal leaves out that files cannot be read from here: that was said before.
func onlyReal(err error) error {
	var none *ErrNoFiles
	if errors.As(err, &none) {
		return nil
	}
	return err
}

// files fingerprints the files below a root by the names that they have here.
func (c comparison) files(ctx context.Context, s Source, root string) (files set, err error) {
	if root == "" {
		return files, nil
	}
	var p printer
	err = s.Files(ctx, root, func(f File) error {
		p.text(safeName(f.Path))
		p.number(f.Size)
		if c.how == VerifyFull {
			digest, err := digestOf(ctx, s, root, f)
			if err != nil {
				return err
			}
			p.text(string(digest))
		}
		files.add(p.sum())
		return nil
	})
	return files, err
}

// digestOf reads a file unless its digest is known. What this lastro keeps is
// read, too: a digest in its database is not yet bytes on its disk.
func digestOf(ctx context.Context, s Source, root string, f File) (lastro.Digest, error) {
	r, err := s.Open(ctx, root, f.Path)
	if err != nil {
		return "", fmt.Errorf("read artifact %s: %w", f.Path, err)
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", fmt.Errorf("read artifact %s: %w", f.Path, err)
	}
	return lastro.Digest(fmt.Sprintf("sha256:%x", h.Sum(nil))), nil
}

func (c comparison) logged(ctx context.Context, experiment string, n map[string]int) error {
	var both [2]map[string]loggedPrint
	for i, s := range []Source{c.from, c.to} {
		both[i] = map[string]loggedPrint{}
		err := s.LoggedModels(ctx, experiment, func(m LoggedModel) error {
			var one loggedPrint
			head := headOfLogged(m)
			copy(one.parts[:], head[:])
			files, err := c.files(ctx, s, m.Root)
			one.parts[4], one.files, one.unread = files.sum(), files.n, err != nil
			both[i][m.ID] = one
			return onlyReal(err)
		})
		if err != nil {
			return err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(both[0])) {
		w := both[0][id]
		h, ok := both[1][id]
		n[Logged], n[Artifacts] = n[Logged]+1, n[Artifacts]+w.files
		ref := string(lastro.NewRef("loggedmodel", id, ""))
		if !ok {
			c.t.differ(ref, "missing")
			continue
		}
		for i, part := range loggedParts {
			if w.parts[i] != h.parts[i] && !(i == len(loggedParts)-1 && (w.unread || h.unread)) {
				c.t.differ(ref, part)
			}
		}
	}
	return nil
}

func (c comparison) registry(ctx context.Context, n map[string]int) error {
	here := map[string]registry.Model{}
	if err := c.to.Models(ctx, func(m registry.Model) error { here[m.Name] = m; return nil }); err != nil {
		return err
	}
	return c.from.Models(ctx, func(m registry.Model) error {
		if !c.models[m.Name] {
			return nil
		}
		n[Registered]++
		ref := string(m.Ref())
		have, ok := here[m.Name]
		if !ok {
			c.t.differ(ref, "missing")
			return nil
		}
		if have.Description != m.Description {
			c.t.differ(ref, "description")
		}
		if !contains(registry.ClientTags(have.Tags), registry.ClientTags(m.Tags)) {
			c.t.differ(ref, "tags")
		}
		points := map[string]int{}
		for _, a := range have.Aliases {
			points[a.Name] = a.Number
		}
		for _, a := range m.Aliases {
			if n[Aliases]++; points[a.Name] != a.Number {
				c.t.differ(ref, "alias "+a.Name)
			}
		}
		return c.versions(ctx, m.Name, n)
	})
}

func contains(have, want map[string]string) bool {
	for k, v := range want {
		if h, ok := have[k]; !ok || h != v {
			return false
		}
	}
	return true
}

func (c comparison) versions(ctx context.Context, model string, n map[string]int) error {
	here := map[int]Version{}
	if err := c.to.Versions(ctx, model, func(v Version) error { here[v.Number] = v; return nil }); err != nil {
		return err
	}
	return c.from.Versions(ctx, model, func(v Version) error {
		n[Versions]++
		ref := string(v.Ref())
		have, ok := here[v.Number]
		if !ok {
			c.t.differ(ref, "missing")
			return nil
		}
		if have.Description != v.Description {
			c.t.differ(ref, "description")
		}
		if have.Stage != v.Stage {
			c.t.differ(ref, "stage")
		}
		if !contains(registry.ClientTags(have.Tags), registry.ClientTags(v.Tags)) {
			c.t.differ(ref, "tags")
		}
		if have.TrackedRun != v.TrackedRun {
			c.t.differ(ref, "run")
		}
		if !v.CreatedAt.IsZero() && have.CreatedAt.UnixMilli() != v.CreatedAt.UnixMilli() {
			c.t.differ(ref, "time")
		}
		if isSymbolic(v.Root) || v.Root == "" || isSymbolic(have.Root) {
			return nil // its files are those of the run or logged model, which were compared
		}
		want, err := c.files(ctx, c.from, v.Root)
		if err != nil {
			return onlyReal(err)
		}
		got, err := c.files(ctx, c.to, have.Root)
		if err == nil && want.sum() != got.sum() {
			c.t.differ(ref, "files")
		}
		return onlyReal(err)
	})
}
