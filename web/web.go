// SPDX-License-Identifier: Apache-2.0

// Package web draws the pages: server-rendered HTML that works without
// JavaScript, in English and Brazilian Portuguese, light and dark. A page is
// page_x.go (its data) and templates/x.html; pictures are SVG drawn here. It
// decides nothing: what is shown comes from the capabilities.
package web

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"lastro"
	"lastro/auth"
	"lastro/data"
	"lastro/deploy"
	"lastro/gate"
	"lastro/lineage"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/registry"
	"lastro/track"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Deps is what the pages show.
type Deps struct {
	Version  string
	Project  string // "" for a server without one
	Runs     pipeline.Store
	Registry *registry.Service
	Gates    *gate.Service
	Deploys  *deploy.Service
	Monitors *monitor.Service
	Data     data.Store
	Why      func(ctx context.Context, ref string) (lineage.Why, error)
	// Watched lists what lastro.yaml asks to be watched; nil for a server without a project.
	Watched func() []monitor.Spec
	// OpenLog opens what an attempt printed; of a cached step, what it printed
	// when it ran. ENotFound when there is nothing.
	OpenLog func(ctx context.Context, s pipeline.StepRun) (io.ReadSeekCloser, error)
	// Files holds what runs read and made; nil = nothing can be downloaded.
	Files Files
	// Cancel stops a run, Retry lets one that has ended try again what did not end
	// well. Where one is nil its button is missing.
	Cancel func(ctx context.Context, run int64, by lastro.Actor) error
	Retry  func(ctx context.Context, run int64, by lastro.Actor) error
	// Track is what training code reported. RunQuery reads a filter and orders of
	// tracked runs; ExportRuns writes a table of them, nil = none can be had; CommitOf
	// is the commit of the run that a step belonged to, "" when it is not known.
	Track      *track.Service
	RunQuery   func(filter string, orders []string) (track.Query, error)
	ExportRuns func(ctx context.Context, q track.Query, w io.Writer) error
	CommitOf   func(ctx context.Context, o track.Origin) (string, error)
	Log        *slog.Logger
}

// Pages serves them. Safe for concurrent use.
type Pages struct {
	Deps
	templates map[string]*template.Template // by page, each with the frame
	now       func() time.Time
	nonce     func() string
	packed    sync.Map // static files, gzipped, by path
}

// New parses the templates; a mistake in one is a mistake of the build, so it panics.
func New(d Deps) *Pages {
	p := &Pages{Deps: d, templates: map[string]*template.Template{}, now: time.Now, nonce: rand.Text}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		base := path.Base(name)
		if base == "frame.html" {
			continue
		}
		p.templates[base] = template.Must(template.New(base).Funcs(functions).ParseFS(templateFiles, "templates/frame.html", name))
	}
	return p
}

// page is what every template gets.
type page struct {
	Title   string // of the window
	Nav     string // which entry of the main navigation is current
	Lang    Lang
	Project string
	Version string
	Path    string // of the request
	query   url.Values
	Refresh int      // seconds after which the page asks again; 0 = never
	Scripts []string // addresses of the scripts that the page can do without
	Styles  []string // and of style sheets beside the own one
	Nonce   string   // that lets these scripts run
	Body    any
}

// T translates; see lang.go.
func (p page) T(key string, args ...any) string { return p.Lang.T(key, args...) }

// kept are the values of a query that say what a page shows, and no secret.
var kept = []string{"step", "cell", "attempt", "from", "rows", "before", "follow", "find", "filter", "order", "after", "col", "run", "all", "x", "y", "file"}

// In is the address of this page in another language.
func (p page) In(lang string) string {
	q := url.Values{}
	for _, key := range kept {
		if v := p.query[key]; len(v) > 0 && v[0] != "" {
			q[key] = v
		}
	}
	return with(&url.URL{Path: p.Path, RawQuery: q.Encode()}, "lang", lang)
}

// Said marks words from the record, which are always English, for readers of
// another language.
func (p page) Said(text string) template.HTML {
	escaped := template.HTMLEscapeString(text)
	if text == "" || p.Lang == English {
		return template.HTML(escaped)
	}
	return template.HTML(`<span lang="en">` + escaped + `</span>`)
}

