// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lastro/store"
	"lastro/store/storetest"
)

// TestOnPostgres runs scenarios whose state is in PostgreSQL: those of the
// command line that do not look into the file, and one of its own.
func TestOnPostgres(t *testing.T) {
	for _, script := range []string{"testdata/happy.txtar", "testdata/step_split.txtar", "testdata/diff.txtar"} {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txtar"), func(t *testing.T) {
			target := storetest.Postgres(t)
			p := scripts()
			p.Dir, p.Files = "", []string{script}
			setup := p.Setup
			p.Setup = func(env *testscript.Env) error {
				env.Setenv("LASTRO_DB", target)
				return setup(env)
			}
			testscript.Run(t, p)
		})
	}
}

// TestDatabase: a project's run, its gate and registry in PostgreSQL; the state
// directory remembers where, and no password is printed or kept.
func TestDatabase(t *testing.T) {
	t.Parallel()
	target := storetest.Postgres(t)
	secret := strings.Replace(target, "lastro@", "lastro:s3cret@", 1)
	f := newFolder(t, map[string]string{"lastro.yaml": `version: 1
name: hello
steps:
  greet:
    run: echo hello > work/greeting.txt && echo '{"auc":0.93}' > work/metrics.json && mkdir -p work/model && echo x > work/model/model.onnx
    outputs: {greeting: work/greeting.txt, model: work/model}
    metrics: work/metrics.json
model:
  name: hello
  from: greet.model
  require:
    - {name: auc-floor, check: metrics.auc >= 0.9}
`})
	f.ok(0, "run", "--db", secret).has(t, "run #1 succeeded", "auc-floor")
	recorded, err := os.ReadFile(filepath.Join(f.dir, ".lastro", "database"))
	if err != nil || strings.TrimSpace(string(recorded)) != store.Redact(target) {
		t.Errorf("remembered %q (%v), want %q", recorded, err, store.Redact(target))
	}
	if _, err := os.Stat(filepath.Join(f.dir, ".lastro", "lastro.db")); err == nil {
		t.Error("there is a SQLite file too")
	}
	// Without the flag the commands look where the run was.
	f.ok(0, "ls").has(t, "#1")
	f.ok(0, "ls", "models").has(t, "hello")
	f.ok(0, "why", "hello@1").has(t, "auc-floor")
	f.ok(0, "run").has(t, "1 of 1 steps from the cache")

	down := f.ok(9, "run", "--db", "postgres://ana:s3cret@127.0.0.1:1/lastro")
	down.has(t, "PostgreSQL cannot be reached")
	bad := f.ok(2, "ls", "--db", "postgres://ana:s3/cret@db/lastro")
	bad.has(t, "has the form postgres://")
	for _, text := range []string{down.stdout + down.stderr, bad.stdout + bad.stderr} {
		if strings.Contains(text, "cret") && strings.Contains(text, "s3") {
			t.Errorf("the password is in %s", text)
		}
	}
	if out, err := exec.Command("grep", "-rl", "s3cret", filepath.Join(f.dir, ".lastro")).CombinedOutput(); err == nil {
		t.Errorf("the password is in %s", out)
	}
	// Back to a file: nothing of the other is in it.
	f.ok(0, "run", "--db", ".lastro/lastro.db").has(t, "run #1 succeeded")
	f.ok(0, "ls").has(t, "#1")
}

// TestServerOnPostgres: a server whose state is in PostgreSQL takes a run, is
// killed, and the next one goes on with it.
func TestServerOnPostgres(t *testing.T) {
	t.Parallel()
	target := storetest.Postgres(t)
	notes := t.TempDir()
	f := newFolder(t, map[string]string{"lastro.yaml": chain(notes, 3, "1")})
	address := filepath.Join(f.dir, ".lastro", "run", "up.json")
	up := func(args ...string) running {
		_ = os.Remove(address)
		r := f.start(append([]string{"up", "--listen", "127.0.0.1:0", "--endpoints", "127.0.0.1:0"}, args...)...)
		for range 600 {
			if _, err := os.Stat(address); err == nil {
				return r
			}
			time.Sleep(50 * time.Millisecond)
		}
		_ = r.Process.Kill()
		t.Fatalf("no server: %s", f.finish(r).stderr)
		return r
	}
	first := up("--db", target)
	run := f.start("run")
	for range 600 {
		if count(t, filepath.Join(notes, "count-s1")) > 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = first.Process.Kill()
	f.finish(first)
	f.finish(run)  // it has lost its server
	second := up() // the state directory remembers the database
	for range 600 {
		if runs := f.runs(); len(runs) == 1 && runs[0].State == "succeeded" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if runs := f.runs(); len(runs) != 1 || runs[0].State != "succeeded" {
		t.Errorf("runs: %v, want one, succeeded", runs)
	}
	for i := range 3 {
		if n := count(t, fmt.Sprintf("%s/count-s%d", notes, i)); n != 1 {
			t.Errorf("step s%d was started %d times, want once", i, n)
		}
	}
	f.ok(0, "run").has(t, "3 of 3 steps from the cache")
	_ = second.Process.Signal(syscall.SIGTERM)
	if r := f.finish(second); r.code != 0 {
		t.Errorf("lastro up after SIGTERM: %d %s", r.code, r.stderr)
	}
}
