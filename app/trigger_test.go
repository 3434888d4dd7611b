// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/api"
	"lastro/pipeline"
	"lastro/trigger"
)

// gitIn runs git as people do.
func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Ana", "-c", "user.email=ana@example.com", "-c", "commit.gpgsign=false", "-c", "init.defaultBranch=main"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commitIn writes files ("" removes one) and commits them.
func commitIn(t *testing.T, dir string, files map[string]string) string {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			_ = os.Remove(p)
		} else if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	gitIn(t, dir, "add", "-A")
	gitIn(t, dir, "commit", "-q", "-m", "change")
	return gitIn(t, dir, "rev-parse", "HEAD")
}

// living is a server whose run loop works; its other loops are called by hand.
type living struct {
	folder
	*server
}

func (f folder) live(w Watching) living {
	f.Helper()
	h := f.open()
	s := newServer(h, "")
	h.submit, h.start, h.watching = s.submit, s.start, w
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.runLoop(ctx) }()
	f.Cleanup(func() { stop(); <-ended })
	return living{f, s}
}

// poll looks at the repository once.
func (l living) poll() {
	l.Helper()
	if err := l.house.pollGit(l.Context(), l.house.Project()); err != nil {
		l.Fatal(err)
	}
}

// dispatch starts what is pending once and waits for the ends of all runs.
func (l living) dispatch() []error {
	l.Helper()
	p := l.house.Project()
	list, err := l.house.triggers(p).Pending(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	var errs []error
	for _, c := range list {
		if _, err := l.start(l.Context(), p, c); err != nil {
			errs = append(errs, err)
		}
	}
	for _, r := range l.runs() {
		if _, err := l.house.engine().Wait(l.Context(), r.Number); err != nil {
			l.Fatal(err)
		}
		for l.Deciding(r.Number) {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return errs
}

// runs lists runs, oldest first.
func (l living) runs() []pipeline.Run {
	l.Helper()
	list, err := l.house.Runs.Runs(l.Context(), pipeline.RunFilter{Limit: 1000})
	if err != nil {
		l.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

func (l living) log(run int64, step string) string {
	l.Helper()
	steps, err := l.house.Runs.StepRuns(l.Context(), run)
	if err != nil {
		l.Fatal(err)
	}
	text := ""
	for _, s := range steps {
		if s.Step == step {
			text += fmt.Sprintf("[%s %s] ", s.State, s.Reason)
			if s.Error != nil {
				text += s.Error.Error()
			}
			raw, _ := os.ReadFile(filepath.Join(l.paths.State, filepath.FromSlash(s.Log)))
			text += string(raw)
		}
	}
	return text
}

func (l living) causes() []trigger.Cause {
	l.Helper()
	list, err := l.house.Causes(l.Context(), trigger.Filter{Limit: 1000})
	if err != nil {
		l.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

const pushProject = `version: 1
name: pushed
on:
  push: {branches: [main], paths: ["src/**", lastro.yaml]}
steps:
  say:
    run: cat src/word; mkdir -p out && cp src/word out/word
    outputs: {out: out}
`

// TestPushes: a commit of a branch runs with its own code, once, however often
// and by whom it is seen; one that changes nothing of interest runs not.
func TestPushes(t *testing.T) {
	f := newFolder(t, pushProject)
	dir := f.paths.Project
	gitIn(t, dir, "init", "-q")
	commitIn(t, dir, map[string]string{"src/word": "one", ".gitignore": ".lastro/\n"})
	l := f.live(Watching{})
	l.poll()
	if errs := l.dispatch(); len(errs) > 0 || len(l.runs()) != 0 {
		t.Fatalf("the first look starts %d runs, %v", len(l.runs()), errs)
	}
	second := commitIn(t, dir, map[string]string{"src/word": "two"})
	gitIn(t, dir, "checkout", "-q", "-b", "wip")
	commitIn(t, dir, map[string]string{"src/word": "unfinished"})
	l.poll()
	// A hook tells of the same push, and so does a second server.
	for range 2 {
		if _, err := (triggerDoor{l.server}).Changed(t.Context(), trigger.Change{Ref: "refs/heads/main", After: second, Actor: "user:ana"}); err != nil {
			t.Fatal(err)
		}
	}
	if errs := l.dispatch(); len(errs) > 0 {
		t.Fatal(errs)
	}
	l.poll()
	l.dispatch()
	runs := l.runs()
	if len(runs) != 1 || runs[0].State != pipeline.Succeeded || runs[0].Git.Commit != second || runs[0].Git.Branch != "main" {
		t.Fatalf("runs = %+v; want one of %s", runs, second)
	}
	if got := l.log(1, "say"); !strings.Contains(got, "two") || strings.Contains(got, "unfinished") {
		t.Errorf("it ran the code %q, want that of its commit", got)
	}
	for k, want := range map[string]string{"kind": "push", "ref": "refs/heads/main", "branch": "main", "commit": second, "author": "Ana <ana@example.com>"} {
		if got := runs[0].Event[k]; got != want {
			t.Errorf("event.%s = %v, want %s", k, got, want)
		}
	}
	if g := runs[0].Git.Author; g != "Ana <ana@example.com>" {
		t.Errorf("author %q", g)
	}
	if got, want := startedBy(runs[0]), "a push to main ("+second[:7]+", system:git)"; got != want {
		t.Errorf("it was started by %q, want %q", got, want)
	}
	gitIn(t, dir, "checkout", "-q", "main")
	commitIn(t, dir, map[string]string{"docs/a.md": "words"})
	l.poll()
	l.dispatch()
	last := l.causes()[len(l.causes())-1]
	if len(l.runs()) != 1 || last.State != trigger.Skipped || !strings.Contains(last.Reason, "none of the 1 files") {
		t.Errorf("a commit of docs: %d runs, cause %+v", len(l.runs()), last)
	}
	// A commit whose lastro.yaml has problems is a cause that failed, with what is wrong.
	commitIn(t, dir, map[string]string{"lastro.yaml": strings.Replace(pushProject, "steps:", "stepss:", 1)})
	l.poll()
	errs := l.dispatch()
	last = l.causes()[len(l.causes())-1]
	if len(errs) != 1 || last.State != trigger.Failed || !strings.Contains(last.Reason, "stepss") {
		t.Errorf("a commit with problems: %v, cause %+v", errs, last)
	}
}

// TestPushesElsewhere follows a repository that the project's folder is no part of.
func TestPushesElsewhere(t *testing.T) {
	there := t.TempDir()
	gitIn(t, there, "init", "-q")
	commitIn(t, there, map[string]string{"lastro.yaml": pushProject, "src/word": "one"})
	f := newFolder(t, pushProject)
	l := f.live(Watching{Repository: there})
	l.poll()
	commitIn(t, there, map[string]string{"src/word": "far"})
	// Forced over by another one before anybody fetched it: only the newest is there to run.
	gitIn(t, there, "reset", "-q", "--hard", "HEAD~1")
	head := commitIn(t, there, map[string]string{"src/word": "farther"})
	l.poll()
	if errs := l.dispatch(); len(errs) > 0 {
		t.Fatal(errs)
	}
	runs := l.runs()
	if len(runs) != 1 || runs[0].Git.Commit != head || runs[0].State != pipeline.Succeeded {
		t.Fatalf("runs = %+v", runs)
	}
	if got := l.log(1, "say"); !strings.Contains(got, "farther") {
		t.Errorf("it ran %q", got)
	}
	gone := strings.Repeat("e", 40)
	if _, err := (triggerDoor{l.server}).Changed(t.Context(), trigger.Change{Ref: "refs/heads/main", After: gone}); err != nil {
		t.Fatal(err)
	}
	errs := l.dispatch()
	if last := l.causes()[1]; len(errs) != 1 || !lastro.Is(errs[0], lastro.ENotFound) || last.State != trigger.Pending || last.Tries != 1 {
		t.Errorf("a commit that is not there: %v, %+v; want another try later", errs, last)
	}
}

// TestKeyed: one key is one run, through an answer that was lost and a crash
// between the key and the run.
func TestKeyed(t *testing.T) {
	f := newFolder(t, smallProject)
	l := f.live(Watching{})
	ask := api.RunRequest{Params: map[string]any{"n": 5}, Key: "k-1"}
	for range 3 {
		if n, err := l.StartRun(t.Context(), ask, "user:ana"); err != nil || n != 1 {
			t.Errorf("StartRun = %d, %v; want run 1", n, err)
		}
	}
	if n, err := l.StartRun(t.Context(), ask, "user:bo"); err != nil || n != 2 {
		t.Errorf("another person's key = %d, %v; want run 2", n, err)
	}
	other := ask
	other.Params = map[string]any{"n": 6}
	if _, err := l.StartRun(t.Context(), other, "user:ana"); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("the key with another request: %v", err)
	}
	bad := api.RunRequest{Params: map[string]any{"unknown": 1}, Key: "k-2"}
	for range 2 {
		if _, err := l.StartRun(t.Context(), bad, "user:ana"); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("a request that cannot run: %v", err)
		}
	}
	// Recorded, then killed: the dispatcher starts what was asked for.
	if _, _, err := l.house.triggers(l.house.Project()).Asked(t.Context(), "user:ana", "k-3", map[string]any{"request": api.RunRequest{Params: map[string]any{"n": 9}}}); err != nil {
		t.Fatal(err)
	}
	l.dispatch()
	runs := l.runs()
	if len(runs) != 3 || fmt.Sprint(runs[2].Params["n"]) != "9" || runs[2].Actor != "user:ana" || runs[2].Event["kind"] != "api" {
		t.Errorf("runs = %+v", runs)
	}
}

func TestNotManual(t *testing.T) {
	f := newFolder(t, smallProject+"on: {manual: false}\n")
	l := f.live(Watching{})
	if _, err := l.StartRun(t.Context(), api.RunRequest{}, "user:ana"); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("StartRun = %v", err)
	}
}

const dataProject = `version: 1
name: fed
on: {data: [wine]}
data: {wine: data}
steps:
  read: {run: cat data/*, inputs: [wine]}
`

// TestData: a folder that is still growing starts nothing; once it is quiet its
// new version starts one run, and a version that a run has read starts none.
func TestData(t *testing.T) {
	f := newFolder(t, dataProject)
	put := func(name, text string) {
		t.Helper()
		p := filepath.Join(f.paths.Project, "data", name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l := f.live(Watching{Quiet: 200 * time.Millisecond})
	var w watched
	look := func() {
		t.Helper()
		if err := l.house.lookAt(t.Context(), l.house.Project(), "wine", &w); err != nil {
			t.Fatal(err)
		}
	}
	look() // not there yet
	put("a.csv", "1\n")
	settle := func() { look(); time.Sleep(250 * time.Millisecond); look() }
	settle()
	if n := len(l.causes()); n != 0 {
		t.Errorf("the first version is the cause of %d runs", n)
	}
	for i := range 5 { // a copy that goes on for a while
		put("b.csv", strings.Repeat("2\n", i+1))
		look()
		time.Sleep(60 * time.Millisecond)
	}
	if n := len(l.causes()); n != 0 {
		t.Errorf("a folder that still grows is the cause of %d runs", n)
	}
	settle()
	settle()
	l.dispatch()
	runs := l.runs()
	if len(runs) != 1 || runs[0].State != pipeline.Succeeded || runs[0].Event["kind"] != "data" || runs[0].Event["dataset"] != "wine" ||
		runs[0].Event["version"] != string(runs[0].Datasets[0].Digest) {
		t.Fatalf("runs = %+v", runs)
	}
	put("c.csv", "3\n")
	if n, err := l.StartRun(t.Context(), api.RunRequest{}, "user:ana"); err != nil || n != 2 {
		t.Fatalf("StartRun = %d, %v", n, err)
	}
	settle()
	l.dispatch()
	if n := len(l.runs()); n != 2 {
		t.Errorf("%d runs; want none more for a version that run #2 has read", n)
	}
}

// TestTriggersNow: what people are shown.
func TestTriggersNow(t *testing.T) {
	f := newFolder(t, strings.Replace(smallProject, "steps:", `on:
  push: {branches: [main], paths: [src/**]}
  pull_request: {}
  schedule: [{cron: "0 5 29 2 *", timezone: Europe/Lisbon}]
steps:`, 1))
	gitIn(t, f.paths.Project, "init", "-q")
	l := f.live(Watching{})
	l.house.Clock = fixed{time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)}
	doc, err := triggerDoor{l.server}.Triggers(t.Context())
	if err != nil || len(doc.Triggers) != 3 || doc.Repository != f.paths.Project {
		t.Fatalf("Triggers = %+v, %v", doc, err)
	}
	var lines []string
	for _, x := range doc.Triggers {
		lines = append(lines, string(x.Kind)+": "+x.Detail)
	}
	if want := "push: branches main; paths src/**, pull_request: into any branch, schedule: 0 5 29 2 * Europe/Lisbon"; strings.Join(lines, ", ") != want {
		t.Errorf("it says %s", strings.Join(lines, ", "))
	}
	if next := doc.Triggers[2].Next; next == nil || !next.Equal(time.Date(2028, 2, 29, 5, 0, 0, 0, time.UTC)) {
		t.Errorf("the next tick is %v", next)
	}
}

type fixed struct{ at time.Time }

func (f fixed) Now() time.Time { return f.at }

// TestScheduled: a tick becomes a run that says which.
func TestScheduled(t *testing.T) {
	f := newFolder(t, strings.Replace(smallProject, "steps:", "on: {schedule: [{cron: \"@hourly\"}]}\nsteps:", 1))
	l := f.live(Watching{})
	p := l.house.Project()
	look := func(at string) {
		t.Helper()
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.house.triggers(p).Tick(t.Context(), p.Trigger, now); err != nil {
			t.Fatal(err)
		}
		l.dispatch()
	}
	look("2026-11-23T10:30:00Z")
	look("2026-11-23T11:00:01Z")
	look("2026-11-23T11:00:02Z")
	runs := l.runs()
	if len(runs) != 1 || runs[0].Event["kind"] != "schedule" || runs[0].Event["tick"] != "2026-11-23T11:00:00Z" || runs[0].Actor != "system:schedule" {
		t.Errorf("runs = %+v", runs)
	}
}
