// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
