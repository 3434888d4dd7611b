// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/blob"
	"lastro/data"
	"lastro/pipeline"
	"lastro/project"
)

// datasets takes versions of a project's datasets for the engine: content is
// stored, then checked against the contract before any step reads it.
type datasets struct {
	h *House
	// project says where datasets are: the folder as it is, also for older code.
	project *project.Project
	// notes receives warnings of contracts with on_fail: warn.
	notes func(string)
}

// Snapshot stores what a dataset contains now.
func (d datasets) Snapshot(ctx context.Context, name string) (pipeline.Dataset, error) {
	spec, ok := d.project.Dataset(name)
	if !ok {
		return pipeline.Dataset{}, lastro.Errorf(lastro.ENotFound, "lastro.yaml declares no dataset %q", name)
	}
	v, err := d.h.snapshot(ctx, spec)
	if err != nil {
		return pipeline.Dataset{}, err
	}
	if spec.Contract != "" {
		report, err := d.h.checkVersion(ctx, spec, v)
		if err != nil {
			return pipeline.Dataset{}, err
		}
		if err := report.Err(); err != nil && spec.OnFail != "warn" {
			return pipeline.Dataset{}, err
		} else if err != nil && d.notes != nil {
			d.notes(err.Error())
		}
	}
	return pipeline.Dataset{Name: name, Digest: v.Digest, Path: datasetPath(spec), Sensitive: spec.Sensitive}, nil
}

func datasetPath(spec data.Spec) string {
	if spec.Path != "" {
		return spec.Path
	}
	return spec.Source
}

// atDataset gives an error about a file of a dataset the dataset's place.
func atDataset(spec data.Spec, err error) error {
	e, ok := errors.AsType[*lastro.Error](err)
	if !ok || e.Pos != (lastro.Pos{}) {
		return err
	}
	placed := *e
	placed.Pos, placed.Msg = spec.Pos, fmt.Sprintf("dataset %q: in %s: %s", spec.Name, spec.Source, e.Msg)
	return &placed
}

// snapshot stores a dataset's files and records the version when it is new.
func (h *House) snapshot(ctx context.Context, spec data.Spec) (data.Version, error) {
	full := filepath.Join(h.Paths.Project, filepath.FromSlash(spec.Source))
	info, err := os.Stat(full)
	if err != nil {
		return data.Version{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0201", Pos: spec.Pos,
			Msg:  fmt.Sprintf("dataset %q: %s cannot be read: %v", spec.Name, spec.Source, pathCause(err)),
			Hint: "put the file there, or correct `source:`; paths are relative to the folder of lastro.yaml"}
	}
	v := data.Version{Dataset: spec.Name, Source: spec.Source, Rows: -1, SeenAt: h.Clock.Now()}
	if info.IsDir() {
		v.Digest, v.Bytes, err = h.Blobs.PutTree(ctx, full, h.known)
	} else {
		v.Digest, v.Bytes, err = h.Blobs.PutFile(ctx, full, h.known)
	}
	if err != nil {
		return v, atDataset(spec, err)
	}
	if known, err := h.DataStore.Version(ctx, spec.Name, v.Digest); err == nil {
		return known, nil
	}
	stat, err := h.Blobs.Stat(ctx, v.Digest)
	if err != nil {
		return v, err
	}
	v.Files = stat.Files
	if v.Files == 0 {
		return v, &lastro.Error{Code: lastro.EInvalid, ID: "L0202", Pos: spec.Pos, Msg: fmt.Sprintf("dataset %q: %s is an empty folder", spec.Name, spec.Source),
			Hint: "put the data files there"}
	}
	v.Commit = h.git(ctx).Commit
	v, _, err = h.DataStore.RegisterVersion(ctx, v, lastro.System("data"))
	return v, err
}

func pathCause(err error) error {
	if os.IsNotExist(err) {
		return fmt.Errorf("there is no such file or folder")
	}
	return diskError(err)
}

// table returns the stored content of a version as an engine reads it.
func (h *House) table(ctx context.Context, d lastro.Digest, name string) (data.Table, error) {
	p, err := h.materialised(ctx, d, name)
	return data.Files(p), err
}

// checkVersion evaluates a dataset's contract on one version; the outcome is
// kept, so the same version is checked once.
func (h *House) checkVersion(ctx context.Context, spec data.Spec, v data.Version) (data.Report, error) {
	contract, err := h.contract(spec)
	if err != nil {
		return data.Report{}, err
	}
	if kept, err := h.DataStore.Report(ctx, spec.Name, v.Digest, data.CheckKey(contract.Digest, spec.Sensitive)); err == nil {
		return kept, nil
	}
	t, err := h.table(ctx, v.Digest, spec.Source)
	if err != nil {
		return data.Report{}, err
	}
	return h.Checker.Ensure(ctx, v, t, contract, spec.Sensitive, lastro.System("data"))
}

func (h *House) contract(spec data.Spec) (*data.Contract, error) {
	text, err := os.ReadFile(filepath.Join(h.Paths.Project, filepath.FromSlash(spec.Contract)))
	if err != nil {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0203", Pos: spec.Pos, Msg: fmt.Sprintf("dataset %q: contract %s cannot be read: %v", spec.Name, spec.Contract, pathCause(err))}
	}
	return data.ParseContract(spec.Contract, text)
}