// Sentence is Said with a full stop.
func (p page) Sentence(text string) template.HTML {
	if text = strings.TrimSpace(text); text != "" && !strings.ContainsAny(text[len(text)-1:], ".!?") {
		text += "."
	}
	return p.Said(text)
}

// show builds one page from the request: the template's name, the page, an error.
type show func(r *http.Request, l Lang) (name string, pg page, err error)

// handle renders what f returns; an error becomes the error page.
func (p *Pages) handle(f show) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l := languageOf(w, r)
		name, pg, err := f(r, l)
		if err != nil {
			p.fail(w, r, err)
			return
		}
		p.render(w, r, http.StatusOK, name, pg, l)
	}
}

func (p *Pages) render(w http.ResponseWriter, r *http.Request, status int, name string, pg page, l Lang) {
	pg.Lang, pg.Project, pg.Version, pg.Path, pg.query = l, p.Project, p.Version, r.URL.Path, r.URL.Query()
	if len(pg.Scripts) > 0 {
		pg.Nonce = p.nonce()
	}
	if slices.Contains(pg.Scripts, plotLibrary) {
		pg.Styles = []string{plotStylesheet}
	}
	var buf bytes.Buffer
	if err := p.templates[name].ExecuteTemplate(&buf, "frame", pg); err != nil {
		p.Log.ErrorContext(r.Context(), "page failed", "page", name, "err", err)
		http.Error(w, "this page could not be drawn", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if len(pg.Scripts) > 0 {
		allowScripts(w.Header(), pg.Nonce)
	}
	w.WriteHeader(status)
	_, _ = buf.WriteTo(w)
}

// allowScripts lets the scripts of one answer run, and no others: the policy of
// the door allows none.
func allowScripts(head http.Header, nonce string) {
	policy := "script-src 'nonce-" + nonce + "'"
	if door := head.Get("Content-Security-Policy"); door != "" {
		policy = door + "; " + policy
	}
	head.Set("Content-Security-Policy", policy)
}

// failure is the body of the error page.
type failure struct{ What, Hint string }

// fail is the one place that maps a code to a status for pages.
func (p *Pages) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	switch lastro.CodeOf(err) {
	case lastro.ENotFound:
		status = http.StatusNotFound
	case lastro.EInvalid:
		status = http.StatusBadRequest
	case lastro.EDenied:
		status = http.StatusForbidden
	case lastro.EConflict:
		status = http.StatusConflict
	}
	p.Refuse(w, r, status, err)
}

// Refuse answers what the door turned away, and every error of a page. The
// JSON API gets a problem document (RFC 9457).
func (p *Pages) Refuse(w http.ResponseWriter, r *http.Request, status int, err error) {
	var e *lastro.Error
	f := failure{What: err.Error()}
	if errors.As(err, &e) {
		f = failure{What: e.Msg, Hint: e.Hint}
	}
	if status >= 500 {
		p.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "err", err)
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		problem := map[string]any{"type": "about:blank", "title": f.What, "status": status, "code": lastro.CodeOf(err), "hint": f.Hint}
		if err := json.NewEncoder(w).Encode(problem); err != nil {
			p.Log.DebugContext(r.Context(), "answer was not read", "path", r.URL.Path, "err", err)
		}
		return
	}
	l := languageOf(w, r)
	if status == http.StatusUnauthorized {
		p.render(w, r, status, "login.html", page{Title: l.T("login.title"), Body: f}, l)
		return
	}
	p.render(w, r, status, "error.html", page{Title: l.T("error.title"), Body: f}, l)
}

// Login is the page with the form for a token.
func (p *Pages) Login(w http.ResponseWriter, r *http.Request) {
	l := languageOf(w, r)
	p.render(w, r, http.StatusOK, "login.html", page{Title: l.T("login.title"), Body: failure{}}, l)
}

// Routes is the table of pages, each with its permission.
func (p *Pages) Routes() []auth.Route {
	static, err := fs.Sub(staticFiles, "static")
	if err != nil {
		panic(err)
	}
	routes := []auth.Route{
		{Pattern: "GET /static/", Permission: auth.Public, Handler: func(w http.ResponseWriter, r *http.Request) {
			p.static(w, r, static)
		}},
		{Pattern: "GET /{$}", Permission: auth.ReadRuns, Handler: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/runs", http.StatusSeeOther)
		}},
	}
	return append(routes, p.pages()...)
}
