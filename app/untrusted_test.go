// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/project"
	"lastro/trigger"
)

// forkProject is a project with everything that a fork could be after.
const forkProject = `version: 1
name: prey
on: {pull_request: {branches: [main]}, push: {branches: [main]}}
secrets: [DEPLOY_KEY]
data: {rows: {source: rows.csv, contract: contracts/rows.odcs.yaml}}
steps:
  lib:
    run: mkdir -p lib && cp shared/lib.txt lib/lib.txt
    code: ["shared/**"]
    outputs: {lib: lib}
  test:
    run: bash tests/run.sh
    code: ["tests/**"]
  train:
    run: mkdir -p model && cat src/train.txt lib/lib.txt > model/weights && echo "{\"auc\":$(cat src/auc)}" > m.json
    code: ["src/**"]
    inputs: [lib, rows]
    needs: [test]
    metrics: m.json
    outputs: {model: model}
model:
  name: prey-model
  from: train.model
  require:
    - {name: floor, check: metrics.auc >= 0.6}
deploy:
  local: {model: prey-model@champion}
`

const rowsContract = `apiVersion: v3.1.0
kind: DataContract
id: rows
version: 1.0.0
status: active
schema:
  - name: rows
    properties:
      - {name: x, logicalType: integer, required: true}
`

