// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastro"
	"lastro/outbound"
	"lastro/registry"
	"lastro/secret"
	"lastro/store"
	"lastro/store/storetest"
	"lastro/webhook"
)

const ana = lastro.Actor("user:ana")

// shop is a registry with webhooks over one database.
type shop struct {
	db       *store.DB
	registry *registry.Service
	hooks    *webhook.Service
}

func open(t *testing.T, clock lastro.Clock) *shop {
	t.Helper()
	db := storetest.Open(t)
	r := registry.NewService(store.NewRegistry(db), nil, clock)
	secrets := secret.NewService(store.NewSecret(db), secret.KeyPlace{Own: filepath.Join(t.TempDir(), "secrets.key")}, clock)
	allow, err := outbound.ParseAllow([]string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	look := func(ctx context.Context, model string, number int) (card webhook.Card, err error) {
		if number == 0 {
			m, err := r.Model(ctx, model)
			return webhook.Card{Tags: m.Tags, Description: m.Description}, err
		}
		v, err := r.Version(ctx, model, number)
		return webhook.Card{Tags: v.Tags, Description: v.Description}, err
	}
	caller := outbound.New(outbound.Options{Allow: allow, Timeout: 2 * time.Second})
	return &shop{db, r, webhook.NewService(store.NewWebhooks(db), secrets, caller, look, clock)}
}

// run sends messages until the test ends or stop is called.
func (s *shop) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	events, end := s.db.Subscribe(1)
	woken := make(chan struct{}, 1)
	go func() {
		for range events {
			select {
			case woken <- struct{}{}:
			default:
			}
		}
	}()
	go func() {
		defer close(done)
		if err := s.hooks.Run(ctx, woken, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done; end() })
	t.Cleanup(stop)
	return stop
}

// got is one message as a receiver saw it.
type got struct {
	event, id, at, signature, body string
	data                           map[string]any
}

// receiver keeps what it gets; answer says how it answers to the n-th call.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	list []got
}

func receive(t *testing.T, answer func(n int) int) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var m struct {
			Entity, Action, Timestamp string
			Data                      map[string]any
		}
		if err := json.Unmarshal(body, &m); err != nil || req.Header.Get("Content-Type") != "application/json" {
			t.Errorf("a message that cannot be read: %v %s", err, body)
		}
		if _, err := time.Parse(time.RFC3339, m.Timestamp); err != nil {
			t.Errorf("timestamp %q: %v", m.Timestamp, err)
		}
		r.mu.Lock()
		r.list = append(r.list, got{m.Entity + "." + m.Action, req.Header.Get("X-MLflow-Delivery-Id"), req.Header.Get("X-MLflow-Timestamp"),
			req.Header.Get("X-MLflow-Signature"), string(body), m.Data})
		n := len(r.list)
		r.mu.Unlock()
		if answer != nil {
			w.WriteHeader(answer(n))
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// wait returns the first n messages.
func (r *receiver) wait(t *testing.T, n int) []got {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		list := slices.Clone(r.list)
		r.mu.Unlock()
		if len(list) >= n {
			return list
		}
	}
	t.Fatalf("%d messages came, want %d", len(r.list), n)
	return nil
}

