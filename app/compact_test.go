// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lastro/monitor"
	"lastro/serve"
)

// line is a row of the request log as docs/formats/request-log.md says.
func line(i int, event time.Time) string {
	return fmt.Sprintf(`{"t":%d,"req":"r%d","row":0,"endpoint":"local","rev":"small-model@1","role":"champion","status":200,"latency_us":9,"event_time":%d,"in":{"x":%d},"out":0.%02d,"error":"","failed_rev":"small-model@2","failed_error":"died"}`+"\n",
		event.Add(time.Minute).UnixMicro(), i, event.UnixMicro(), i, i%100)
}

// TestCompact turns closed segments into Parquet while somebody reads: each row
// is there once at any moment, also after a crash between the two files.
func TestCompact(t *testing.T) {
	f := newFolder(t, smallProject)
	h := f.open()
	dir := h.Paths.RequestLog("local")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2013, 7, 1, 0, 0, 0, 0, time.UTC)
	const segments, rows = 3, 50
	for s := range segments {
		var b strings.Builder
		for i := range rows {
			b.WriteString(line(s*rows+i, day.Add(time.Duration(s*rows+i)*time.Minute)))
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("20130701T00000%d.000000.ndjson", s)), []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	query := monitor.WindowQuery{Environment: "local", Release: monitor.Release{Model: "model:small-model@1"}, Start: day, End: day.Add(24 * time.Hour)}
	read := func() {
		t.Helper()
		scores, err := watch{h}.Scores(t.Context(), query)
		if err != nil || len(scores) != segments*rows {
			t.Errorf("%d rows, %v; want %d", len(scores), err, segments*rows)
		}
	}
	read()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				read()
			}
		}
	})
	if err := h.compact(t.Context(), dir); err != nil {
		t.Error(err)
	}
	close(stop)
	readers.Wait()
	read()
	names, err := serve.Segments(dir)
	if err != nil || len(names) != 1 || !strings.Contains(names[0], "000002") {
		t.Errorf("segments left = %v, %v; want the one being written", names, err)
	}
	// Killed after the Parquet and before the removal: both are there.
	var again strings.Builder
	for i := range rows {
		again.WriteString(line(i, day.Add(time.Duration(i)*time.Minute)))
	}
	first := filepath.Join(dir, "20130701T000000.000000.ndjson")
	if err := os.WriteFile(first, []byte(again.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	read()
	if err := h.compact(t.Context(), dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(first); !os.IsNotExist(err) {
		t.Errorf("the NDJSON stays: %v", err)
	}
	read()
	if newest, err := (watch{h}).Newest(t.Context(), "local"); err != nil || !newest.Equal(day.Add((segments*rows-1)*time.Minute)) {
		t.Errorf("newest = %v, %v", newest, err)
	}
	// A segment that cannot be read whole is kept.
	bad := filepath.Join(dir, "20130630T000000.000000.ndjson")
	if err := os.WriteFile(bad, []byte(line(0, day)+"{\"half\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.compact(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "1 of 2 lines") {
		t.Errorf("err = %v", err)
	}
	if _, err := os.Stat(bad); err != nil {
		t.Errorf("a segment that could not be read was removed: %v", err)
	}
}