// prey is a repository with a forge's names for pull requests, and a server
// that watches it.
func prey(t *testing.T) (living, string) {
	t.Helper()
	there := t.TempDir()
	gitIn(t, there, "init", "-q")
	files := map[string]string{"lastro.yaml": forkProject, "rows.csv": "x\n1\n", "contracts/rows.odcs.yaml": rowsContract, "shared/lib.txt": "lib\n",
		"tests/run.sh": "echo tests pass\n", "src/train.txt": "good\n", "src/auc": "0.9\n", "Dockerfile": "FROM scratch\n", "note.ipynb": "{}\n"}
	commitIn(t, there, files)
	f := newFolder(t, forkProject)
	for name, text := range files {
		p := filepath.Join(f.paths.Project, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l := f.live(Watching{Repository: there})
	if _, err := l.house.Secrets.Set(t.Context(), "user:ana", "DEPLOY_KEY", "s3same-open-the-vault"); err != nil {
		t.Fatal(err)
	}
	l.poll()
	return l, there
}

// propose makes a pull request number n of files on top of main, and leaves the
// repository as it was.
func (l living) propose(there string, n int64, fork bool, change func()) trigger.Cause {
	l.Helper()
	gitIn(l.T, there, "checkout", "-q", "-b", fmt.Sprintf("pr%d", n))
	change()
	head := gitIn(l.T, there, "rev-parse", "HEAD")
	gitIn(l.T, there, "checkout", "-q", "main")
	gitIn(l.T, there, "update-ref", fmt.Sprintf("refs/pull/%d/head", n), head)
	gitIn(l.T, there, "branch", "-q", "-D", fmt.Sprintf("pr%d", n))
	told, err := (triggerDoor{l.server}).Proposed(l.Context(), trigger.Proposal{Number: n, Head: head, Base: "main", Branch: "patch", Fork: fork, From: "eve/prey", Actor: "git:eve"})
	if err != nil || told.Cause == nil {
		l.Fatalf("Proposed = %+v, %v", told, err)
	}
	return *told.Cause
}

// strictHere reports whether this machine can hold strict steps to their workspace.
func strictHere(t *testing.T, l living, c trigger.Cause) {
	t.Helper()
	if c.State == trigger.Failed && (strings.Contains(c.Reason, "strict") || strings.Contains(c.Reason, "sandbox")) {
		t.Skipf("a fork's run is refused here, as it should be: %s", c.Reason)
	}
}

// TestFork is S10: a fork changes lastro.yaml, gates, contracts, tests, the
// Dockerfile, notebooks and what is cached, adds links that leave the tree, and
// gets no secret, no version, no release, and no result into the trusted cache.
func TestFork(t *testing.T) {
	l, there := prey(t)
	ctx := t.Context()
	poison := strings.NewReplacer(
		"bash tests/run.sh", "echo PWNED-BY-YAML; env", "metrics.auc >= 0.6", "metrics.auc >= 0.0", "code: [\"tests/**\"]", "secrets: [DEPLOY_KEY]",
	).Replace(forkProject)
	// MLflow's client, as far as bash speaks it: the fork registers a model itself.
	const register = `url=${MLFLOW_TRACKING_URI#http://}; exec 3<>/dev/tcp/${url%:*}/${url#*:} && printf 'POST /api/2.0/mlflow/registered-models/create HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 19\r\nConnection: close\r\n\r\n{"name":"smuggled"}' "$url" "$MLFLOW_TRACKING_TOKEN" >&3 && cat <&3; echo`
	c := l.propose(there, 7, true, func() {
		commitIn(t, there, map[string]string{"lastro.yaml": poison, "contracts/rows.odcs.yaml": strings.Replace(rowsContract, "x,", "nothing,", 1),
			"tests/run.sh":  "echo tests of the fork; " + register + "; env; cat /proc/self/environ | tr '\\0' '\\n'; echo key=$DEPLOY_KEY; cat leak leak2/lastro.db; true\n",
			"src/train.txt": "evil\n", "src/auc": "0.99\n", "Dockerfile": "FROM evil\n", "note.ipynb": `{"cells":["evil"]}`, ".gitignore": "lastro.yaml\n", "requirements.txt": "evil==1\n"})
		for name, to := range map[string]string{"leak": filepath.Join(l.paths.State, "secrets.key"), "leak2": l.paths.State} {
			if err := os.Symlink(to, filepath.Join(there, name)); err != nil {
				t.Fatal(err)
			}
		}
		commitIn(t, there, map[string]string{"more": "x"})
	})
	if c.State != trigger.Waiting || c.Trust != trigger.Fork {
		t.Fatalf("a fork's pull request = %+v, want it to wait", c)
	}
	l.dispatch()
	if n := len(l.runs()); n != 0 {
		t.Fatalf("%d runs before anybody approved", n)
	}
	if _, err := (triggerDoor{l.server}).Decide(ctx, c.ID, true, "", "user:ana"); err != nil {
		t.Fatal(err)
	}
	errs := l.dispatch()
	strictHere(t, l, l.causes()[len(l.causes())-1])
	runs := l.runs()
	if len(runs) != 1 {
		t.Fatalf("%d runs, %v", len(runs), errs)
	}
	r := runs[0]
	log := l.log(r.Number, "test")
	if r.State == pipeline.Errored && strings.Contains(r.Reason+log, "strict") {
		t.Skipf("this machine cannot hold strict steps: %s %s", r.Reason, log)
	}
	if r.State != pipeline.Succeeded || r.Git.Commit != c.Commit || r.Event["trust"] != "fork" || r.Event["base_commit"] == "" || r.Event["who"] != "git:eve" {
		t.Errorf("the run of the fork is %s (%s): %v\n%s", r.State, r.Reason, r.Event, log)
	}
	if !r.Options.Untrusted || !r.Options.Strict || r.Options.Scope != "fork-7" {
		t.Errorf("its options are %+v", r.Options)
	}
	// The fork's code runs, and nothing else of the fork.
	if !strings.Contains(log, "tests of the fork") || strings.Contains(log, "PWNED-BY-YAML") {
		t.Errorf("it ran: %s", log)
	}
	for _, secret := range []string{"s3same", "AGE-SECRET-KEY", "SQLite format"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log of the fork's step has %q:\n%s", secret, log)
		}
	}
	for _, s := range r.Spec.Steps {
		if len(s.Secrets) > 0 || strings.Contains(s.Shell, "PWNED") {
			t.Errorf("step %s is the fork's: %+v", s.Name, s)
		}
	}
	if versions, err := l.house.Registry.VersionsOf(ctx, "prey-model"); err == nil && len(versions) > 0 {
		t.Errorf("the fork registered %+v", versions)
	}
	if names, _ := l.house.Deploys.Store.Environments(ctx); len(names) > 0 {
		t.Errorf("the fork released to %v", names)
	}
	if !strings.Contains(log, "registers no model") {
		t.Errorf("the fork's own registration was not refused:\n%s", log)
	}
	events := l.events(l.house)
	for verb, n := range events {
		if n > 0 && slices.Contains([]string{"version", "alias", "release", "rollout", "decision"}, strings.SplitN(verb, ".", 2)[0]) {
			t.Errorf("%d events %s of a fork", n, verb)
		}
	}

	// The same code after a merge: nothing that the fork wrote is found.
	gitIn(t, there, "merge", "-q", "--ff-only", "refs/pull/7/head")
	gitIn(t, there, "rm", "-q", "leak", "leak2")
	commitIn(t, there, map[string]string{"lastro.yaml": forkProject, "contracts/rows.odcs.yaml": rowsContract, "requirements.txt": ""})
	l.poll()
	if errs := l.dispatch(); len(errs) > 0 {
		t.Fatal(errs)
	}
	merged := l.runs()[1]
	if merged.State != pipeline.Succeeded || merged.Options.Untrusted || merged.Options.Scope != pipeline.Shared {
		t.Errorf("the run of main is %s (%s) with %+v", merged.State, merged.Reason, merged.Options)
	}
	steps, err := l.house.Runs.StepRuns(ctx, merged.Number)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.State == pipeline.Cached {
			t.Errorf("step %s of main comes from run #%d, a fork's", s.Step, s.CachedFrom)
		}
	}

	// The next fork finds what main has made.
	c = l.propose(there, 8, true, func() { commitIn(t, there, map[string]string{"src/train.txt": "better\n"}) })
	if _, err := (triggerDoor{l.server}).Decide(ctx, c.ID, true, "", "user:ana"); err != nil {
		t.Fatal(err)
	}
	l.dispatch()
	steps, err = l.house.Runs.StepRuns(ctx, l.runs()[2].Number)
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]pipeline.State{}
	for _, s := range steps {
		state[s.Step] = s.State
	}
	if state["lib"] != pipeline.Cached || state["train"] != pipeline.Succeeded {
		t.Errorf("steps of the next fork: %v; want lib from main's cache", state)
	}
}

