// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/data"
)

func testClient(t *testing.T, idle time.Duration) *Client {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := NewClient(ClientOptions{Program: exe, Args: []string{"data-worker"}, Env: []string{"TMPDIR=" + t.TempDir()}, Idle: idle})
	t.Cleanup(func() { c.Close() })
	return c
}

// slow is a table whose condition keeps the engine busy for minutes.
func slow() data.Table {
	t := data.Files("testdata/census_94.parquet")
	t.Where = "(SELECT count(*) FROM range(1000000000000) r(i) WHERE i % 7 = person_id % 7) > 0"
	return t
}

func TestClientAnswersAsTheEngineDoes(t *testing.T) {
	c := testClient(t, time.Minute)
	if c.Running() {
		t.Fatal("a worker runs before anybody asked for one")
	}
	req := data.ColumnsRequest{Table: flights(t)}
	want, err := New(Options{}).Columns(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			got, err := c.Columns(t.Context(), req)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("the worker answers differently (%v)", err)
			}
		})
	}
	wait.Wait()
	_, err = c.Describe(t.Context(), data.Files("no.parquet"))
	var e *lastro.Error
	if !errors.As(err, &e) || e.Code != lastro.EFailed || e.Hint == "" {
		t.Errorf("error through the worker = %#v; want EFailed with its hint", err)
	}
}

func TestClientSurvivesACrash(t *testing.T) {
	c := testClient(t, time.Minute)
	done := make(chan error, 1)
	go func() { _, err := c.Describe(t.Context(), slow()); done <- err }()
	for !c.Running() {
		time.Sleep(5 * time.Millisecond)
	}
	c.mu.Lock()
	worker := c.proc.cmd.Process
	c.mu.Unlock()
	time.Sleep(50 * time.Millisecond)
	if err := worker.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !lastro.Is(err, lastro.EErrored) || !strings.Contains(err.Error(), "data worker ended") {
		t.Errorf("request of a killed worker: %v; want errored", err)
	}
	if got, err := c.Describe(t.Context(), data.Files("testdata/census_94.parquet")); err != nil || got.Rows != 1500 {
		t.Errorf("the request after a crash: %d rows, %v", got.Rows, err)
	}
}

func TestClientCancelsAndEndsIdle(t *testing.T) {
	c := testClient(t, 50*time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Describe(ctx, slow()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a cancelled request: %v; want the cause", err)
	}
	// The worker stopped the cancelled query: the next one is not kept waiting.
	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if got, err := c.Describe(ctx, data.Files("testdata/census_94.parquet")); err != nil || got.Rows != 1500 {
		t.Fatalf("the request after a cancelled one: %d rows, %v", got.Rows, err)
	}
	for deadline := time.Now().Add(5 * time.Second); c.Running(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the idle worker did not end")
		}
	}
}
