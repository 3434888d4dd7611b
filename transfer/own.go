// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"io"
	"iter"
	"slices"
	"strings"

	"lastro"
	"lastro/blob"
	"lastro/registry"
	"lastro/track"
)

// Contents are the readings of this lastro that a transfer needs.
type Contents interface {
	Experiments(ctx context.Context) ([]track.Experiment, error)
	Runs(ctx context.Context, experiment, after string, limit int) ([]track.Run, error)
	LoggedModels(ctx context.Context, experiment, after string, limit int) ([]track.LoggedModel, error)
	Points(ctx context.Context, q track.HistoryQuery) iter.Seq2[track.Metric, error]
	Artifacts(ctx context.Context, dir string, limit int) ([]track.Artifact, error)
}

// Models are the readings of this lastro's registry.
type Models interface {
	Models(ctx context.Context, q registry.Query) (page []registry.Model, next string, err error)
	VersionsOf(ctx context.Context, model string) ([]registry.Version, error)
}

// Blobs is the content store of this lastro.
type Blobs interface {
	Put(ctx context.Context, r io.Reader) (lastro.Digest, int64, error)
	Open(ctx context.Context, d lastro.Digest) (io.ReadCloser, error)
	PutEntries(ctx context.Context, entries []blob.Entry) (lastro.Digest, error)
	Tree(ctx context.Context, d lastro.Digest) ([]blob.Entry, error)
}

// Own is this lastro as a source: of an export, and to compare an import with.
type Own struct {
	Contents Contents
	Registry Models
	Blobs    Blobs
	Tracing  Tracing // nil: traces are left out
	Version  string  // of lastro
}

// About implements Source.
func (s Own) About() About { return About{Where: "this lastro", Software: "lastro " + s.Version} }

// Close implements Source.
func (Own) Close() error { return nil }

// Experiments implements Source.
func (s Own) Experiments(ctx context.Context, fn func(track.Experiment) error) error {
	list, err := s.Contents.Experiments(ctx)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := fn(e); err != nil {
			return err
		}
	}
	return nil
}

// Runs implements Source.
func (s Own) Runs(ctx context.Context, experiment string, fn func(Run) error) error {
	after := ""
	for {
		list, err := s.Contents.Runs(ctx, experiment, after, runsAtOnce)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].ID
		for _, r := range list {
			if err := fn(Run{r, artifactScheme + "/" + track.RunRoot(r.ExperimentID, r.ID)}); err != nil {
				return err
			}
		}
	}
}

// Points implements Source.
func (s Own) Points(ctx context.Context, r Run, fn func([]track.Metric) error) error {
	keys := make([]string, len(r.Metrics))
	for i, m := range r.Metrics {
		keys[i] = m.Key
	}
	slices.Sort(keys)
	for _, key := range keys {
		g := grouping{fn: fn}
		for m, err := range s.Contents.Points(ctx, track.HistoryQuery{Run: r.ID, Key: key}) {
			if err == nil {
				err = g.add(m)
			}
			if err != nil {
				return err
			}
		}
		if err := g.end(); err != nil {
			return err
		}
	}
	return nil
}

// LoggedModels implements Source.
func (s Own) LoggedModels(ctx context.Context, experiment string, fn func(LoggedModel) error) error {
	after := ""
	for {
		list, err := s.Contents.LoggedModels(ctx, experiment, after, runsAtOnce)
		if err != nil || len(list) == 0 {
			return err
		}
		after = list[len(list)-1].ID
		for _, m := range list {
			if err := fn(LoggedModel{m, artifactScheme + "/" + track.ModelRoot(m.ExperimentID, m.ID)}); err != nil {
				return err
			}
		}
	}
}

// Models implements Source.
func (s Own) Models(ctx context.Context, fn func(registry.Model) error) error {
	token := ""
	for {
		list, next, err := s.Registry.Models(ctx, registry.Query{Order: []registry.Order{{Key: "name"}}, Limit: 1000, Token: token})
		if err != nil {
			return err
		}
		for _, m := range list {
			if err := fn(m); err != nil {
				return err
			}
		}
		if token = next; token == "" {
			return nil
		}
	}
}

const viaTree = "tree:" // files of a version, by the digest of their folder

// Versions implements Source.
func (s Own) Versions(ctx context.Context, model string, fn func(Version) error) error {
	list, err := s.Registry.VersionsOf(ctx, model)
	if err != nil {
		return err
	}
	slices.Reverse(list)
	for _, v := range list {
		out := Version{Version: v, Root: viaTree + string(v.Digest), User: string(v.By)}
		if v.IsPrompt() {
			out.Root = ""
		}
		if err := fn(out); err != nil {
			return err
		}
	}
	return nil
}

// entries lists the files below a root, with their digests.
func (s Own) entries(ctx context.Context, root string) ([]blob.Entry, error) {
	if d, ok := strings.CutPrefix(root, viaTree); ok {
		list, err := s.Blobs.Tree(ctx, lastro.Digest(d))
		return slices.DeleteFunc(list, func(e blob.Entry) bool { return e.Dir }), err
	}
	dir, _ := served(root)
	list, err := s.Contents.Artifacts(ctx, dir, 0)
	out := make([]blob.Entry, len(list))
	for i, a := range list {
		out[i] = blob.Entry{Path: strings.TrimPrefix(a.Path, dir+"/"), Digest: a.Digest, Size: a.Size}
	}
	return out, err
}

// Files implements Source.
func (s Own) Files(ctx context.Context, root string, fn func(File) error) error {
	list, err := s.entries(ctx, root)
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := fn(File{Path: e.Path, Size: e.Size, digest: e.Digest}); err != nil {
			return err
		}
	}
	return nil
}

// Open implements Source.
func (s Own) Open(ctx context.Context, root, file string) (io.ReadCloser, error) {
	list, err := s.entries(ctx, root)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		if e.Path == file {
			return s.Blobs.Open(ctx, e.Digest)
		}
	}
	return nil, lastro.Errorf(lastro.ENotFound, "there is no artifact %q", file)
}
