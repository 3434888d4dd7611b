// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"lastro"
	"lastro/auth"
	"lastro/trigger"
)

// unheard is the rest of Triggers, which webhooks do not call.
type unheard interface{ Triggers }

// ear writes down what webhooks say.
type ear struct {
	unheard
	secrets   map[string]string
	delivered map[string]bool
	changes   []trigger.Change
	proposals []trigger.Proposal
}

func (e *ear) WebhookSecret(_ context.Context, provider string) (string, error) {
	if s := e.secrets[provider]; s != "" {
		return s, nil
	}
	return "", lastro.Errorf(lastro.ENotFound, "webhooks of %s are not set up here", provider)
}

func (e *ear) Delivered(_ context.Context, d trigger.Delivery) (bool, error) {
	return e.delivered[d.Provider+d.ID] || e.delivered[d.Provider+string(d.Digest)], nil
}

func (e *ear) Deliver(_ context.Context, d trigger.Delivery) error {
	e.delivered[d.Provider+d.ID], e.delivered[d.Provider+string(d.Digest)] = true, true
	return nil
}

func (e *ear) Changed(_ context.Context, c trigger.Change) (Taken, error) {
	e.changes = append(e.changes, c)
	return Taken{}, nil
}

func (e *ear) Proposed(_ context.Context, p trigger.Proposal) (Taken, error) {
	e.proposals = append(e.proposals, p)
	return Taken{}, nil
}

const hookSecret = "It's a Secret to Everybody"

