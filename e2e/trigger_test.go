// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// git runs git in a folder of the test.
func (f folder) git(dir string, args ...string) string {
	f.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), gitIdentity...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestTriggersKilled kills the server without warning while pushes come in,
// each told by a hook and seen by looking: no commit has two runs, none that
// the server was told of is lost, and the newest one has run.
func TestTriggersKilled(t *testing.T) {
	t.Parallel()
	rounds := 6
	if os.Getenv("LASTRO_TORTURE") != "" {
		rounds = 300
	}
	notes := t.TempDir()
	f := newFolder(t, map[string]string{".gitignore": ".lastro/\n", "word": "0\n", "lastro.yaml": fmt.Sprintf(`version: 1
name: pushed
on: {push: {branches: [main]}}
steps:
  say: {run: "cat word >> %s/said; sleep 0.1", cache: false}
`, notes)})
	f.git(f.dir, "init", "-q")
	f.git(f.dir, "add", "-A")
	f.git(f.dir, "commit", "-q", "-m", "first")
	server := filepath.Join(t.TempDir(), "shop.git")
	f.git(f.dir, "clone", "-q", "--bare", ".", server)
	f.ok(0, "trigger", "install-hook", server)
	up := func() running {
		return f.start("up", "--repository", server, "--poll", "1s", "--listen", "127.0.0.1:0", "--endpoints", "127.0.0.1:0")
	}
	alive := func() {
		t.Helper()
		for range 200 {
			if strings.Contains(f.lastro("trigger", "ls").stdout, "watching") {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Fatal("the server does not come up")
	}
	r := up()
	alive()
	time.Sleep(1500 * time.Millisecond) // the first look
	var heads []string
	for i := range rounds {
		f.write("word", fmt.Sprintf("%d\n", i+1))
		f.git(f.dir, "commit", "-q", "-a", "-m", fmt.Sprint(i+1))
		heads = append(heads, f.git(f.dir, "rev-parse", "HEAD"))
		f.git(f.dir, "push", "-q", server, "HEAD:main")
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		if err := r.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = r.Wait()
		r = up()
		alive()
	}
	last := heads[len(heads)-1]
	var causes []struct {
		Commit, State, Reason string
		Run                   int
	}
	for range 300 {
		var doc struct {
			Causes json.RawMessage
		}
		if err := json.Unmarshal([]byte(f.ok(0, "trigger", "ls", "--json", "-n", "1000").stdout), &doc); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(doc.Causes, &causes); err != nil {
			t.Fatal(err)
		}
		open := len(causes) == 0 || causes[0].Commit != last
		for _, c := range causes {
			open = open || c.State == "pending"
		}
		for _, row := range f.runs() {
			open = open || row.State == "running" || row.State == "pending"
		}
		if !open {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	_ = r.Process.Kill()
	_ = r.Wait()
	runOf := map[string]int{}
	for _, c := range causes {
		if c.State != "started" || c.Run == 0 {
			t.Errorf("the cause of %.7s is %s: %s", c.Commit, c.State, c.Reason)
		}
		if before := runOf[c.Commit]; before != 0 {
			t.Errorf("%.7s has runs %d and %d", c.Commit, before, c.Run)
		}
		runOf[c.Commit] = c.Run
	}
	if runOf[last] == 0 {
		t.Error("the newest commit has no run")
	}
	rows := f.runs()
	if len(rows) != len(causes) && len(rows) < 100 {
		t.Errorf("%d runs of %d causes", len(rows), len(causes))
	}
	for _, row := range rows {
		if row.State != "succeeded" {
			t.Errorf("run #%d is %s: %s", row.Run, row.State, row.Reason)
		}
	}
	t.Logf("%d pushes, %d kills, %d causes, %d runs", rounds, rounds, len(causes), len(rows))
}
