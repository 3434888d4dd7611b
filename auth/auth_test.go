// SPDX-License-Identifier: Apache-2.0

package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"lastro"
	"lastro/auth"
	"lastro/store"
	"lastro/store/storetest"
)

// clock is a clock that a test moves.
type clock struct{ at time.Time }

func (c *clock) Now() time.Time { return c.at }

func open(t *testing.T) (*auth.Service, *clock, *store.DB) {
	t.Helper()
	db := storetest.Open(t)
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	return auth.NewService(store.NewAuth(db), c), c, db
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

const by = lastro.Actor("system:test")

func userToken(t *testing.T, s *auth.Service, name string, role auth.Role, only []auth.Permission) (string, auth.Token) {
	t.Helper()
	must(s.CreateUser(t.Context(), by, name, role))(t)
	secret, token, err := s.CreateToken(t.Context(), by, name, time.Hour, only)
	if err != nil {
		t.Fatal(err)
	}
	return secret, token
}

func TestRoles(t *testing.T) {
	for _, r := range auth.Roles {
		id := auth.Identity{Permissions: r.Permissions()}
		for p, want := range map[auth.Permission]bool{
			auth.ReadRuns: true, auth.WriteRuns: r == auth.Author || r == auth.Admin, auth.WriteRegistry: r == auth.Author || r == auth.Admin,
			auth.Approve: r == auth.Approver || r == auth.Admin, auth.Administer: r == auth.Admin, auth.WriteSecrets: r == auth.Admin,
		} {
			if id.May(p) != want {
				t.Errorf("%s may %s = %v, want %v", r, p, !want, want)
			}
		}
	}
}

func TestTokens(t *testing.T) {
	s, c, db := open(t)
	ctx := t.Context()
	secret, token := userToken(t, s, "ana", auth.Author, nil)
	id := must(s.Authenticate(ctx, secret))(t)
	if id.Actor != "user:ana" || !id.May(auth.WriteRuns) || id.May(auth.Approve) || id.Run != "" {
		t.Errorf("Authenticate = %+v", id)
	}
	var kept int
	if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM tokens WHERE hash = ? OR id = ?`, secret, secret).Scan(&kept); err != nil || kept != 0 {
		t.Errorf("the secret itself is in the database (%d, %v)", kept, err)
	}

	denied := func(what, secret string) {
		t.Helper()
		if _, err := s.Authenticate(ctx, secret); !lastro.Is(err, lastro.EDenied) {
			t.Errorf("%s: Authenticate gave %v, want denied", what, err)
		}
	}
	denied("nothing", "")
	denied("a changed secret", secret+"x")
	denied("the hash instead of the secret", token.Hash)
	denied("a very long secret", "lastro_"+strings.Repeat("a", 1_000_000))

	must(s.ChangeUser(ctx, by, "ana", auth.Viewer, false))(t)
	if id := must(s.Authenticate(ctx, secret))(t); id.May(auth.WriteRuns) {
		t.Error("a token kept a permission that its user lost")
	}
	must(s.ChangeUser(ctx, by, "ana", auth.Admin, true))(t)
	denied("a disabled user", secret)
	must(s.ChangeUser(ctx, by, "ana", auth.Admin, false))(t)

	if err := s.RevokeToken(ctx, by, token.ID); err != nil {
		t.Fatal(err)
	}
	denied("a revoked token", secret)

	narrow, _ := userToken(t, s, "bob", auth.Admin, []auth.Permission{auth.ReadRuns})
	if id := must(s.Authenticate(ctx, narrow))(t); !id.May(auth.ReadRuns) || id.May(auth.Administer) {
		t.Errorf("a narrowed token may %v", id.Permissions)
	}
	c.at = c.at.Add(time.Hour)
	denied("an expired token", narrow)

	for what, err := range map[string]error{
		"a bad name":            second(s.CreateUser(ctx, by, "Ana Maria", auth.Viewer)),
		"a bad role":            second(s.CreateUser(ctx, by, "eve", "aprover")),
		"a lifetime of forever": third(s.CreateToken(ctx, by, "ana", 10*auth.MaxTokenLifetime, nil)),
	} {
		if !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("%s: %v, want invalid", what, err)
		}
	}
	if _, err := s.CreateUser(ctx, by, "ana", auth.Viewer); !lastro.Is(err, lastro.EConflict) {
		t.Errorf("a taken name: %v, want conflict", err)
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func TestStepToken(t *testing.T) {
	s, c, _ := open(t)
	ctx := t.Context()
	ended := map[string]bool{}
	s.AdmitSteps(auth.Steps{Key: []byte(strings.Repeat("k", 32)), Running: func(_ context.Context, id auth.StepID) (bool, error) {
		return id.Attempt == map[string]int{"3": 2, "5": 1}[id.Cell] && !ended[id.Run+"/"+id.Step+"."+id.Cell], nil
	}})
	one := must(s.IssueStepToken(auth.StepID{Run: "142", Step: "train", Cell: "3", Attempt: 2}, time.Minute))(t)
	two := must(s.IssueStepToken(auth.StepID{Run: "142", Step: "train", Cell: "5", Attempt: 1}, time.Minute))(t)
	before := must(s.IssueStepToken(auth.StepID{Run: "142", Step: "train", Cell: "3", Attempt: 1}, time.Minute))(t)
	if _, err := s.Authenticate(ctx, before); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("the token of the attempt before: %v, want denied", err)
	}
	id := must(s.Authenticate(ctx, one))(t)
	if id.Actor != "step:142/train" || id.Run != "142" || id.Step != "train" || id.Cell != "3" || id.Attempt != 2 ||
		!id.May(auth.WriteTracking) || id.May(auth.WriteRuns) || id.May(auth.Deploy) || id.May(auth.Approve) {
		t.Errorf("a step's identity = %+v", id)
	}
	claim, signature, _ := strings.Cut(one, ".")
	other, _, _ := strings.Cut(two, ".")
	for _, forged := range []string{claim, claim + ".", other + "." + signature, one[:len(one)-2], one + "A", strings.Replace(one, "_step_", "_", 1)} {
		if _, err := s.Authenticate(ctx, forged); !lastro.Is(err, lastro.EDenied) {
			t.Errorf("a forged token %q: %v, want denied", forged, err)
		}
	}
	ended["142/train.3"] = true
	if _, err := s.Authenticate(ctx, one); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("the token of an ended step: %v, want denied", err)
	}
	must(s.Authenticate(ctx, two))(t)
	c.at = c.at.Add(2 * time.Minute)
	if _, err := s.Authenticate(ctx, two); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("a step's token after its time: %v, want denied", err)
	}
}

func TestLogin(t *testing.T) {
	s, c, _ := open(t)
	ctx := t.Context()
	must(s.CreateUser(ctx, by, "ana", auth.Approver))(t)
	code := must(s.CreateLogin(ctx, by, "ana"))(t)
	if _, err := s.Authenticate(ctx, code); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("a login code as a token: %v, want denied", err)
	}
	session, expires, err := s.RedeemLogin(ctx, code)
	if err != nil || !expires.After(c.at) {
		t.Fatalf("RedeemLogin = %v until %v", err, expires)
	}
	if id := must(s.Authenticate(ctx, session))(t); id.Actor != "user:ana" || !id.May(auth.Approve) {
		t.Errorf("a session's identity = %+v", id)
	}
	if _, _, err := s.RedeemLogin(ctx, code); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("a code used twice: %v, want denied", err)
	}
	if err := s.EndSession(ctx, session); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(ctx, session); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("a session after logout: %v, want denied", err)
	}
	late := must(s.CreateLogin(ctx, by, "ana"))(t)
	c.at = c.at.Add(time.Hour)
	if _, _, err := s.RedeemLogin(ctx, late); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("a code after its time: %v, want denied", err)
	}
}

// TestHandlerRefusesTable holds that a server with a hole in its route table does not start.
func TestHandlerRefusesTable(t *testing.T) {
	s, _, _ := open(t)
	serve := func(http.ResponseWriter, *http.Request) {}
	for name, tc := range map[string]struct {
		routes []auth.Route
		o      auth.Options
		want   string
	}{
		"no permission":      {[]auth.Route{{Pattern: "GET /a", Handler: serve}}, auth.Options{Service: s}, "declares no permission"},
		"unknown permission": {[]auth.Route{{Pattern: "GET /a", Permission: "rnus:read", Handler: serve}}, auth.Options{Service: s}, "no permission"},
		"no handler":         {[]auth.Route{{Pattern: "GET /a", Permission: auth.Public}}, auth.Options{Service: s}, "no handler"},
		"twice":              {[]auth.Route{{Pattern: "GET /a", Permission: auth.Public, Handler: serve}, {Pattern: "GET /a", Permission: auth.Public, Handler: serve}}, auth.Options{Service: s}, "conflicts"},
		"bad pattern":        {[]auth.Route{{Pattern: "GET a{", Permission: auth.Public, Handler: serve}}, auth.Options{Service: s}, "GET a{"},
		"none, not loopback": {nil, auth.Options{None: true}, "only when nobody but this machine"},
		"no service":         {nil, auth.Options{}, "no service"},
	} {
		if _, err := auth.Handler(tc.routes, tc.o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: Handler gave %v, want an error with %q", name, err, tc.want)
		}
	}
}

func TestHandler(t *testing.T) {
	s, _, _ := open(t)
	viewer, _ := userToken(t, s, "vic", auth.Viewer, nil)
	author, _ := userToken(t, s, "ana", auth.Author, nil)
	who := func(w http.ResponseWriter, r *http.Request) { w.Write([]byte(auth.IdentityOf(r.Context()).Actor)) }
	routes := []auth.Route{
		{Pattern: "GET /open", Permission: auth.Public, Handler: who},
		{Pattern: "GET /runs", Permission: auth.ReadRuns, Handler: who},
		{Pattern: "POST /runs", Permission: auth.WriteRuns, Handler: who},
		{Pattern: "PUT /upload", Permission: auth.WriteRuns, Handler: who, AnyContentType: true},
	}
	locked := must(auth.Handler(routes, auth.Options{Service: s, Hosts: []string{"lastro.example"}}))(t)
	free := must(auth.Handler(routes, auth.Options{Service: s, None: true, Loopback: true}))(t)
	const json = "Content-Type:application/json"
	for name, tc := range map[string]struct {
		h       http.Handler
		request string // method and path
		header  []string
		status  int
		body    string // if not ""
	}{
		"public without a token":   {locked, "GET /open", nil, 200, ""},
		"public with a bad token":  {locked, "GET /open", []string{"Authorization:Bearer lastro_x"}, 200, ""},
		"no token":                 {locked, "GET /runs", nil, 401, ""},
		"bad token":                {locked, "GET /runs", []string{"Authorization:Bearer lastro_x"}, 401, ""},
		"default credentials":      {locked, "GET /runs", []string{"Authorization:Basic YWRtaW46cGFzc3dvcmQxMjM0"}, 401, ""}, // admin:password1234, CVE-2026-2635
		"bearer":                   {locked, "GET /runs", []string{"Authorization:Bearer " + viewer}, 200, "user:vic"},
		"cookie":                   {locked, "GET /runs", []string{"Cookie:lastro_session=" + viewer}, 200, "user:vic"},
		"too low a role":           {locked, "POST /runs", []string{"Authorization:Bearer " + viewer, json}, 403, ""},
		"role":                     {locked, "POST /runs", []string{"Authorization:Bearer " + author, json}, 200, "user:ana"},
		"simple request of a page": {locked, "POST /runs", []string{"Authorization:Bearer " + author, "Content-Type:text/plain"}, 415, ""},
		"no content type":          {locked, "POST /runs", []string{"Authorization:Bearer " + author}, 415, ""},
		"upload of anything":       {locked, "PUT /upload", []string{"Authorization:Bearer " + author, "Content-Type:image/png"}, 200, ""},
		"page of another site":     {locked, "POST /runs", []string{"Cookie:lastro_session=" + author, json, "Sec-Fetch-Site:cross-site"}, 403, ""},
		"another origin":           {locked, "POST /runs", []string{"Cookie:lastro_session=" + author, json, "Origin:http://evil.example"}, 403, ""},
		"our origin":               {locked, "POST /runs", []string{"Cookie:lastro_session=" + author, json, "Origin:http://127.0.0.1:80", "Host:127.0.0.1:80"}, 200, ""},
		"rebound name":             {locked, "GET /open", []string{"Host:evil.example"}, 403, ""},
		"our name":                 {locked, "GET /open", []string{"Host:Lastro.example:8080"}, 200, ""},
		"loopback":                 {locked, "GET /open", []string{"Host:[::1]:8080"}, 200, ""},
		"dots":                     {locked, "GET /open/..%2fruns", nil, 400, ""},
		"none":                     {free, "POST /runs", []string{json}, 200, "user:local"},
		"none, rebound":            {free, "GET /runs", []string{"Host:evil.example"}, 403, ""},
		"none, another origin":     {free, "POST /runs", []string{json, "Origin:http://evil.example"}, 403, ""},
		"none, a token counts":     {free, "POST /runs", []string{json, "Authorization:Bearer " + viewer}, 403, ""},
		"none, an old cookie":      {free, "GET /runs", []string{"Cookie:lastro_session=lastro_old"}, 200, "user:local"},
	} {
		t.Run(name, func(t *testing.T) {
			method, path, _ := strings.Cut(tc.request, " ")
			r := httptest.NewRequest(method, path, strings.NewReader("{}"))
			r.Host = "localhost:8080"
			for _, h := range tc.header {
				k, v, _ := strings.Cut(h, ":")
				if k == "Host" {
					r.Host = v
				}
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			tc.h.ServeHTTP(w, r)
			if w.Code != tc.status || tc.body != "" && w.Body.String() != tc.body {
				t.Errorf("%s = %d %q, want %d %q", tc.request, w.Code, w.Body, tc.status, tc.body)
			}
			for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "frame-ancestors 'none'"} {
				if got := w.Header().Get(header); !strings.Contains(got, want) {
					t.Errorf("%s = %q, want %q in it", header, got, want)
				}
			}
		})
	}
}

func TestLoginRoutes(t *testing.T) {
	s, _, _ := open(t)
	secret, _ := userToken(t, s, "ana", auth.Author, nil)
	page := func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("form")) }
	denied := func(w http.ResponseWriter, _ *http.Request, status int, err error) {
		http.Error(w, err.Error(), status)
	}
	h := must(auth.Handler(auth.LoginRoutes(s, page, denied), auth.Options{Service: s}))(t)
	do := func(method, path string, form url.Values, cookies ...*http.Cookie) *http.Response {
		r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
		r.Host = "localhost"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range cookies {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	code := must(s.CreateLogin(t.Context(), by, "ana"))(t)
	first := do("GET", "/login?code="+url.QueryEscape(code), nil)
	if len(first.Cookies()) != 1 || first.StatusCode != http.StatusSeeOther {
		t.Fatalf("the link = %d with cookies %v", first.StatusCode, first.Cookies())
	}
	c := first.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Name != auth.CookieName {
		t.Errorf("cookie %+v, want HttpOnly and SameSite=Strict", c)
	}
	if again := do("GET", "/login?code="+url.QueryEscape(code), nil); again.StatusCode != 401 || len(again.Cookies()) != 0 {
		t.Errorf("the link again = %d, want 401", again.StatusCode)
	}
	if by := do("POST", "/session", url.Values{"token": {secret}}); by.StatusCode != http.StatusSeeOther || len(by.Cookies()) != 1 {
		t.Errorf("a token in the form = %d", by.StatusCode)
	}
	if bad := do("POST", "/session", url.Values{"token": {"lastro_no"}}); bad.StatusCode != 401 {
		t.Errorf("a bad token in the form = %d, want 401", bad.StatusCode)
	}
	do("POST", "/logout", nil, c)
	if _, err := s.Authenticate(t.Context(), c.Value); !lastro.Is(err, lastro.EDenied) {
		t.Errorf("the session after logout: %v, want denied", err)
	}
}
