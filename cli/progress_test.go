// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/pipeline"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                             "plain",
		"\x1b[31mred\x1b[0m text":           "red text",
		"a\tb":                              "a b",
		"10%\r20%\r30%":                     "30%",
		"done\r":                            "done",
		"\x1b[2J\x1b[Hscreen \x1b7is mine":  "screen is mine",
		"bell\a and \u202egnp.exe":          "bell and gnp.exe",
		"not utf-8: \xff\xfe.":              "not utf-8: .",
		"\x1b]0;title\x07and \x1b[38;5;9mx": "and x",
		"\x1b]8;;http://x\x1b\\link":        "link",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, c := range []struct {
		in      string
		columns int
		want    string
	}{{"short", 10, "short"}, {"exactly ten", 11, "exactly ten"}, {"too long for it", 8, "too lon…"}, {"日本語です", 6, "日本…"}, {"e\u0301e\u0301", 2, "e\u0301e\u0301"}} {
		if got := fit(c.in, c.columns); got != c.want {
			t.Errorf("fit(%q, %d) = %q, want %q", c.in, c.columns, got, c.want)
		}
	}
}

func matrixOf(cells int) (*view, func(int, pipeline.State) (pipeline.StepRun, pipeline.State)) {
	v := &view{}
	v.of(pipeline.Spec{Steps: []pipeline.StepSpec{
		{Name: "split"},
		{Name: "train", Inputs: []pipeline.Input{{Step: "split", Output: "train"}}, Matrix: []pipeline.Axis{{Name: "n"}}},
		{Name: "report", Needs: []string{"train"}}}})
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	take := func(cell int, state pipeline.State) (pipeline.StepRun, pipeline.State) {
		s := pipeline.StepRun{Run: 1, Step: "train", Cell: cell, Attempt: 1, State: state}
		if state != pipeline.Pending {
			s.StartedAt = at
		}
		if state.Ended() {
			s.EndedAt = at.Add(time.Second)
		}
		return s, v.take(s, at)
	}
	v.take(pipeline.StepRun{Step: "split", Attempt: 1, State: pipeline.Cached, Reason: "from #1", StartedAt: at, EndedAt: at}, at)
	for i := range cells {
		take(i+1, pipeline.Pending)
	}
	v.take(pipeline.StepRun{Step: "report", Attempt: 1, State: pipeline.Pending}, at)
	return v, take
}

// TestMatrixIsShort: ten thousand cells take one line of the table, and a few
// lines of plain output.
func TestMatrixIsShort(t *testing.T) {
	v, take := matrixOf(10000)
	plain := 0
	for i := range 10000 {
		for _, state := range []pipeline.State{pipeline.Running, pipeline.Succeeded} {
			if i == 77 && state == pipeline.Succeeded {
				state = pipeline.Failed
			}
			s, before := take(i+1, state)
			if v.event(s, before) != "" {
				plain++
			}
		}
		if i == 4999 {
			rows := v.table(time.Now(), 22)
			if len(rows) != 3 || !strings.Contains(rows[1].text, "5000 of 10000 done") || !strings.Contains(rows[1].text, "1 failed") {
				t.Errorf("in the middle: %v", rows)
			}
			if !strings.Contains(rows[2].text, "on train") {
				t.Errorf("the step after it: %q", rows[2].text)
			}
		}
	}
	if plain > 15 {
		t.Errorf("%d lines of plain output", plain)
	}
	result := v.result()
	if len(result) != 4 || !strings.Contains(result[1].text, "✗ train") || !strings.Contains(result[3].text, "train[78]") {
		t.Errorf("at the end: %v", result)
	}
}

// TestTableFits: whatever runs, the table is no higher than the terminal, and
// what runs or failed is in it.
func TestTableFits(t *testing.T) {
	v := &view{}
	var spec pipeline.Spec
	for i := range 300 {
		spec.Steps = append(spec.Steps, pipeline.StepSpec{Name: "step" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)})
	}
	v.of(spec)
	now := time.Now()
	for i, s := range spec.Steps {
		state := pipeline.Pending
		switch {
		case i < 100:
			state = pipeline.Cached
		case i == 150:
			state = pipeline.Failed
		case i > 200 && i < 210:
			state = pipeline.Running
		}
		v.take(pipeline.StepRun{Step: s.Name, Attempt: 1, State: state}, now)
		v.line(s.Name, 0, "a line of "+s.Name)
	}
	rows := v.table(now, 22)
	if len(rows) > 22 {
		t.Errorf("%d rows", len(rows))
	}
	found := map[string]int{}
	for _, r := range rows {
		found[r.state]++
	}
	if found["failed"] != 1 || found["running"] != 9 {
		t.Errorf("states shown: %v", found)
	}
}

// TestTriedAgain: an attempt that is followed by another one does not look final.
func TestTriedAgain(t *testing.T) {
	v := &view{}
	v.of(pipeline.Spec{Steps: []pipeline.StepSpec{{Name: "train", Retry: pipeline.Retry{Max: 2, On: []pipeline.RetryReason{"exit:75"}, Backoff: 500 * time.Millisecond}}}})
	for _, c := range []struct {
		attempt int
		cause   pipeline.RetryReason
		want    string
	}{{1, "exit:75", "exit status 75; tried again in 500ms"}, {2, "exit:75", "attempt 2  exit status 75; tried again in 1s"}, {3, "exit:75", "attempt 3  exit status 75"}, {1, "oom", "exit status 75"},
		{1, pipeline.RetryLost, "exit status 75; tried again in 500ms"}} {
		s := pipeline.StepRun{Step: "train", Attempt: c.attempt, State: pipeline.Failed, Cause: c.cause, Reason: "exit status 75"}
		v.take(s, time.Now())
		if got := v.event(s, pipeline.Running); !strings.HasSuffix(got, "  "+c.want) {
			t.Errorf("attempt %d, %s: %q", c.attempt, c.cause, got)
		}
	}
}

// TestGoesOn: who loses the server while following a run learns what becomes of it.
func TestGoesOn(t *testing.T) {
	gone := &lastro.Error{Code: lastro.EServer, ID: "L0408", Msg: "no answer", Hint: "lastro up"}
	var e *lastro.Error
	if err := goesOn(gone, 142); !errors.As(err, &e) || len(e.Notes) != 1 || !strings.Contains(e.Notes[0], "run #142 is not lost") || !strings.Contains(e.Hint, "lastro resume 142") || len(gone.Notes) > 0 {
		t.Errorf("%+v", err)
	}
	if other := lastro.Errorf(lastro.EServer, "busy"); goesOn(other, 1) != error(other) {
		t.Error("another error is changed")
	}
}

// TestStartedBy: a trigger's run names the trigger, not the server's account.
func TestStartedBy(t *testing.T) {
	for want, event := range map[string]map[string]any{"user:ana": {"kind": "person"}, "push main": {"kind": "push", "branch": "main"}, "pull request wip": {"kind": "pull_request", "branch": "wip"}, "schedule": {"kind": "schedule"}} {
		if got := startedBy(pipeline.Run{Actor: "user:ana", Event: event}); got != want {
			t.Errorf("%v: %q, want %q", event, got, want)
		}
	}
}