// Without stores a copy of a version that lacks columns (SEMANTICS 19). The
// copy of the same version and columns is made once.
func (d datasets) Without(ctx context.Context, ds pipeline.Dataset, hidden []string) (lastro.Digest, error) {
	slices.Sort(hidden)
	return d.h.derived(ctx, append([]string{"without", string(ds.Digest)}, hidden...), func() (lastro.Digest, error) {
		return d.h.project(ctx, ds, hidden)
	})
}

// With stores a copy of a table with sensitive columns of the dataset that it
// was made from joined back by key.
func (d datasets) With(ctx context.Context, ds pipeline.Dataset, table lastro.Digest, file string, columns []string) (lastro.Digest, error) {
	spec, ok := d.project.Dataset(ds.Name)
	if !ok || len(spec.Key) == 0 {
		return "", &lastro.Error{Code: lastro.EInvalid, ID: "L0207", Pos: spec.Pos, Msg: fmt.Sprintf("dataset %q has no key, so its sensitive columns cannot be joined back", ds.Name),
			Hint: "name the columns that identify a row: key: [...]"}
	}
	return d.h.derived(ctx, append([]string{"with", string(ds.Digest), string(table)}, columns...), func() (lastro.Digest, error) {
		return d.h.joinBack(ctx, ds, spec.Key, table, file, columns)
	})
}

func (h *House) joinBack(ctx context.Context, ds pipeline.Dataset, key []string, table lastro.Digest, file string, columns []string) (lastro.Digest, error) {
	out, err := os.MkdirTemp(h.Paths.Work(), "with-")
	if err != nil {
		return "", diskError(err)
	}
	defer os.RemoveAll(out)
	from, err := h.materialised(ctx, table, path.Base(file))
	if err != nil {
		return "", err
	}
	people, err := h.table(ctx, ds.Digest, ds.Path)
	if err != nil {
		return "", err
	}
	to := filepath.Join(out, path.Base(file))
	if _, err := h.Data.Project(ctx, data.ProjectRequest{Table: data.Files(from), Join: &people, Key: key, With: columns, Out: to}); err != nil {
		return "", err
	}
	digest, _, err := h.Blobs.PutFile(ctx, to, nil)
	return digest, err
}

// derived remembers what was made from stored content: the same parts give the
// same digest, so it is made once.
func (h *House) derived(ctx context.Context, parts []string, make func() (lastro.Digest, error)) (lastro.Digest, error) {
	memo := filepath.Join(h.cacheDir(), "derived-"+lastro.DigestOf([]byte(strings.Join(parts, "\x00"))).Hex())
	if raw, err := os.ReadFile(memo); err == nil {
		if known, err := lastro.ParseDigest(string(raw)); err == nil {
			if has, err := h.Blobs.Has(ctx, known); err == nil && has {
				now := time.Now()
				_ = os.Chtimes(memo, now, now) // what is used stays
				return known, nil
			}
		}
	}
	digest, err := make()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(memo), 0o700); err != nil {
		return "", diskError(err)
	}
	// Half a memo after a crash is no digest, and is made again.
	return digest, diskError(os.WriteFile(memo, []byte(digest), 0o600))
}

// project writes a copy without columns, file by file, and stores it.
func (h *House) project(ctx context.Context, ds pipeline.Dataset, hidden []string) (lastro.Digest, error) {
	out, err := os.MkdirTemp(h.Paths.Work(), "without-")
	if err != nil {
		return "", diskError(err)
	}
	defer os.RemoveAll(out)
	from, err := h.materialised(ctx, ds.Digest, path.Base(ds.Path))
	if err != nil {
		return "", err
	}
	info, err := h.Blobs.Stat(ctx, ds.Digest)
	if err != nil {
		return "", err
	}
	if !info.Tree {
		to := filepath.Join(out, path.Base(ds.Path))
		if _, err := h.Data.Project(ctx, data.ProjectRequest{Table: data.Files(from), Drop: hidden, Out: to}); err != nil {
			return "", err
		}
		digest, _, err := h.Blobs.PutFile(ctx, to, nil)
		return digest, err
	}
	entries, err := h.Blobs.Tree(ctx, ds.Digest)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if err := h.projectEntry(ctx, e, from, out, hidden); err != nil {
			return "", err
		}
	}
	digest, _, err := h.Blobs.PutTree(ctx, out, nil)
	return digest, err
}

func (h *House) projectEntry(ctx context.Context, e blob.Entry, from, out string, hidden []string) error {
	if e.Dir {
		return nil
	}
	to := filepath.Join(out, filepath.FromSlash(e.Path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return diskError(err)
	}
	_, err := h.Data.Project(ctx, data.ProjectRequest{Table: data.Files(filepath.Join(from, filepath.FromSlash(e.Path))), Drop: hidden, Out: to})
	return err
}

// labelTable is the newest content of the dataset that brings labels.
func (h *House) labelTable(ctx context.Context, name string) (data.Table, data.Spec, error) {
	spec, ok := h.Project().Dataset(name)
	if !ok {
		return data.Table{}, spec, lastro.Errorf(lastro.ENotFound, "lastro.yaml declares no dataset %q", name)
	}
	v, err := h.snapshot(ctx, spec)
	if err != nil {
		return data.Table{}, spec, err
	}
	t, err := h.table(ctx, v.Digest, spec.Source)
	return t, spec, err
}

// hasFiles reports whether any file of a table exists.
func hasFiles(t data.Table) bool {
	for _, f := range t.Files {
		info, err := os.Stat(f.Path)
		if err == nil && !info.IsDir() {
			return true
		}
		if err == nil {
			entries, _ := os.ReadDir(f.Path)
			if len(entries) > 0 {
				return true
			}
		}
	}
	return false
}
