// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"lastro/project"
	"lastro/store"
	"lastro/store/storetest"
)

// TestMain makes the test binary stand in for lastro's other processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		var err error
		switch os.Args[1] {
		case "supervisor":
			err = Supervise(context.Background(), os.Args[3])
		case "data-worker":
			err = WorkData(context.Background(), os.Stdin, os.Stdout)
		default:
			storetest.Main(m)
		}
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		return
	}
	storetest.Main(m)
}

// smallProject trains a model in a shell: what it holds is the parameter.
const smallProject = `version: 1
name: small
params: {n: 1, auc: 0.7}
steps:
  train:
    run: mkdir -p model && echo ${{ params.n }} > model/weights && echo "{\"auc\":${{ params.auc }}}" > m.json
    metrics: m.json
    outputs: {model: model}
model:
  name: small-model
  from: train.model
  require:
    - {name: floor, check: metrics.auc >= 0.6}
    - {name: good, check: metrics.auc >= 0.65, on_fail: approve}
deploy:
  local:
    model: small-model@champion
`

// folder is a project with its state, opened and reopened as processes do.
type folder struct {
	*testing.T
	paths Paths
}

func newFolder(t *testing.T, text string) folder {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lastro.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder{t, PathsOf(dir, "")}
}

// open opens the house; the returned close is what the end of a process does.
func (f folder) open() *House {
	f.Helper()
	p, err := project.Load(f.paths.Project)
	if err != nil {
		f.Fatal(err)
	}
	h, err := Open(f.Context(), OpenOptions{Project: p, Paths: f.paths, Command: "up"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { f.close(h) })
	return h
}

func (f folder) close(h *House) {
	f.Helper()
	if err := h.Close(); err != nil {
		f.Errorf("close: %v", err)
	}
}

// events counts the events on record by verb.
func (f folder) events(h *House) map[string]int {
	f.Helper()
	all, err := h.DB.Events(f.Context(), store.EventFilter{})
	if err != nil {
		f.Fatal(err)
	}
	out := map[string]int{}
	for _, e := range all {
		out[e.Verb]++
	}
	return out
}

func number(n int) string { return strconv.Itoa(n) }
