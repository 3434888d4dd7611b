// SPDX-License-Identifier: Apache-2.0

package command_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lastro"
	"lastro/exec"
	"lastro/exec/process"
	"lastro/pipeline"
	"lastro/step/command"
)

// job is one attempt outside an engine, with a workspace of its own in the
// project of h.
func (h *house) job(t *testing.T, id, script string) *pipeline.Job {
	t.Helper()
	j := &pipeline.Job{Run: 1, Step: pipeline.StepSpec{Name: id, Kind: "run", Shell: script}, Attempt: 1, TaskID: id, Project: h.dir,
		Dir: filepath.Join(h.dir, ".lastro", "work", id), Scratch: filepath.Join(h.dir, ".lastro", "work", ".tmp", id), LogPath: filepath.Join(h.dir, ".lastro", id+".log")}
	for _, dir := range []string{j.Dir, j.Scratch} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func (h *house) kind() *command.Kind {
	return h.shop.Kinds[0].(*command.Kind)
}

// TestHowItEnded: an engine can tell the ends apart that a step may be retried for.
func TestHowItEnded(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		id, script string
		reason     pipeline.RetryReason
		code       int
		id2, says  string
	}{
		{"status", "exit 75", "exit:75", 75, "L0301", "exit status 75"},
		{"late", "sleep 30", pipeline.RetryTimeout, -1, "L0303", "timeout"},
		{"big", "dd if=/dev/zero of=/dev/null bs=400M count=1", pipeline.RetryOOM, -1, "L0302", "killed at 64 MiB (resources: memory 64Mi), peak seen "},
		{"signal", "kill -SEGV $$", "", -1, "L0301", "signal 11"},
	} {
		j := h.job(t, c.id, c.script)
		j.Step.Limits.Memory = 64 << 20
		if c.id == "late" {
			j.Step.Timeout = 100_000_000
		}
		res, err := h.kind().Run(t.Context(), j)
		if c.id == "big" && strings.HasSuffix(res.Isolation, "rlimits") {
			t.Log("no control group is writable here")
			continue
		}
		how, ok := errors.AsType[*pipeline.Ended](err)
		if !ok || how.Reason != c.reason || how.ExitCode != c.code || !lastro.Is(err, lastro.EFailed) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %+v, %v", c.id, how, err)
		}
		if e, _ := errors.AsType[*lastro.Error](err); e.ID != c.id2 || e.Hint == "" {
			t.Errorf("%s: %+v", c.id, e)
		}
		if !strings.HasPrefix(res.Isolation, "mounts ") && os.Geteuid() == 0 {
			t.Errorf("%s: isolation %q", c.id, res.Isolation)
		}
	}
}

// TestStrictStep: what a strict step may not do fails with a word about why.
func TestStrictStep(t *testing.T) {
	h := newHouse(t)
	if err := process.Enforces(exec.Sandbox{Strict: true, Network: exec.NetworkNone}); err != nil {
		t.Skip(err)
	}
	for id, c := range map[string]struct{ script, note string }{
		"ok":      {"echo x > out; cat out; echo y > $HOME/y; echo z > $TMPDIR/z; test ! -e /run/lastro", ""},
		"write":   {"echo x > /var/tmp/lastro-undeclared", "writes below its workspace"},
		"read":    {"cat " + filepath.Join(h.dir, "train.sh"), "sees only its declared inputs"},
		"network": {"exec 3<>/dev/tcp/192.0.2.1/80", "has no network"},
	} {
		j := h.job(t, id, c.script)
		j.Strict = true
		res, err := h.kind().Run(t.Context(), j)
		if (err == nil) != (c.note == "") || res.Isolation != "bubblewrap" && res.Isolation != "landlock" {
			t.Errorf("%s: %q, %v", id, res.Isolation, err)
			continue
		}
		if e, ok := errors.AsType[*lastro.Error](err); ok && !strings.Contains(strings.Join(e.Notes, "\n"), c.note) {
			t.Errorf("%s: notes %q", id, e.Notes)
		}
	}
}

// TestSecrets: a command gets the values, and nobody else does.
func TestSecrets(t *testing.T) {
	h := newHouse(t)
	const value = "hunter2-very-secret"
	j := h.job(t, "secret", `printf '%s' "$TOKEN" | md5sum; echo "$TOKEN"; echo "$TOKEN" | base64; echo "got $TOKEN" >&2; printf 'x%.0s' {1..70000}; echo "$TOKEN"`)
	j.Secrets = map[string]string{"TOKEN": value}
	if _, err := h.kind().Run(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(j.LogPath)
	if err != nil {
		t.Fatal(err)
	}
	// md5sum says that the program had the value itself: printf hunter2-very-secret | md5sum
	if !strings.Contains(string(log), "f104950ae9995303cbd3d32fbeeea7aa") {
		t.Errorf("the program did not have the value: %.200q", log)
	}
	if strings.Contains(string(log), value) || strings.Contains(string(log), "aHVudGVyMi12ZXJ5") || len(log) < 70000 {
		t.Errorf("the log of %d bytes shows the secret: %.200q", len(log), log)
	}
	err = filepath.WalkDir(filepath.Join(h.dir, ".lastro"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), value) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSecretsResume: a task with secrets is detached from and resumed
// like any other.
func TestSecretsResume(t *testing.T) {
	h := newHouse(t)
	j := h.job(t, "secret", `echo "up $TOKEN"; while [ ! -e go ]; do sleep 0.01; done; echo "done $TOKEN"`)
	j.Secrets = map[string]string{"TOKEN": "hunter2-very-secret"}
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for {
			if b, _ := os.ReadFile(j.LogPath); strings.HasPrefix(string(b), "up ") {
				cancel(pipeline.ErrDetach)
				return
			}
		}
	}()
	if _, err := h.kind().Run(ctx, j); !errors.Is(err, pipeline.ErrDetach) {
		t.Fatal(err)
	}
	if err := os.WriteFile(j.Path("go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, found, err := h.kind().Resume(t.Context(), j); !found || err != nil {
		t.Fatal(found, err)
	}
	if b, _ := os.ReadFile(j.LogPath); strings.Contains(string(b), "hunter2") || !strings.Contains(string(b), "done ") {
		t.Errorf("log %q", b)
	}
}

// TestIsolationPage: what docs/reference/isolation.md shows is so.
func TestIsolationPage(t *testing.T) {
	if err := process.Enforces(exec.Sandbox{Strict: true, Network: exec.NetworkNone}); err != nil {
		t.Skip(err)
	}
	page, err := os.ReadFile("../../docs/reference/isolation.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) string {
		_, rest, _ := strings.Cut(string(page), "```"+language+"\n")
		text, _, _ := strings.Cut(rest, "```")
		return text
	}
	h := newHouse(t)
	if err := os.WriteFile(filepath.Join(h.dir, "lastro.yaml"), []byte("version: 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, strict := range []bool{true, false} {
		j := h.job(t, fmt.Sprint("1/page-", strict), block("bash"))
		j.Strict = strict
		if _, err := h.kind().Run(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(j.LogPath)
		if err != nil || strict != (string(log) == block("text")) || !strict && strings.Count(string(log), "yes ") < 4 {
			t.Errorf("strict %v: %v\n%s", strict, err, log)
		}
	}
	os.Remove("/var/tmp/undeclared")
}
