// SPDX-License-Identifier: Apache-2.0

package trigger_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
	"lastro/store"
	"lastro/trigger"
)

// clock is a clock that a test moves.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = t
}

// house is a database with the triggers of a project "p".
type house struct {
	t    *testing.T
	path string
	db   *store.DB
	at   *clock
	*trigger.Service
}

func open(t *testing.T, path string, at *clock) *house {
	t.Helper()
	db, err := store.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &house{t, path, db, at, trigger.NewService(store.NewTrigger(db), "p", at)}
}

func newHouse(t *testing.T, now string) *house {
	t.Helper()
	v, err := time.Parse(time.RFC3339, now)
	if err != nil {
		t.Fatal(err)
	}
	return open(t, filepath.Join(t.TempDir(), "lastro.db"), &clock{at: v})
}

// run makes the run of a cause, as an engine does.
func run(ctx context.Context, db *store.DB, c trigger.Cause, at time.Time) (int64, error) {
	r := pipeline.Run{Project: c.Project, State: pipeline.Running, Event: c.Event(), Actor: c.Actor, StartedAt: at}
	var number int64
	err := store.NewPipeline(db).Change(ctx, func(tx pipeline.Tx) (err error) {
		number, err = tx.CreateRun(ctx, r, nil, nil)
		return err
	})
	return number, err
}

