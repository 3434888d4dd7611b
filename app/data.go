// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lastro"
	"lastro/data"
	"lastro/data/duckdb"
	"lastro/stats"
)

// CheckDataset evaluates a dataset's contract on what it contains now.
func (h *House) CheckDataset(ctx context.Context, name string) (data.Report, error) {
	spec, ok := h.Project().Dataset(name)
	if !ok {
		return data.Report{}, lastro.Errorf(lastro.ENotFound, "lastro.yaml declares no dataset %q", name)
	}
	if spec.Contract == "" {
		return data.Report{}, &lastro.Error{Code: lastro.EInvalid, ID: "L0205", Pos: spec.Pos, Msg: fmt.Sprintf("dataset %q has no contract", name),
			Hint: "write one (ODCS 3.1) and name it: contract: contracts/" + name + ".odcs.yaml"}
	}
	v, err := h.snapshot(ctx, spec)
	if err != nil {
		return data.Report{}, err
	}
	return h.checkVersion(ctx, spec, v)
}

// withEngine runs f with a data worker of its own, outside any project.
func withEngine(f func(data.Engine) error) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	worker := duckdb.NewClient(duckdb.ClientOptions{Program: self, Args: []string{"data-worker"}})
	defer worker.Close()
	return f(worker)
}

// CheckFile evaluates a contract on a bare file or folder, outside any project.
func CheckFile(ctx context.Context, dir, file, contract string) (data.Report, error) {
	var report data.Report
	text, err := os.ReadFile(below(dir, contract))
	if err != nil {
		return report, &lastro.Error{Code: lastro.EInvalid, ID: "L0203", Msg: fmt.Sprintf("contract %s cannot be read: %v", contract, pathCause(err))}
	}
	parsed, err := data.ParseContract(contract, text)
	if err != nil {
		return report, err
	}
	if _, err := os.Stat(below(dir, file)); err != nil {
		return report, &lastro.Error{Code: lastro.EInvalid, ID: "L0201", Msg: fmt.Sprintf("%s cannot be read: %v", file, pathCause(err))}
	}
	err = withEngine(func(e data.Engine) error {
		report, err = e.Check(ctx, data.CheckRequest{Dataset: filepath.Base(file), Table: data.Files(below(dir, file)), Contract: parsed})
		return err
	})
	return report, err
}

func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// Proposal is a contract change on a branch of its own.
type Proposal struct {
	Dataset string   `json:"dataset"`
	Changes []string `json:"changes"`
	Left    []string `json:"left,omitempty"` // violations that no edit should hide
	Diff    string   `json:"diff"`
	Branch  string   `json:"branch,omitempty"`
	Commit  string   `json:"commit,omitempty"`
}

// Propose edits a dataset's contract so that its content passes, and commits
// the edit on the branch data/DATASET-DIGEST without touching the work tree.
func (h *House) Propose(ctx context.Context, name string, dryRun bool) (Proposal, error) {
	out := Proposal{Dataset: name}
	spec, ok := h.Project().Dataset(name)
	if !ok || spec.Contract == "" {
		return out, lastro.Errorf(lastro.EInvalid, "dataset %q has no contract to change", name)
	}
	contract, err := h.contract(spec)
	if err != nil {
		return out, err
	}
	v, err := h.snapshot(ctx, spec)
	if err != nil {
		return out, err
	}
	t, err := h.table(ctx, v.Digest, spec.Source)
	if err != nil {
		return out, err
	}
	report, err := h.Data.Check(ctx, data.CheckRequest{Dataset: name, Version: v.Digest, Table: t, Contract: contract, Sensitive: spec.Sensitive, MaxBad: 1000})
	if err != nil {
		return out, err
	}
	text, err := os.ReadFile(filepath.Join(h.Paths.Project, filepath.FromSlash(spec.Contract)))
	if err != nil {
		return out, diskError(err)
	}
	p, err := data.Propose(spec.Contract, text, report)
	if err != nil {
		return out, err
	}
	out.Diff = p.Diff
	for _, c := range p.Changes {
		out.Changes = append(out.Changes, c.What)
	}
	for _, c := range p.Left {
		out.Left = append(out.Left, c.What)
	}
	if dryRun || len(p.Changes) == 0 {
		return out, nil
	}
	out.Branch = fmt.Sprintf("data/%s-%s", name, v.Digest.Short())
	message := fmt.Sprintf("contracts: accept %s@%s\n\n%s", name, v.Digest.Short(), strings.Join(out.Changes, "\n"))
	out.Commit, err = commitOnBranch(ctx, h.Paths.Project, out.Branch, spec.Contract, p.Text, message)
	return out, err
}

