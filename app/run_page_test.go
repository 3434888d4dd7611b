// SPDX-License-Identifier: Apache-2.0

package app

import (
	"archive/tar"
	"io"
	"net"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"lastro"
	"lastro/pipeline"
)

// TestRunPage runs a step twice, the second time from the cache, and asks the
// server for the page, the log and the files of both runs.
func TestRunPage(t *testing.T) {
	f := newFolder(t, `version: 1
name: small
steps:
  train:
    run: |
      echo "trained on $((6 * 7)) rows"
      mkdir -p model && echo 1 > model/weights
      echo '{"x": [1, 2], "y": [3, 4]}' > loss.json
      echo '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>' > p.svg
      echo "It **works**" > "$LASTRO_SUMMARY"
    outputs: {model: model}
    plots: [loss.json, p.svg]
`)
	h := f.open()
	for range 2 {
		if out, err := h.Run(t.Context(), RunRequest{Actor: "user:local"}); err != nil || out.Run.State != pipeline.Succeeded {
			t.Fatal(out.Run.State, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	handler, err := newServer(h, "http://127.0.0.1:1").handler(l, UpOptions{AuthNone: true})
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1"+path, nil))
		if w.Code != 200 {
			t.Fatalf("%s: status %d %s", path, w.Code, w.Body)
		}
		return w
	}
	for _, run := range []string{"/runs/1", "/runs/2"} {
		page := get(run).Body.String()
		for _, want := range []string{"trained on 42 rows", "<strong>works</strong>", `id="plot0t"`, `<img src="` + run + "/plots/sha256:"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %q", run, want)
			}
		}
		if log := get(run + "/log?step=train").Body.String(); log != "trained on 42 rows\n" {
			t.Errorf("the log of %s: %q", run, log)
		}
		picture := get(regexp.MustCompile(run + `/plots/[^"]*`).FindString(page)).Header()
		if picture.Get("Content-Type") != "image/svg+xml" || !strings.Contains(picture.Get("Content-Security-Policy"), "sandbox") || picture.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("a picture: %v", picture)
		}
		in := tar.NewReader(get(regexp.MustCompile(run + `/files/[^"]*`).FindString(page[strings.Index(page, "train.model")-150:])).Body)
		file, err := in.Next()
		if err != nil || file.Name != "weights" {
			t.Fatal(file, err)
		}
		if text, err := io.ReadAll(in); err != nil || string(text) != "1\n" {
			t.Errorf("weights %q, %v", text, err)
		}
	}
	if _, err := h.OpenLog(t.Context(), pipeline.StepRun{Run: 1, Step: "x", Log: "../lastro.yaml"}); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("a log outside the state directory: %v", err)
	}
}