// TestForkGuards: forks that get in the way of the base's files, and ones whose
// code is not there, end without a run.
func TestForkGuards(t *testing.T) {
	l, there := prey(t)
	approve := func(c trigger.Cause) {
		t.Helper()
		if _, err := (triggerDoor{l.server}).Decide(t.Context(), c.ID, true, "", "user:ana"); err != nil {
			t.Fatal(err)
		}
	}
	outside := t.TempDir()
	c := l.propose(there, 1, true, func() {
		gitIn(t, there, "rm", "-q", "-r", "contracts")
		if err := os.Symlink(outside, filepath.Join(there, "contracts")); err != nil {
			t.Fatal(err)
		}
		commitIn(t, there, map[string]string{"more": "y"})
	})
	approve(c)
	errs := l.dispatch()
	if len(errs) != 1 || !lastro.Is(errs[0], lastro.EInvalid) {
		t.Errorf("a link where a contract belongs: %v", errs)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("written outside the tree: %v", entries)
	}
	if n := len(l.runs()); n != 0 {
		t.Errorf("%d runs", n)
	}
}

// TestReviewed: a branch's own pull request runs at once, with its own file,
// and neither registers nor writes to the shared cache.
func TestReviewed(t *testing.T) {
	l, there := prey(t)
	c := l.propose(there, 3, false, func() {
		commitIn(t, there, map[string]string{"lastro.yaml": strings.Replace(forkProject, "bash tests/run.sh", "echo from the branch", 1)})
	})
	if c.State != trigger.Pending || c.Trust != trigger.Reviewed {
		t.Fatalf("cause = %+v", c)
	}
	if errs := l.dispatch(); len(errs) > 0 {
		t.Fatal(errs)
	}
	r := l.runs()[0]
	if r.State != pipeline.Succeeded || r.Options.Scope != "pr-3" || !r.Options.Untrusted || r.Options.Strict || !strings.Contains(l.log(1, "test"), "from the branch") {
		t.Errorf("run = %s (%s), %+v\n%s", r.State, r.Reason, r.Options, l.log(1, "test"))
	}
	if versions, err := l.house.Registry.VersionsOf(t.Context(), "prey-model"); err == nil && len(versions) > 0 {
		t.Errorf("a pull request registered %+v", versions)
	}
}

// TestProtected: what a run is loaded from is protected.
func TestProtected(t *testing.T) {
	f := newFolder(t, forkProject)
	if err := os.MkdirAll(filepath.Join(f.paths.Project, "contracts"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.paths.Project, "contracts/rows.odcs.yaml"), []byte(rowsContract), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := project.Load(f.paths.Project)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(protected(p), " ")
	for _, name := range []string{"lastro.yaml", "lastro.lock", "requirements.txt", "pyproject.toml", "contracts/rows.odcs.yaml"} {
		if !strings.Contains(got, name) {
			t.Errorf("%s is not protected: %s", name, got)
		}
	}
}

// TestForkCheckoutsGo: what was unpacked of branches and forks is removed when
// nobody has used it for long.
func TestForkCheckoutsGo(t *testing.T) {
	l, there := prey(t)
	head := gitIn(t, there, "rev-parse", "HEAD")
	r, err := l.house.repository()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Fetch(t.Context(), "refs/heads/main"); err != nil {
		t.Fatal(err)
	}
	dir, err := l.house.forkDir(t.Context(), head, head)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.house.tidyCache(t.Context(), time.Now()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "lastro.yaml")); err != nil {
		t.Errorf("a checkout that was just used is gone: %v", err)
	}
	if err := l.house.tidyCache(t.Context(), time.Now().Add(2*cacheLife)); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(l.house.cacheDir(), "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
	if again, err := l.house.forkDir(t.Context(), head, head); err != nil || again != dir {
		t.Errorf("unpacked again: %s, %v", again, err)
	}
}
