// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/auth"
	"lastro/registry"
)

// protectedProject has a model whose first version passes its rules.
const protectedProject = `version: 1
name: kept
steps:
  train:
    run: mkdir -p model && echo 1 > model/weights && echo '{"auc":0.7}' > m.json
    metrics: m.json
    outputs: {model: model}
model:
  name: kept
  from: train.model
  protect: [live]
  require:
    - {name: floor, check: metrics.auc >= 0.6}
`

// attack is one call that would, or might, move what is protected.
type attack struct {
	name, method, path, body string
	status                   int // wanted; 0 = any
}

// attacks are calls of every write endpoint of the registry. kept is the
// declared model with versions 1 (passed) and 2 (not decided); decoy is one
// that nobody declared, whose version 1 everything could be pointed at.
var attacks = []attack{
	{"set champion", "POST", "registered-models/alias", `{"name":"kept","alias":"champion","version":"2"}`, 403},
	{"set candidate", "POST", "registered-models/alias", `{"name":"kept","alias":"candidate","version":"2"}`, 403},
	{"set challenger", "POST", "registered-models/alias", `{"name":"kept","alias":"challenger","version":"2"}`, 403},
	{"set what the file protects", "POST", "registered-models/alias", `{"name":"kept","alias":"live","version":"2"}`, 403},
	{"set it to a number", "POST", "registered-models/alias", `{"name":"kept","alias":"champion","version":2}`, 0},
	{"set it with a space", "POST", "registered-models/alias", `{"name":"kept","alias":"champion ","version":"2"}`, 400},
	{"set it in capitals", "POST", "registered-models/alias", `{"name":"kept","alias":"CHAMPION","version":"2"}`, 200},
	{"set it of a name with a space", "POST", "registered-models/alias", `{"name":"kept ","alias":"champion","version":"2"}`, 404},
	{"set it by two names", "POST", "registered-models/alias", `{"name":"decoy","name":"kept","alias":"champion","version":"2"}`, 403},
	{"delete champion", "DELETE", "registered-models/alias", `{"name":"kept","alias":"champion"}`, 403},
	{"delete candidate", "DELETE", "registered-models/alias", `{"name":"kept","alias":"candidate"}`, 403},
	{"stage with archive", "POST", "model-versions/transition-stage", `{"name":"kept","version":"2","stage":"Production","archive_existing_versions":true}`, 403},
	{"stage", "POST", "model-versions/transition-stage", `{"name":"kept","version":"2","stage":"staging","archive_existing_versions":false}`, 403},
	{"archive the champion", "POST", "model-versions/transition-stage", `{"name":"kept","version":"1","stage":"Archived","archive_existing_versions":false}`, 403},
	{"take the champion's stage away", "POST", "model-versions/transition-stage", `{"name":"kept","version":"1","stage":"None"}`, 403},
	{"another stage for the champion", "POST", "model-versions/transition-stage", `{"name":"kept","version":"1","stage":"Staging"}`, 403},
	{"rename away", "POST", "registered-models/rename", `{"name":"kept","new_name":"other"}`, 403},
	{"rename onto", "POST", "registered-models/rename", `{"name":"decoy","new_name":"kept"}`, 400},
	{"delete the model", "DELETE", "registered-models/delete", `{"name":"kept"}`, 403},
	{"create it again", "POST", "registered-models/create", `{"name":"kept"}`, 400},
	{"create it as a prompt", "POST", "registered-models/create", `{"name":"kept","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]}`, 400},
	{"delete the version", "DELETE", "model-versions/delete", `{"name":"kept","version":"1"}`, 403},
	{"delete another version", "DELETE", "model-versions/delete", `{"name":"kept","version":"3"}`, 200},
	{"copy onto", "POST", "model-versions/create", `{"name":"kept","source":"models:/decoy/1"}`, 200},
	{"copy by alias", "POST", "model-versions/create", `{"name":"kept","source":"models:/decoy@champion"}`, 200},
	{"create a version that calls itself champion", "POST", "model-versions/create", `{"name":"kept","source":"models:/decoy/1","aliases":["champion"],"current_stage":"Production","version":"1"}`, 200},
	{"create a prompt's version", "POST", "model-versions/create", `{"name":"kept","source":"dummy-source","tags":[{"key":"mlflow.prompt.is_prompt","value":"true"}]}`, 400},
	{"describe the version", "PATCH", "model-versions/update", `{"name":"kept","version":"2","description":"x","stage":"Production","aliases":["champion"]}`, 200},
	{"describe the model", "PATCH", "registered-models/update", `{"name":"kept","description":"x","aliases":[{"alias":"champion","version":"2"}],"declared":false}`, 200},
	{"tag the model", "POST", "registered-models/set-tag", `{"name":"kept","key":"mlflow.aliases","value":"{\"champion\":2}"}`, 200},
	{"tag the model as lastro does", "POST", "registered-models/set-tag", `{"name":"kept","key":"lastro.alias.champion","value":"2"}`, 400},
	{"make the model a prompt", "POST", "registered-models/set-tag", `{"name":"kept","key":"mlflow.prompt.is_prompt","value":"true"}`, 403},
	{"alias of what might be a prompt", "POST", "registered-models/alias", `{"name":"kept","alias":"champion","version":"2"}`, 403},
	{"untag the model", "DELETE", "registered-models/delete-tag", `{"name":"kept","key":"mlflow.prompt.is_prompt"}`, 200},
	{"tag the version", "POST", "model-versions/set-tag", `{"name":"kept","version":"2","key":"mlflow.alias","value":"champion"}`, 200},
	{"tag the version with a digest", "POST", "model-versions/set-tag", `{"name":"kept","version":"2","key":"lastro.digest","value":"x"}`, 400},
	{"untag the version's digest", "DELETE", "model-versions/delete-tag", `{"name":"kept","version":"2","key":"lastro.digest"}`, 400},
	{"untag the version", "DELETE", "model-versions/delete-tag", `{"name":"kept","version":"2","key":"mlflow.alias"}`, 200},
}