// dispatch starts a run for each pending cause and returns their keys.
func (h *house) dispatch() []string {
	h.t.Helper()
	list, err := h.Pending(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	var keys []string
	for _, c := range list {
		if _, err := run(h.t.Context(), h.db, c, h.at.Now()); err != nil {
			h.t.Fatal(err)
		}
		keys = append(keys, c.Key)
	}
	return keys
}

func (h *house) causes(f trigger.Filter) []trigger.Cause {
	h.t.Helper()
	f.Project, f.Limit = "p", 10_000
	list, err := h.Store().Causes(h.t.Context(), f)
	if err != nil {
		h.t.Fatal(err)
	}
	return list
}

const (
	a = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	b = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// TestOnce: four servers on one database, each told of the same twenty pushes
// five times over, start twenty runs.
func TestOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "2026-11-23T10:00:00Z")
	spec := trigger.Spec{Push: &trigger.Push{}}
	var wg sync.WaitGroup
	for server := range 4 {
		other := open(t, h.path, h.at)
		wg.Go(func() {
			for i := range 100 {
				ref := fmt.Sprintf("refs/heads/b%d", (i+server)%20)
				if _, _, why, err := other.Changed(t.Context(), spec, trigger.Change{Ref: ref, After: a, Actor: "user:ana"}); err != nil || why != "" {
					t.Errorf("Changed: %q, %v", why, err)
				}
				list, err := other.Pending(t.Context())
				if err != nil {
					t.Error(err)
				}
				for _, c := range list {
					if _, err := run(t.Context(), other.db, c, h.at.Now()); err != nil && !lastro.Is(err, lastro.EConflict) {
						t.Errorf("a run that another server has started: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	runs, err := store.NewPipeline(h.db).Runs(t.Context(), pipeline.RunFilter{Limit: 1000})
	if err != nil || len(runs) != 20 {
		t.Fatalf("%d runs, %v; want 20", len(runs), err)
	}
	seen := map[any]bool{}
	for _, r := range runs {
		if seen[r.Event["cause"]] {
			t.Errorf("two runs of %v", r.Event["cause"])
		}
		seen[r.Event["cause"]] = true
		c, err := h.Store().CauseOf(t.Context(), "p", r.Event["cause"].(string))
		if err != nil || c.Run != r.Number || c.State != trigger.Started {
			t.Errorf("the cause of run #%d is %+v, %v", r.Number, c, err)
		}
		if r.Event["kind"] != "push" || r.Event["commit"] != a || r.Event["branch"] == "" || r.Event["who"] != "user:ana" {
			t.Errorf("the run says of its cause: %v", r.Event)
		}
	}
}

func TestChanged(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:00:00Z")
	full := trigger.Spec{Push: &trigger.Push{Branches: []string{"main", "release/*", "!release/old"}, Tags: []string{"v*"}}}
	for name, tc := range map[string]struct {
		spec trigger.Spec
		ref  string
		kind trigger.Kind
		why  string // part of it
	}{
		"a branch":                  {full, "refs/heads/main", trigger.KindPush, ""},
		"a branch of a pattern":     {full, "refs/heads/release/1", trigger.KindPush, ""},
		"a branch that is excluded": {full, "refs/heads/release/old", "", "not one of on.push.branches"},
		"deeper than the pattern":   {full, "refs/heads/release/1/x", "", "not one of"},
		"another branch":            {full, "refs/heads/wip", "", "branch wip is not one of"},
		"a tag of push":             {full, "refs/tags/v1", trigger.KindTag, ""},
		"another tag":               {full, "refs/tags/x", "", "neither by on.tag"},
		"every branch, no tag":      {trigger.Spec{Push: &trigger.Push{}}, "refs/tags/v1", "", "neither by on.tag"},
		"tags only":                 {trigger.Spec{Push: &trigger.Push{Tags: []string{"v*"}}}, "refs/heads/main", "", "names tags only"},
		"on.tag":                    {trigger.Spec{Tag: &trigger.Tag{}}, "refs/tags/x", trigger.KindTag, ""},
		"no push":                   {trigger.Spec{Tag: &trigger.Tag{}}, "refs/heads/main", "", "no on.push"},
		"a note":                    {full, "refs/notes/commits", "", "neither a branch nor a tag"},
	} {
		c, _, why, err := h.Changed(t.Context(), tc.spec, trigger.Change{Ref: tc.ref, Before: b, After: a, Actor: "user:ana"})
		if err != nil || c.Kind != tc.kind || !strings.Contains(why, tc.why) || (tc.why == "") != (why == "") {
			t.Errorf("%s: %s starts %q (%q, %v), want %q (%q)", name, tc.ref, c.Kind, why, err, tc.kind, tc.why)
		}
	}
	if _, _, why, _ := h.Changed(t.Context(), full, trigger.Change{Ref: "refs/heads/main", Before: a}); !strings.Contains(why, "deleted") {
		t.Errorf("a deleted branch: %q", why)
	}
}

// TestLooked: changes between two looks, seen by two servers.
func TestLooked(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:00:00Z")
	other := open(t, h.path, h.at)
	spec := trigger.Spec{Push: &trigger.Push{Branches: []string{"main", "x"}}, Tag: &trigger.Tag{Names: []string{"v*"}}}
	look := func(refs map[string]string, want ...string) {
		t.Helper()
		for _, server := range []*house{h, other, h} {
			if err := server.Looked(t.Context(), spec, refs); err != nil {
				t.Fatal(err)
			}
		}
		got := h.dispatch()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("runs of %q, want %q", got, want)
		}
	}
	c := strings.Repeat("c", 40)
	look(map[string]string{"refs/heads/main": a, "refs/heads/wip": a, "refs/tags/v1": a})
	look(map[string]string{"refs/heads/main": b, "refs/heads/wip": b, "refs/tags/v1": a}, "push refs/heads/main "+b)
	look(map[string]string{"refs/heads/main": b, "refs/heads/x": b, "refs/tags/v1": a, "refs/tags/v2": b, "refs/tags/nightly": b}, "push refs/heads/x "+b, "push refs/tags/v2 "+b)
	look(map[string]string{"refs/heads/x": b})
	look(map[string]string{"refs/heads/main": a, "refs/heads/x": b}, "push refs/heads/main "+a)
	// Back to a commit that has had its run.
	look(map[string]string{"refs/heads/main": b, "refs/heads/x": b})
	look(map[string]string{"refs/heads/main": c, "refs/heads/x": b}, "push refs/heads/main "+c)
	if last, err := h.Store().CauseOf(t.Context(), "p", "push refs/heads/main "+c); err != nil || last.Before != b || last.Commit != c || last.Actor != "system:git" {
		t.Errorf("the last cause is %+v, %v", last, err)
	}
}

// TestLookedAfterHook: what a hook has told of does not count into the push that
// the next look finds.
func TestLookedAfterHook(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:00:00Z")
	spec := trigger.Spec{Push: &trigger.Push{Branches: []string{"main"}}}
	const ref = "refs/heads/main"
	c := strings.Repeat("c", 40)
	if err := h.Looked(t.Context(), spec, map[string]string{ref: a}); err != nil {
		t.Fatal(err)
	}
	if _, _, why, err := h.Changed(t.Context(), spec, trigger.Change{Ref: ref, Before: a, After: b, Actor: "user:ana"}); err != nil || why != "" {
		t.Fatal(why, err)
	}
	if err := h.Looked(t.Context(), spec, map[string]string{ref: c}); err != nil {
		t.Fatal(err)
	}
	if last, err := h.Store().CauseOf(t.Context(), "p", "push "+ref+" "+c); err != nil || last.Before != b {
		t.Errorf("the push counts from %s, %v; want %s", last.Before, err, b)
	}
}

func TestWanted(t *testing.T) {
	spec := trigger.Spec{Push: &trigger.Push{Paths: []string{"src/**", "*.yaml", "!src/**/*.md"}}}
	push := trigger.Cause{Kind: trigger.KindPush}
	for _, tc := range []struct {
		files []string
		known bool
		want  bool
	}{
		{[]string{"src/a.py"}, true, true},
		{[]string{"src/deep/er/a.py", "x"}, true, true},
		{[]string{"src/deep/a.md"}, true, false},
		{[]string{"src/a.md"}, true, false},
		{[]string{"lastro.yaml"}, true, true},
		{[]string{"docs/lastro.yaml"}, true, false},
		{nil, true, false},
		{nil, false, true},
	} {
		if got := spec.Wanted(push, tc.files, tc.known); got != tc.want {
			t.Errorf("Wanted(%v, %v) = %v", tc.files, tc.known, got)
		}
	}
}

// TestProposals: a fork waits for a person, and asks once for each commit.
func TestProposals(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:00:00Z")
	ctx := t.Context()
	spec := trigger.Spec{PullRequest: &trigger.PullRequest{Branches: []string{"main"}}}
	own := trigger.Proposal{Number: 3, Head: a, Base: "main", Branch: "idea", Actor: "user:bo"}
	c, added, why, err := h.Proposed(ctx, spec, own)
	if err != nil || !added || why != "" || c.State != trigger.Pending || c.Trust != trigger.Reviewed {
		t.Errorf("a branch's pull request = %+v %q %v", c, why, err)
	}
	fork := trigger.Proposal{Number: 4, Head: b, Base: "main", Fork: true, From: "eve/x", Title: strings.Repeat("ç", 500), Actor: "user:eve"}
	c, _, _, err = h.Proposed(ctx, spec, fork)
	if err != nil || c.State != trigger.Waiting || c.Trust != trigger.Fork || !strings.Contains(c.Reason, "lastro trigger approve "+c.ID) {
		t.Errorf("a fork's pull request = %+v %v", c, err)
	}
	if title, _ := c.Detail["title"].(string); len(title) > 210 || !strings.HasSuffix(title, "ç…") {
		t.Errorf("its title has %d bytes: %q", len(title), title)
	}
	if got := h.dispatch(); len(got) != 1 {
		t.Errorf("runs of %v, want that of the branch only", got)
	}
	many := trigger.Proposal{Number: 12345678, Head: a, Base: "main", Fork: true}
	if c, _, _, err := h.Proposed(ctx, spec, many); err != nil || c.Number() != 12345678 {
		t.Errorf("pull request 12345678 = %d, %v", c.Number(), err)
	}
	if _, err := run(ctx, h.db, c, h.at.Now()); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("the run of a cause that waits = %v, want it refused", err)
	}
	if _, err := h.Approve(ctx, c.ID, "user:ana"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Approve(ctx, c.ID, "user:ana"); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("approved twice = %v", err)
	}
	if _, err := h.Approve(ctx, "0123456789ab", "user:ana"); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("approved something else = %v", err)
	}
	if got := h.dispatch(); len(got) != 1 {
		t.Errorf("after the approval: runs of %v", got)
	}
	fork.Head = a // the next commit of the same fork is other code
	c, _, _, err = h.Proposed(ctx, spec, fork)
	if err != nil || c.State != trigger.Waiting {
		t.Errorf("the fork's next commit = %+v %v, want it to wait again", c, err)
	}
	if c, err = h.Refuse(ctx, c.ID, "user:ana", "mines coins"); err != nil || c.State != trigger.Skipped {
		t.Errorf("Refuse = %+v %v", c, err)
	}
	spec.PullRequest.Forks = trigger.ForksNever
	fork.Number = 5
	if c, _, _, err = h.Proposed(ctx, spec, fork); err != nil || c.State != trigger.Skipped {
		t.Errorf("forks: never = %+v %v", c, err)
	}
	if _, _, why, _ := h.Proposed(ctx, spec, trigger.Proposal{Number: 6, Head: a, Base: "wip"}); !strings.Contains(why, "wip") {
		t.Errorf("into another branch: %q", why)
	}
	events, err := h.db.Events(ctx, store.EventFilter{Verb: "cause.approved"})
	if err != nil || len(events) != 1 || events[0].Actor != "user:ana" {
		t.Errorf("the approval is not on record: %v %v", events, err)
	}
}

// TestNewData: the first version is where the watch begins, each later one
// starts a run, one that a run has read already starts none.
func TestNewData(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:00:00Z")
	ctx := t.Context()
	version := func(s string) lastro.Digest { return lastro.DigestOf([]byte(s)) }
	for i, tc := range []struct {
		version string
		readBy  int64
		want    bool
	}{{"1", 0, false}, {"1", 0, false}, {"2", 0, true}, {"2", 0, false}, {"3", 7, false}, {"4", 0, true}, {"2", 0, true}} {
		got, err := h.Saw(ctx, "wine", version(tc.version), tc.readBy)
		if err != nil || got != tc.want {
			t.Errorf("look %d at version %s = %v, %v", i, tc.version, got, err)
		}
	}
	// Version 2 came back, and its cause has a run: nothing more.
	if got := h.dispatch(); len(got) != 2 {
		t.Errorf("runs of %v, want those of versions 2 and 4", got)
	}
}

// TestTried: a cause whose run cannot be started is tried again, not for ever.
func TestTried(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:00:00Z")
	spec := trigger.Spec{Push: &trigger.Push{}}
	c, _, _, err := h.Changed(t.Context(), spec, trigger.Change{Ref: "refs/heads/main", After: a})
	if err != nil {
		t.Fatal(err)
	}
	var total time.Duration
	for try := 1; ; try++ {
		if err := h.Tried(t.Context(), c, "the repository does not answer", false); err != nil {
			t.Fatal(err)
		}
		if c, err = h.Store().Cause(t.Context(), "p", c.ID); err != nil {
			t.Fatal(err)
		}
		if c.State == trigger.Failed {
			break
		}
		if total += trigger.RetryAfter(c.Tries); try > 50 {
			t.Fatal("it is tried for ever")
		}
	}
	if total < 15*time.Minute || total > 2*time.Hour || c.Reason == "" {
		t.Errorf("given up after %v: %q", total, c.Reason)
	}
}

func TestDeliveries(t *testing.T) {
	h := newHouse(t, "2026-11-23T10:00:00Z")
	at := h.at.Now()
	for i, tc := range []struct {
		id, body string
		again    bool
	}{{"1", "x", false}, {"1", "x", true}, {"2", "x", true}, {"1", "y", true}, {"3", "z", false}} {
		again, err := h.Store().Deliver(t.Context(), trigger.Delivery{Provider: "github", ID: tc.id, Digest: lastro.DigestOf([]byte(tc.body)), At: at})
		if err != nil || again != tc.again {
			t.Errorf("delivery %d = %v, %v", i, again, err)
		}
	}
	if again, err := h.Store().Deliver(t.Context(), trigger.Delivery{Provider: "gitea", ID: "1", Digest: lastro.DigestOf([]byte("x")), At: at}); err != nil || again {
		t.Errorf("another sender's = %v, %v", again, err)
	}
}

func keysOf(list []trigger.Cause) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Key)
	}
	slices.Sort(out)
	return out
}
