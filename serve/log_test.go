// SPDX-License-Identifier: Apache-2.0

package serve_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lastro/serve"
	"lastro/serve/servetest"
)

func TestLogRotatesAndMends(t *testing.T) {
	b := open(t)
	b.stop()
	dir := serve.LogDir(b.dir, "local")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// What power loss leaves: a whole line and half of another.
	torn := filepath.Join(dir, "20130101T000000.000000.ndjson")
	if err := os.WriteFile(torn, []byte(`{"req":"old","rev":"flights@0","in":{}}`+"\n"+`{"req":"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.gateway, err = serve.NewGateway(serve.Options{Dir: b.dir, Runtimes: []serve.Runtime{servetest.Linear{}}, SegmentBytes: 2000}); err != nil {
		t.Fatal(err)
	}
	b.server = httptest.NewServer(b.gateway)
	b.route(b.revision(1, good), nil, 0)
	const n = 40
	for range n {
		if status, _, body := b.post("/invocations", row(1, "AA")); status != 200 {
			t.Fatal(status, body)
		}
		time.Sleep(time.Millisecond) // one write each: a segment is full after a few
	}
	lines := b.log()
	names, _ := serve.Segments(dir)
	if len(lines) != n+1 || lines[0].Req != "old" || len(names) < 4 {
		t.Errorf("%d lines in %d segments; want %d in several, the torn half line gone", len(lines), len(names), n+1)
	}
}

// What was answered is on disk within 200 ms, without a flush.
func TestLogIsWrittenByItself(t *testing.T) {
	b := open(t)
	b.route(b.revision(1, good), nil, 0)
	b.post("/invocations", row(1, "AA"))
	time.Sleep(200 * time.Millisecond)
	if lines := readLog(t, serve.LogDir(b.dir, "local")); len(lines) != 1 {
		t.Errorf("%d lines, want 1", len(lines))
	}
}

// A request that is refused is kept too.
func TestLogKeepsRefusals(t *testing.T) {
	b := open(t)
	b.route(b.revision(1, good), nil, 0)
	b.post("/invocations", `{"dataframe_records":[{"x":1,"flight_id":"f9"}]}`)
	lines := b.log()
	if len(lines) != 1 || lines[0].Status != 400 || lines[0].Error == "" || lines[0].Out != nil || lines[0].In["flight_id"] != "f9" {
		t.Errorf("%+v", lines)
	}
}
