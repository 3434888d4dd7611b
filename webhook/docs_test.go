// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"

	"lastro"
	"lastro/webhook"
)

// TestDocumentedCheck: the function that docs/reference/webhooks.md gives to
// receivers believes a message of ours, and none that was changed.
func TestDocumentedCheck(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	page, err := os.ReadFile("../docs/reference/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)```python\n(import base64.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatal("the page has no such function")
	}
	s := open(t, lastro.SystemClock{})
	r := receive(t, nil)
	w := s.create(t, r.URL, "s3cret-key", webhook.AliasCreated)
	if trial, err := s.hooks.Try(t.Context(), w.ID, ""); err != nil || !trial.OK {
		t.Fatal(trial, err)
	}
	g := r.wait(t, 1)[0]
	headers, err := json.Marshal(map[string]string{"X-MLflow-Delivery-Id": g.id, "X-MLflow-Timestamp": g.at, "X-MLflow-Signature": g.signature})
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{g.body: "True\n", g.body + " ": "False\n"} {
		code := string(m[1]) + "\nimport json, sys\nprint(is_ours('s3cret-key', json.loads(sys.argv[1]), sys.argv[2]))\n"
		out, err := exec.CommandContext(t.Context(), python, "-c", code, string(headers), body).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("is_ours(%q) = %s%v, want %s", body, out, err, want)
		}
	}
}