// listen is a server with webhooks, and a function that delivers.
func listen(t *testing.T) (*ear, func(provider string, head map[string]string, body string) (int, string)) {
	t.Helper()
	e := &ear{secrets: map[string]string{"github": hookSecret, "gitlab": hookSecret, "gitea": hookSecret}, delivered: map[string]bool{}}
	handler, err := auth.Handler((&handler{Deps{Triggers: e, Log: slog.New(slog.DiscardHandler)}}).triggerRoutes("/api/v1"), auth.Options{None: true, Loopback: true})
	if err != nil {
		t.Fatal(err)
	}
	return e, func(provider string, head map[string]string, body string) (int, string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1/api/v1/webhooks/"+provider, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for k, v := range head {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
}

func hexMAC(body string) string {
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

// payload reads a delivery of testdata, which has the shape that the vendor documents.
func payload(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestSignatures: expected values are the vendors' own: GitHub's "Validating
// webhook deliveries" (secret and payload of its test), and the vector of the
// Standard Webhooks specification.
func TestSignatures(t *testing.T) {
	if !signed("757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", []byte("Hello, World!"), hookSecret) {
		t.Error("GitHub's own example does not fit")
	}
	for name, bad := range map[string]struct{ signature, body, secret string }{
		"another body":   {"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", "Hello, World?", hookSecret},
		"another secret": {"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17", "Hello, World!", "x"},
		"cut":            {"757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e", "Hello, World!", hookSecret},
		"nothing":        {"", "Hello, World!", hookSecret},
		"no secret":      {hexMAC(""), "Hello, World!", ""},
		"no hex":         {"zz", "Hello, World!", hookSecret},
	} {
		if signed(bad.signature, []byte(bad.body), bad.secret) {
			t.Errorf("%s: the signature fits", name)
		}
	}
	head := http.Header{}
	head.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	head.Set("Webhook-Timestamp", "1614265330")
	head.Set("Webhook-Signature", "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	const body, token = `{"test": 2432232314}`, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	now := time.Unix(1614265330, 0)
	if !signedStandard(head, []byte(body), token, now) {
		t.Error("the example of Standard Webhooks does not fit")
	}
	for name, fits := range map[string]bool{
		"ten minutes later": signedStandard(head, []byte(body), token, now.Add(10*time.Minute)),
		"ten minutes early": signedStandard(head, []byte(body), token, now.Add(-10*time.Minute)),
		"another body":      signedStandard(head, []byte(body+" "), token, now),
		"no key":            signedStandard(head, []byte(body), "whsec_", now),
		"a token in plain":  func() bool { _, ok := verifyGitLab(http.Header{"X-Gitlab-Token": {token}}, nil, token, now); return ok }(),
	} {
		if fits {
			t.Errorf("%s: the signature fits", name)
		}
	}
}

func TestWebhooks(t *testing.T) {
	e, deliver := listen(t)
	standard := func(id, body string) map[string]string {
		at := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(hookSecret))
		mac.Write([]byte(id + "." + at + "." + body))
		return map[string]string{"X-Gitlab-Event": "Push Hook", "Webhook-Id": id, "Webhook-Timestamp": at, "Webhook-Signature": "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))}
	}
	gh, gl, gt := payload(t, "github_push.json"), payload(t, "gitlab_push.json"), payload(t, "gitea_push.json")
	for name, tc := range map[string]struct {
		provider string
		head     map[string]string
		body     string
		status   int
	}{
		"github":                  {"github", map[string]string{"X-GitHub-Event": "push", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": "sha256=" + hexMAC(gh)}, gh, 200},
		"github, ping":            {"github", map[string]string{"X-GitHub-Event": "ping", "X-GitHub-Delivery": "0", "X-Hub-Signature-256": "sha256=" + hexMAC("{}")}, "{}", 200},
		"github, old signature":   {"github", map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature": "sha1=aaaa"}, gh, 403},
		"github, no signature":    {"github", map[string]string{"X-GitHub-Event": "push"}, gh, 403},
		"github, changed":         {"github", map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=" + hexMAC(gh)}, gh + " ", 403},
		"gitlab, token":           {"gitlab", map[string]string{"X-Gitlab-Event": "Push Hook", "Idempotency-Key": "2", "X-Gitlab-Token": hookSecret}, gl, 200},
		"gitlab, wrong token":     {"gitlab", map[string]string{"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": "x"}, gl, 403},
		"gitlab, signed":          {"gitlab", standard("3", gl+"\n"), gl + "\n", 200},
		"gitlab, wrong and plain": {"gitlab", map[string]string{"X-Gitlab-Event": "Push Hook", "Webhook-Signature": "v1,AAAA", "X-Gitlab-Token": hookSecret}, gl, 403},
		"gitea":                   {"gitea", map[string]string{"X-Gitea-Event": "push", "X-Gitea-Delivery": "4", "X-Gitea-Signature": hexMAC(gt)}, gt, 200},
		"gitea, github's header":  {"gitea", map[string]string{"X-Gitea-Event": "push", "X-Hub-Signature-256": "sha256=" + hexMAC(gt)}, gt, 403},
		"no JSON":                 {"github", map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=" + hexMAC("push!")}, "push!", 400},
		"a form":                  {"github", map[string]string{"X-GitHub-Event": "push", "Content-Type": "text/plain", "X-Hub-Signature-256": "sha256=" + hexMAC(gh)}, gh, 415},
		"too large":               {"github", map[string]string{"X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=aa"}, strings.Repeat("x", 10<<20+1), 400},
	} {
		if got, text := deliver(tc.provider, tc.head, tc.body); got != tc.status {
			t.Errorf("%s: %d %s, want %d", name, got, text, tc.status)
		}
	}
	if len(e.changes) != 4 {
		t.Fatalf("%d pushes were heard, want 4: %+v", len(e.changes), e.changes)
	}
	seen := map[string]bool{}
	for _, c := range e.changes {
		seen[c.Ref+" "+c.Before[:7]+" "+c.After[:7]+" "+string(c.Actor)+" "+c.Author] = true
	}
	for _, want := range []string{
		"refs/heads/main 6113728 0d1a26e git:Codertocat Monalisa <mona@example.com>",
		"refs/heads/master 95790bf da15608 git:jsmith GitLab dev user <gitlabdev@dv6700.(none)>",
		"refs/heads/develop 28e1879 bffeb74 git:gitea Gitea <someone@gitea.io>",
	} {
		if !seen[want] {
			t.Errorf("not heard: %s\n%v", want, seen)
		}
	}
	delete(e.secrets, "gitea")
	if got, _ := deliver("gitea", map[string]string{"X-Gitea-Signature": hexMAC(gt)}, gt); got != 404 {
		t.Errorf("without a secret: %d, want 404", got)
	}
}

// TestReplays: a delivery counts once, by its ID and by what was signed.
func TestReplays(t *testing.T) {
	e, deliver := listen(t)
	body := payload(t, "github_push.json")
	head := map[string]string{"X-GitHub-Event": "push", "X-GitHub-Delivery": "1", "X-Hub-Signature-256": "sha256=" + hexMAC(body)}
	for range 3 {
		if got, text := deliver("github", head, body); got != 200 {
			t.Errorf("%d %s", got, text)
		}
	}
	head["X-GitHub-Delivery"] = "another" // the ID is not part of what is signed
	if got, text := deliver("github", head, body); got != 200 || !strings.Contains(text, "taken before") {
		t.Errorf("a replay under another ID: %d %s", got, text)
	}
	if len(e.changes) != 1 {
		t.Errorf("%d pushes of one delivery", len(e.changes))
	}
}

// TestPulls: what is a fork, and which actions bring new code.
func TestPulls(t *testing.T) {
	hub := func(change func(map[string]any)) string {
		var doc map[string]any
		if err := json.Unmarshal([]byte(payload(t, "github_pull_request.json")), &doc); err != nil {
			t.Fatal(err)
		}
		change(doc)
		raw, _ := json.Marshal(doc)
		return string(raw)
	}
	side := func(doc map[string]any, name string) map[string]any {
		return doc["pull_request"].(map[string]any)[name].(map[string]any)
	}
	for name, tc := range map[string]struct {
		body    string
		starts  bool
		fork    bool
		invalid bool
	}{
		"a branch":    {hub(func(map[string]any) {}), true, false, false},
		"synchronize": {hub(func(d map[string]any) { d["action"] = "synchronize" }), true, false, false},
		"a fork": {hub(func(d map[string]any) {
			side(d, "head")["repo"] = map[string]any{"id": 9, "full_name": "eve/Hello-World"}
		}), true, true, false},
		"a fork that is gone": {hub(func(d map[string]any) { side(d, "head")["repo"] = nil }), true, true, false},
		"same name, other ID": {hub(func(d map[string]any) { side(d, "head")["repo"].(map[string]any)["id"] = 9 }), true, true, false},
		"closed":              {hub(func(d map[string]any) { d["action"] = "closed" }), false, false, false},
		"labeled":             {hub(func(d map[string]any) { d["action"] = "labeled" }), false, false, false},
		"an option as commit": {hub(func(d map[string]any) { side(d, "head")["sha"] = "--upload-pack=touch x" }), false, false, true},
		"a path as base":      {hub(func(d map[string]any) { side(d, "base")["ref"] = "../../x" }), false, false, true},
		"a refspec as base":   {hub(func(d map[string]any) { side(d, "base")["ref"] = "main:refs/heads/x" }), false, false, true},
	} {
		got, err := readGitHub("pull_request", []byte(tc.body))
		switch {
		case tc.invalid != lastro.Is(err, lastro.EInvalid):
			t.Errorf("%s: %v", name, err)
		case tc.invalid:
		case (got.proposal != nil) != tc.starts:
			t.Errorf("%s: heard %+v", name, got)
		case tc.starts && (got.proposal.Fork != tc.fork || got.proposal.Number != 2 || got.proposal.Base != "master" || got.proposal.Branch != "changes"):
			t.Errorf("%s: %+v", name, got.proposal)
		}
	}
	for name, tc := range map[string]struct {
		from, to     string
		starts, fork bool
	}{
		"a branch":           {"", "", true, false},
		"a fork":             {`"source_project_id": 14`, `"source_project_id": 15`, true, true},
		"new code":           {`"action": "open"`, `"action": "update", "oldrev": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7"`, true, false},
		"a new title":        {`"action": "open"`, `"action": "update"`, false, false},
		"merged":             {`"action": "open"`, `"action": "merge"`, false, false},
		"nobody knows whose": {`"source_project_id": 14,`, ``, true, true},
	} {
		got, err := readGitLab("Merge Request Hook", []byte(strings.Replace(payload(t, "gitlab_merge_request.json"), tc.from, tc.to, 1)))
		if err != nil || (got.proposal != nil) != tc.starts || tc.starts && (got.proposal.Fork != tc.fork || got.proposal.Number != 1 || got.proposal.Base != "master") {
			t.Errorf("gitlab, %s: %+v, %v", name, got.proposal, err)
		}
	}
}

// TestHostileRefs: names that are none reach nobody.
func TestHostileRefs(t *testing.T) {
	for _, ref := range []string{"", "main", "--upload-pack=x", "refs/heads/../../x", "refs/heads/a\nb", "refs/heads/a b", "refs/heads/x:y", "refs/heads/" + strings.Repeat("x", 5000)} {
		body, _ := json.Marshal(map[string]any{"ref": ref, "before": strings.Repeat("0", 40), "after": strings.Repeat("a", 40)})
		if got, err := readGitHub("push", body); err == nil {
			t.Errorf("%q was heard: %+v", ref, got.change)
		}
	}
	body, _ := json.Marshal(map[string]any{"ref": "refs/heads/x", "before": strings.Repeat("a", 40), "after": strings.Repeat("0", 40), "deleted": true})
	if got, err := readGitHub("push", body); err != nil || got.change.After != "" {
		t.Errorf("a deleted branch: %+v, %v", got.change, err)
	}
}
