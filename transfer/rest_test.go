// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/api/mlflow"
	"lastro/auth"
	"lastro/store"
	"lastro/transfer"
)

// serve lets a lastro answer MLflow's protocol, and returns its address and a token.
func serve(t testing.TB, h house) (address, token string) {
	t.Helper()
	people := auth.NewService(store.NewAuth(h.db), lastro.SystemClock{})
	door, err := auth.Handler(mlflow.Routes(mlflow.Deps{Track: h.track, Registry: h.registry, Traces: h.traces, Blobs: h.blobs, Version: "9.9"}),
		auth.Options{Service: people, Loopback: true, Refuse: mlflow.Refuse})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(door)
	t.Cleanup(server.Close)
	if _, err := people.CreateUser(t.Context(), lastro.System("test"), "vic", auth.Viewer); err != nil {
		t.Fatal(err)
	}
	if token, _, err = people.CreateToken(t.Context(), lastro.System("test"), "vic", time.Hour, nil); err != nil {
		t.Fatal(err)
	}
	return server.URL, token
}

// TestBetweenServers imports from another lastro by its REST protocol.
func TestBetweenServers(t *testing.T) {
	const release = "3.17.2"
	there := newHouse(t, "there")
	mustRun(t, there.importer(openDatabase(t, release)))
	address, token := serve(t, there)

	if _, err := transfer.OpenServer(t.Context(), address, transfer.Login{}); err != nil {
		t.Fatalf("the version is public: %v", err)
	}
	anonymous, err := transfer.OpenServer(t.Context(), address, transfer.Login{Token: "wrong-secret"})
	if err != nil {
		t.Fatal(err)
	}
	here := newHouse(t, "here")
	if _, err := here.importer(anonymous).Run(t.Context()); !lastro.Is(err, lastro.EDenied) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("with a wrong token: %v", err)
	}

	s, err := transfer.OpenServer(t.Context(), address, transfer.Login{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	if about := s.About(); about.Software != "lastro 9.9" {
		t.Errorf("it is %+v", about)
	}
	r := mustRun(t, here.importer(s))
	holdAgainst(t, here, readDump(t, release))
	if n := r.Counts[transfer.Runs].Moved; n != 6 {
		t.Errorf("%d runs came", n)
	}
}

// TestNotAServer names what answers otherwise.
func TestNotAServer(t *testing.T) {
	for body, want := range map[string]string{"<html>hello</html>": "not an MLflow server", "1.30.0": "older than 2.0"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }))
		_, err := transfer.OpenServer(t.Context(), server.URL, transfer.Login{})
		server.Close()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", body, err)
		}
	}
	_, err := transfer.OpenServer(t.Context(), "http://ana:geheim@localhost:1", transfer.Login{})
	if err == nil || strings.Contains(err.Error(), "geheim") {
		t.Errorf("a password in the address: %v", err)
	}
}
