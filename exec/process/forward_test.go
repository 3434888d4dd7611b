// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveTracking plays an engine's tracking server, which names itself.
func serveTracking(t *testing.T, socket, name string) *http.Server {
	t.Helper()
	l, err := ListenUnix(socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%s read %d", name, n)
	})}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return s
}

func post(url string, body []byte) (string, error) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	res, err := client.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestForward(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	opts := options(dir)
	opts.TrackSocket = filepath.Join(dir, "track.sock")
	e := open(t, opts)
	first := serveTracking(t, opts.TrackSocket, "first")
	url := e.TrackURL()
	big := bytes.Repeat([]byte("0123456789"), 1<<20)
	if got, err := post(url, big); err != nil || got != fmt.Sprint("first read ", len(big)) {
		t.Errorf("%q, %v", got, err)
	}

	// The engine goes; a step that asks meanwhile waits for the next one.
	first.Close()
	e.Close()
	type answer struct {
		text string
		err  error
	}
	asked := make(chan answer, 1)
	go func() {
		text, err := post(url, []byte("hello"))
		asked <- answer{text, err}
	}()
	time.Sleep(100 * time.Millisecond)
	opts.TrackSocket = filepath.Join(dir, "another.sock")
	e = open(t, opts)
	serveTracking(t, opts.TrackSocket, "second")
	if a := <-asked; a.err != nil || a.text != "second read 5" {
		t.Errorf("%+v", a)
	}
	if e.TrackURL() != url {
		t.Errorf("the address moved from %s to %s", url, e.TrackURL())
	}
}