func (s *shop) create(t *testing.T, url string, secret string, events ...webhook.Event) webhook.Webhook {
	t.Helper()
	w, err := s.hooks.Create(t.Context(), ana, webhook.Webhook{Name: "mine", URL: url, Events: events}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestMessages: each kind of event arrives once with what MLflow 3.17.2 tells
// of it (mlflow/webhooks/types.py), signed as its receivers check it.
func TestMessages(t *testing.T) {
	s := open(t, lastro.SystemClock{})
	ctx := t.Context()
	must(t, second(s.registry.CreateModel(ctx, ana, registry.Model{Name: "before"}))) // nobody listened then
	r := receive(t, nil)
	w := s.create(t, r.URL+"/hook", "s3cret-key", webhook.Events...)
	s.run(t)

	prompt := map[string]string{"mlflow.prompt.is_prompt": "true", "team": "x"}
	text := map[string]string{"mlflow.prompt.is_prompt": "true", "_mlflow_prompt_type": "text", "mlflow.prompt.text": "Hello {{name}}!", "v": "1"}
	must(t, second(s.registry.CreateModel(ctx, ana, registry.Model{Name: "m", Description: "words", Tags: map[string]string{"k": "v"}})))
	must(t, second(s.registry.CreateModel(ctx, ana, registry.Model{Name: "p", Tags: prompt})))
	register := func(model, source string, tags map[string]string) {
		_, _, err := s.registry.Register(ctx, registry.Registration{Version: registry.Version{Model: model, Digest: lastro.DigestOf([]byte(model)), Source: source,
			TrackedRun: "0123456789abcdef0123456789abcdef", Description: "first", Tags: tags, By: ana}})
		must(t, err)
	}
	register("m", "models:/m-1", map[string]string{"a": "b"})
	register("p", "prompt-template", text)
	for _, model := range []string{"m", "p"} {
		must(t, s.registry.SetModelTag(ctx, ana, model, "mk", "mv"))
		must(t, s.registry.DeleteModelTag(ctx, ana, model, "mk"))
		must(t, s.registry.SetVersionTag(ctx, ana, model, 1, "vk", "vv"))
		must(t, s.registry.DeleteVersionTag(ctx, ana, model, 1, "vk"))
		must(t, s.registry.SetAlias(ctx, ana, model, "best", 1, ""))
		must(t, s.registry.DeleteAlias(ctx, ana, model, "best", ""))
	}
	// Of a tag that is deleted before its message is made the value is gone.
	want := []string{
		`registered_model.created {"description":"words","name":"m","tags":{"k":"v"}}`,
		`prompt.created {"description":null,"name":"p","tags":{"team":"x"}}`,
		`model_version.created {"description":"first","name":"m","run_id":"0123456789abcdef0123456789abcdef","source":"models:/m-1","tags":TAGS,"version":"1"}`,
		`prompt_version.created {"description":"first","name":"p","tags":{"v":"1"},"template":"Hello {{name}}!","version":"1"}`,
		`model_version_tag.set {"key":"vk","name":"m","value":VALUE,"version":"1"}`,
		`model_version_tag.deleted {"key":"vk","name":"m","version":"1"}`,
		`model_version_alias.created {"alias":"best","name":"m","version":"1"}`,
		`model_version_alias.deleted {"alias":"best","name":"m"}`,
		`prompt_tag.set {"key":"mk","name":"p","value":VALUE}`,
		`prompt_tag.deleted {"key":"mk","name":"p"}`,
		`prompt_version_tag.set {"key":"vk","name":"p","value":VALUE,"version":"1"}`,
		`prompt_version_tag.deleted {"key":"vk","name":"p","version":"1"}`,
		`prompt_alias.created {"alias":"best","name":"p","version":"1"}`,
		`prompt_alias.deleted {"alias":"best","name":"p"}`,
	}
	var told []string
	seen := map[string]bool{}
	for _, g := range r.wait(t, len(want)) {
		if seen[g.id] || len(g.id) != 36 {
			t.Errorf("delivery id %q", g.id)
		}
		seen[g.id] = true
		mac := hmac.New(sha256.New, []byte("s3cret-key"))
		fmt.Fprintf(mac, "%s.%s.%s", g.id, g.at, g.body)
		if wanted := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); g.signature != wanted {
			t.Errorf("signature %q, want %q", g.signature, wanted)
		}
		if v, there := g.data["value"]; there && (v == "vv" || v == "mv" || v == "") {
			g.data["value"] = "VALUE"
		}
		if g.event == "model_version.created" {
			tags := g.data["tags"].(map[string]any)
			if tags["a"] != "b" || tags["lastro.digest"] == nil {
				t.Errorf("tags of a version = %v", tags)
			}
			g.data["tags"] = "TAGS"
		}
		data, _ := json.Marshal(g.data)
		told = append(told, g.event+" "+strings.NewReplacer(`"VALUE"`, "VALUE", `"TAGS"`, "TAGS").Replace(string(data)))
	}
	slices.Sort(told)
	slices.Sort(want)
	if !slices.Equal(told, want) {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}

	// The secret is nowhere in the database.
	var stored string
	must(t, s.db.QueryRow(ctx, `SELECT secret FROM webhooks WHERE id = ?`, w.ID).Scan(&stored))
	raw, err := base64.StdEncoding.DecodeString(stored)
	if err != nil || !strings.HasPrefix(string(raw), "age-encryption.org/") || strings.Contains(string(raw), "s3cret") {
		t.Errorf("the stored secret is not sealed: %.40q, %v", raw, err)
	}
}

// TestAgainAndAgain: a receiver that is down gets its message later, under the
// same id, also from another process; one that refuses gets it once.
func TestAgainAndAgain(t *testing.T) {
	s := open(t, lastro.SystemClock{})
	ctx := t.Context()
	weak := receive(t, func(n int) int { return []int{503, 500, 200}[min(n-1, 2)] })
	rude := receive(t, func(int) int { return 404 })
	s.create(t, weak.URL, "", webhook.ModelCreated)
	s.create(t, rude.URL, "", webhook.ModelCreated)
	// Nobody sends yet: the process was killed right after the commit.
	must(t, second(s.registry.CreateModel(ctx, ana, registry.Model{Name: "m"})))
	stop := s.run(t)
	weak.wait(t, 1)
	stop() // and the next one is killed after its first try
	s.run(t)
	list := weak.wait(t, 3)
	if list[0].id != list[1].id || list[1].id != list[2].id || list[0].signature != "" {
		t.Errorf("three tries of one message: %+v", list)
	}
	time.Sleep(300 * time.Millisecond)
	if n := len(rude.wait(t, 1)); n != 1 {
		t.Errorf("a receiver that answers 404 was called %d times", n)
	}
	var left int
	must(t, s.db.QueryRow(ctx, `SELECT COUNT(*) FROM webhook_messages`).Scan(&left))
	if left != 0 {
		t.Errorf("%d messages are left", left)
	}
}

// TestTwoProcesses: two that send over one database send each message once.
func TestTwoProcesses(t *testing.T) {
	s := open(t, lastro.SystemClock{})
	r := receive(t, nil)
	s.create(t, r.URL, "", webhook.ModelCreated)
	s.run(t)
	s.run(t)
	const models = 40
	for i := range models {
		must(t, second(s.registry.CreateModel(t.Context(), ana, registry.Model{Name: fmt.Sprint("m", i)})))
	}
	r.wait(t, models)
	time.Sleep(200 * time.Millisecond)
	names := map[any]int{}
	for _, g := range r.wait(t, models) {
		names[g.data["name"]]++
	}
	for name, n := range names {
		if n != 1 {
			t.Errorf("%v was told %d times", name, n)
		}
	}
	if len(names) != models {
		t.Errorf("%d of %d were told", len(names), models)
	}
}

// TestSwitchedOff: a disabled webhook hears nothing, and once it is on again,
// not what it missed.
func TestSwitchedOff(t *testing.T) {
	s := open(t, lastro.SystemClock{})
	ctx := t.Context()
	r := receive(t, nil)
	w := s.create(t, r.URL, "", webhook.ModelCreated)
	s.run(t)
	create := func(name string) { must(t, second(s.registry.CreateModel(ctx, ana, registry.Model{Name: name}))) }
	create("one")
	r.wait(t, 1)
	off, on := webhook.Disabled, webhook.Active
	must(t, second(s.hooks.Update(ctx, ana, w.ID, webhook.Change{Status: &off})))
	create("two")
	must(t, second(s.hooks.Update(ctx, ana, w.ID, webhook.Change{Status: &on})))
	create("three")
	list := r.wait(t, 2)
	if list[1].data["name"] != "three" {
		t.Errorf("after it was switched on it heard of %v", list[1].data["name"])
	}
	must(t, s.hooks.Delete(ctx, ana, w.ID))
	create("four")
	time.Sleep(200 * time.Millisecond)
	if n := len(r.wait(t, 2)); n != 2 {
		t.Errorf("a deleted webhook heard %d messages", n)
	}
	if _, err := s.hooks.Get(ctx, w.ID); !lastro.Is(err, lastro.ENotFound) {
		t.Errorf("Get of a deleted one = %v", err)
	}
}

// TestBad: what cannot be a webhook, with the field in the message.
func TestBad(t *testing.T) {
	s := open(t, lastro.SystemClock{})
	good := webhook.Webhook{Name: "n", URL: "https://example.com/x", Events: []webhook.Event{webhook.ModelCreated}}
	for field, change := range map[string]func(*webhook.Webhook){
		"name":        func(w *webhook.Webhook) { w.Name = "" },
		"name is":     func(w *webhook.Webhook) { w.Name = "-x" },
		"1 to 63":     func(w *webhook.Webhook) { w.Name = strings.Repeat("n", 64) },
		"scheme":      func(w *webhook.Webhook) { w.URL = "file:///etc/passwd" },
		"not a":       func(w *webhook.Webhook) { w.URL = "http://169.254.169.254/latest" },
		"user name":   func(w *webhook.Webhook) { w.URL = "https://a:b@example.com/" },
		"empty":       func(w *webhook.Webhook) { w.Events = nil },
		"never":       func(w *webhook.Webhook) { w.Events = []webhook.Event{"budget_policy.exceeded"} },
		"status":      func(w *webhook.Webhook) { w.Status = "LOUD" },
		"description": func(w *webhook.Webhook) { w.Description = strings.Repeat("d", 3000) },
	} {
		w := good
		change(&w)
		_, err := s.hooks.Create(t.Context(), ana, w, "")
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%+v: %v, want an error that names %q", w, err, field)
		}
	}
	if _, err := s.hooks.Create(t.Context(), ana, good, strings.Repeat("s", 2000)); !lastro.Is(err, lastro.EInvalid) {
		t.Errorf("a secret of 2,000 bytes: %v", err)
	}
	if list, err := s.hooks.List(t.Context(), "", 10); err != nil || len(list) != 0 {
		t.Errorf("after refusals there are %d webhooks, %v", len(list), err)
	}
}

// TestTry sends an example, and tells the status and nothing of the answer.
func TestTry(t *testing.T) {
	s := open(t, lastro.SystemClock{})
	r := receive(t, func(n int) int { return []int{204, 500}[min(n-1, 1)] })
	w := s.create(t, r.URL, "k3y", webhook.Events...)
	for _, e := range webhook.Events {
		trial, err := s.hooks.Try(t.Context(), w.ID, e)
		if err != nil {
			t.Fatal(err)
		}
		list := r.wait(t, 1)
		if last := list[len(list)-1]; last.event != string(e) || last.data["name"] == "" || last.signature == "" {
			t.Errorf("example of %s: %+v, trial %+v", e, last, trial)
		}
	}
	if trial, err := s.hooks.Try(t.Context(), w.ID, ""); err != nil || trial.OK || trial.Status != 500 {
		t.Errorf("a receiver that fails: %+v, %v", trial, err)
	}
	r.Close()
	if trial, err := s.hooks.Try(t.Context(), w.ID, ""); err != nil || trial.OK || trial.Why == "" {
		t.Errorf("a receiver that is away: %+v, %v", trial, err)
	}
}

func second[A any](_ A, err error) error { return err }
