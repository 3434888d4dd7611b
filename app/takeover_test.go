// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lastro/api"
	"lastro/pipeline"
)

// TestTakeOver stops the server in mid-run: it goes at once, the step goes on,
// and the next server carries the same run to its end.
func TestTakeOver(t *testing.T) {
	notes := filepath.Join(t.TempDir(), "started")
	f := newFolder(t, strings.Replace(strings.Replace(smallProject, "steps:\n", "steps:\n  other: {run: echo y > o, outputs: {o: o}}\n", 1), "run: mkdir", "run: echo x >> "+notes+" && sleep 1.5 && mkdir", 1))
	h := f.open()
	s := newServer(h, "")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.runLoop(ctx) }()
	n, err := s.StartRun(t.Context(), api.RunRequest{Only: []string{"train"}}, "user:ana")
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		if _, err := os.Stat(notes); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	began := time.Now()
	stop()
	if err := <-ended; err != nil || time.Since(began) > time.Second {
		t.Errorf("the server took %s to go, %v", time.Since(began), err)
	}
	f.close(h)

	h = f.open()
	if run, err := h.Runs.Run(t.Context(), n); err != nil || run.State.Ended() {
		t.Fatalf("run = %s, %v; want it under way", run.State, err)
	}
	s = newServer(h, "")
	ctx, stop = context.WithCancel(t.Context())
	defer stop()
	go func() { ended <- s.runLoop(ctx) }()
	if err := s.resume(ctx); err != nil {
		t.Fatal(err)
	}
	for range 600 {
		if run, err := h.Runs.Run(t.Context(), n); err == nil && run.State.Ended() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	for range 200 { // then comes the decision
		if f.events(h)["release.created"] == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	<-ended
	run, err := h.Runs.Run(t.Context(), n)
	if err != nil || run.State != pipeline.Succeeded || run.Actor != "user:ana" {
		t.Errorf("run = %+v, %v", run, err)
	}
	if text, err := os.ReadFile(notes); err != nil || string(text) != "x\n" {
		t.Errorf("the step started %q, %v; want once", text, err)
	}
	steps, err := h.Runs.StepRuns(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.Step == "other" && s.State != pipeline.Skipped {
			t.Errorf("a step that nobody asked for is %s", s.State)
		}
	}
	runs, err := h.Runs.Runs(t.Context(), pipeline.RunFilter{})
	if err != nil || len(runs) != 1 {
		t.Errorf("%d runs, %v; want the one that was taken over", len(runs), err)
	}
	once(f, h, 1)
}