// TestProtectedAliases sends every attack as an author, as an administrator and
// as a running step, and sees after each one that no protected alias moved.
func TestProtectedAliases(t *testing.T) {
	f := newFolder(t, protectedProject)
	h := f.open()
	ctx := t.Context()
	if out, err := h.Run(ctx, RunRequest{Actor: "user:local"}); err != nil || out.Version == nil {
		t.Fatal(out.Run.State, err)
	}
	for _, alias := range []string{"champion", "challenger", "live"} { // version 1 has passed
		if err := h.Registry.SetAlias(ctx, "user:ana", "kept", alias, 1, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Registry.SetStage(ctx, "user:ana", "kept", 1, "Production", false); err != nil {
		t.Fatal(err)
	}
	door, as := protectedDoor(t, h)
	send := func(token string, a attack) (int, string) {
		r := httptest.NewRequestWithContext(ctx, a.method, "http://127.0.0.1/api/2.0/mlflow/"+a.path, strings.NewReader(a.body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	v1, err := h.Registry.Version(ctx, "kept", 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := h.Blobs.PutEntries(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, number := range map[string]int{"kept": 2, "decoy": 1} {
		v, _, err := h.Registry.Register(ctx, registry.Registration{Version: registry.Version{Model: name, Digest: other, By: "user:ana"}})
		if err != nil || v.Number != number {
			t.Fatal(v.Number, err)
		}
	}
	if err := h.Registry.SetAlias(ctx, "user:ana", "decoy", "champion", 1, ""); err != nil {
		t.Fatal(err)
	}

	before := protectedState(t, h)
	if len(before) != 4 {
		t.Fatalf("protected aliases before: %v", before)
	}
	covered := map[string]bool{}
	for _, who := range []string{"author", "admin", "step"} {
		v3, _, err := h.Registry.Register(ctx, registry.Registration{Version: registry.Version{Model: "kept", Digest: other, By: "user:ana"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range attacks {
			a.body = strings.Replace(a.body, `"version":"3"`, fmt.Sprintf(`"version":"%d"`, v3.Number), 1)
			status, answer := send(as[who], a)
			if a.status != 0 && status != a.status {
				t.Errorf("%s as %s: %d %s, want %d", a.name, who, status, answer, a.status)
			}
			if status == 403 && !strings.Contains(answer, "PERMISSION_DENIED") {
				t.Errorf("%s as %s: %s", a.name, who, answer)
			}
			if now := protectedState(t, h); !slices.Equal(now, before) {
				t.Fatalf("%s as %s (%d %s) moved a protected alias:\n%v, before\n%v", a.name, who, status, answer, now, before)
			}
			covered[a.method+" /api/2.0/mlflow/"+a.path] = true
		}
	}
	for _, r := range newServer(h, "http://127.0.0.1:1").doors(newServer(h, "").pages()) {
		if r.Permission == auth.WriteRegistry && strings.Contains(r.Pattern, " /api/2.0/mlflow/") && !covered[r.Pattern] {
			t.Errorf("no attack tries %s", r.Pattern)
		}
	}

	// The same calls move an alias when the bytes have passed: the test could have failed.
	again, _, err := h.Registry.Register(ctx, registry.Registration{Version: registry.Version{Model: "kept", Digest: v1.Digest, By: "user:ana"}})
	if err != nil {
		t.Fatal(err)
	}
	allowed := attack{"allowed", "POST", "registered-models/alias", fmt.Sprintf(`{"name":"kept","alias":"champion","version":"%d"}`, again.Number), 200}
	if status, answer := send(as["author"], allowed); status != 200 || slices.Equal(protectedState(t, h), before) {
		t.Errorf("a move with evidence: %d %s", status, answer)
	}
}

// protectedState is where the protected aliases of the model point, as text.
func protectedState(t *testing.T, h *House) []string {
	t.Helper()
	m, err := h.Registry.Model(t.Context(), "kept")
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, alias := range m.Protect {
		v, err := h.Registry.ByAlias(t.Context(), "kept", alias)
		if lastro.Is(err, lastro.ENotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%s -> %d %s %s", alias, v.Number, v.Digest.Short(), v.Stage))
	}
	return out
}

// protectedDoor is a server over h, and tokens of who may write its registry.
func protectedDoor(t *testing.T, h *House) (http.Handler, map[string]string) {
	t.Helper()
	ctx := t.Context()
	as := map[string]string{}
	for name, role := range map[string]auth.Role{"author": auth.Author, "admin": auth.Admin} {
		if _, err := h.Auth.CreateUser(ctx, "user:local", name, role); err != nil {
			t.Fatal(err)
		}
		token, _, err := h.Auth.CreateToken(ctx, "user:local", name, time.Hour, nil)
		if err != nil {
			t.Fatal(err)
		}
		as[name] = token
	}
	h.Auth.AdmitSteps(auth.Steps{Key: []byte(strings.Repeat("k", 32)), Running: func(context.Context, auth.StepID) (bool, error) { return true, nil }})
	token, err := h.Auth.IssueStepToken(auth.StepID{Run: "1", Step: "train", Attempt: 1}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	as["step"] = token
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	handler, err := newServer(h, "http://127.0.0.1:1").handler(l, UpOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return handler, as
}
