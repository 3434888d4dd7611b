// SPDX-License-Identifier: Apache-2.0

package app

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"lastro/registry"
)

// TestClientsRace: of clients that ask for one name or one alias at once one
// wins, and the others get the code that MLflow has for it.
func TestClientsRace(t *testing.T) {
	f := newFolder(t, protectedProject)
	h := f.open()
	door, as := protectedDoor(t, h)
	const clients = 12
	race := func(path string, body func(i int) string) map[string]int {
		start := make(chan struct{})
		var group sync.WaitGroup
		var mu sync.Mutex
		got := map[string]int{}
		for i := range clients {
			group.Go(func() {
				r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/api/2.0/mlflow/"+path, strings.NewReader(body(i)))
				r.Header.Set("Content-Type", "application/json")
				r.Header.Set("Authorization", "Bearer "+as["author"])
				w := httptest.NewRecorder()
				<-start
				door.ServeHTTP(w, r)
				_, code, _ := strings.Cut(w.Body.String(), `"error_code":"`)
				code, _, _ = strings.Cut(code, `"`)
				mu.Lock()
				defer mu.Unlock()
				got[strings.TrimSpace(fmt.Sprint(w.Code, " ", code))]++
			})
		}
		close(start)
		group.Wait()
		return got
	}
	if got := race("registered-models/create", func(int) string { return `{"name":"raced"}` }); got["200"] != 1 || got["400 RESOURCE_ALREADY_EXISTS"] != clients-1 {
		t.Errorf("one name: %v", got)
	}
	bytes, err := h.Blobs.PutEntries(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for range clients {
		if _, _, err := h.Registry.Register(t.Context(), registry.Registration{Version: registry.Version{Model: "raced", Digest: bytes, By: "user:ana"}}); err != nil {
			t.Fatal(err)
		}
	}
	got := race("registered-models/alias", func(i int) string { return fmt.Sprintf(`{"name":"raced","alias":"best","version":"%d"}`, i+1) })
	if got["200"] == 0 || got["200"]+got["409 RESOURCE_CONFLICT"] != clients {
		t.Errorf("one alias: %v", got)
	}
	moves, err := h.Registry.AliasHistory(t.Context(), "raced", "best")
	v, verr := h.Registry.ByAlias(t.Context(), "raced", "best")
	if err != nil || verr != nil || len(moves) != got["200"] || moves[len(moves)-1].To != v.Number {
		t.Errorf("%d moves for %d answers, the alias at %d, %v %v", len(moves), got["200"], v.Number, err, verr)
	}
}