// commitOnBranch commits one changed file on a new branch that starts at HEAD,
// by git's plumbing: neither the work tree nor the index is touched.
func commitOnBranch(ctx context.Context, dir, branch, file string, content []byte, message string) (string, error) {
	index, err := os.CreateTemp("", "lastro-index-")
	if err != nil {
		return "", err
	}
	index.Close()
	os.Remove(index.Name()) // git wants to make it
	defer os.Remove(index.Name())
	git := func(stdin string, args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_INDEX_FILE="+index.Name())
		cmd.Stdin = strings.NewReader(stdin)
		var problem strings.Builder
		cmd.Stderr = &problem
		raw, err := cmd.Output()
		if err != nil {
			return "", &lastro.Error{Code: lastro.EErrored, ID: "L0206", Msg: fmt.Sprintf("git %s: %s", args[0], strings.TrimSpace(problem.String())),
				Hint: "a proposal needs a git repository with a commit, and user.name and user.email; or see it with --dry-run", Err: err}
		}
		return strings.TrimSpace(string(raw)), nil
	}
	prefix, err := git("", "rev-parse", "--show-prefix")
	if err != nil {
		return "", err
	}
	blob, err := git(string(content), "hash-object", "-w", "--stdin")
	if err != nil {
		return "", err
	}
	if _, err := git("", "read-tree", "HEAD"); err != nil {
		return "", err
	}
	if _, err := git("", "update-index", "--add", "--cacheinfo", "100644,"+blob+","+prefix+filepath.ToSlash(file)); err != nil {
		return "", err
	}
	tree, err := git("", "write-tree")
	if err != nil {
		return "", err
	}
	commit, err := git("", "commit-tree", tree, "-p", "HEAD", "-m", message)
	if err != nil {
		return "", err
	}
	_, err = git("", "update-ref", "refs/heads/"+branch, commit)
	return commit, err
}

// DriftRequest compares two tables.
type DriftRequest struct {
	Dir, Reference, Current, Test string
	Columns                       []string
}

// ColumnDrift is the outcome for one column.
type ColumnDrift struct {
	Name  string  `json:"name"`
	Kind  string  `json:"kind"`
	Test  string  `json:"test"`
	Value float64 `json:"value"`
	P     float64 `json:"p_value"`
	Noise float64 `json:"noise"` // what sampling alone exceeds in 5% of windows
	Error string  `json:"error,omitempty"`
}

// Drift compares the columns of two files or folders, outside any project.
func Drift(ctx context.Context, r DriftRequest) ([]ColumnDrift, error) {
	test, ok := stats.LookupDrift(r.Test)
	if !ok {
		return nil, lastro.Errorf(lastro.EInvalid, "there is no drift test %q", r.Test)
	}
	var out []ColumnDrift
	err := withEngine(func(e data.Engine) error {
		w := watch{&House{Data: e}}
		reference, err := w.columns(ctx, data.Files(below(r.Dir, r.Reference)), r.Columns, nil)
		if err != nil {
			return err
		}
		kinds := map[string]stats.ColumnKind{}
		var names []string
		for _, c := range reference {
			kinds[c.Name], names = c.Kind, append(names, c.Name)
		}
		current, err := w.columns(ctx, data.Files(below(r.Dir, r.Current)), names, kinds)
		if err != nil {
			return err
		}
		for i, c := range reference {
			out = append(out, columnDrift(test, c, current[i]))
		}
		return nil
	})
	return out, err
}

func columnDrift(test stats.DriftTest, reference, current stats.Column) ColumnDrift {
	d := ColumnDrift{Name: reference.Name, Kind: string(reference.Kind), Test: test.Name}
	got, err := test.Run(reference, current)
	if err != nil {
		d.Error = err.Error()
		return d
	}
	d.Value, d.P, d.Noise = finite(got.Value), finite(got.P), finite(got.Noise)
	return d
}

// finite is v, or 0 for what JSON cannot carry.
func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
