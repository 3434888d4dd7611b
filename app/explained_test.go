// SPDX-License-Identifier: Apache-2.0

package app

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
	"lastro/pipeline"
)

// TestDiffering: the first value, line or byte that is another one.
func TestDiffering(t *testing.T) {
	for _, c := range []struct{ name, a, b, want string }{
		{"m.json", `{"auc": 0.7, "runs": [1, 2]}`, `{"auc": 0.7, "runs": [1, 3]}`, "runs[00001] 2 → 3"},
		{"m.json", `{"a": 1}`, `{"a": 1, "b": "x"}`, "b x (new)"},
		{"m.json", `{"a": 1, "b": 2}`, `{"b":2,"a":1}`, "the same values, written in another way"},
		{"m.json", `{"a": 1`, `{"a": 2}`, `line 1: {"a": 1 → {"a": 2}`},
		{"t.csv", "n\n1\n2\n", "n\n1\n3\n", "line 3: 2 → 3"},
		{"t.csv", "n\n1\n", "n\n1\n2\n", "line 3: (end) → 2"},
		{"w.bin", "ab\x00c", "ab\x00d", "from byte 4 on"},
	} {
		got, ok := "", false
		if strings.HasSuffix(c.name, ".json") {
			got, ok = differingJSON([]byte(c.a), []byte(c.b))
		}
		if !ok {
			got = differingText([]byte(c.a), []byte(c.b))
		}
		if got != c.want {
			t.Errorf("%s: %q and %q differ at %q, want %q", c.name, c.a, c.b, got, c.want)
		}
	}
}

// TestQuoted lets a shell read what was written for it.
func TestQuoted(t *testing.T) {
	argv := []string{"printf", "%s|", "plain", "two words", "it's", "$HOME `id` !", "", "a*b"}
	out, err := exec.Command("sh", "-c", quoted(argv)).Output()
	if err != nil || string(out) != "plain|two words|it's|$HOME `id` !||a*b|" {
		t.Errorf("%s gives %q, %v", quoted(argv), out, err)
	}
}

// TestHolder: only a process that has the lock's file open is the holder.
func TestHolder(t *testing.T) {
	p := Paths{State: t.TempDir()}
	if _, ok, err := HolderOf(p); ok || err != nil {
		t.Errorf("without a lock: %v, %v", ok, err)
	}
	l, err := takeLock(p, "run")
	if err != nil {
		t.Fatal(err)
	}
	h, ok, err := HolderOf(p)
	if err != nil || !ok || h.PID != os.Getpid() || h.Command != "run" {
		t.Errorf("%+v, %v, %v", h, ok, err)
	}
	// Another process has got the number that the file names.
	other := exec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	raw, _ := json.Marshal(Holder{PID: other.Process.Pid, Command: "run"})
	if err := os.WriteFile(filepath.Join(p.State, "lock"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if h, ok, err := HolderOf(p); ok || !lastro.Is(err, lastro.EConflict) {
		t.Errorf("another process: %+v, %v, %v", h, ok, err)
	}
	l.release()
	if _, ok, err := HolderOf(p); ok || err != nil {
		t.Errorf("after release: %v, %v", ok, err)
	}
}

func TestSplitStepRef(t *testing.T) {
	for ref, want := range map[string]struct {
		run  int64
		step string
		cell int
	}{"train": {0, "train", 0}, "train[2]": {0, "train", 2}, "142/train": {142, "train", 0}, "#142/train[3]": {142, "train", 3}, "a/b": {0, "a/b", 0}, "train[x]": {0, "train[x]", 0}} {
		run, step, cell := splitStepRef(ref)
		if run != want.run || step != want.step || cell != want.cell {
			t.Errorf("%s: %d %s %d, want %v", ref, run, step, cell, want)
		}
	}
}

// TestNewestAttempts keeps the last attempt of each cell.
func TestNewestAttempts(t *testing.T) {
	rows := []pipeline.StepRun{{Step: "a", Cell: 1, Attempt: 1}, {Step: "b", Attempt: 1}, {Step: "a", Cell: 2, Attempt: 1}, {Step: "a", Cell: 1, Attempt: 2}}
	got := newestAttempts(rows, "a", 0)
	if len(got) != 2 || got[0].Attempt != 2 || got[1].Cell != 2 {
		t.Errorf("%+v", got)
	}
	if got := newestAttempts(rows, "a", 2); len(got) != 1 || got[0].Cell != 2 {
		t.Errorf("%+v", got)
	}
}
