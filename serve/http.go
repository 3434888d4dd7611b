// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lastro"
)

// routes is the table of the inference port. Everything in it is open to who
// reaches the port: by default that is this machine.
func (g *Gateway) routes() *http.ServeMux {
	mux := http.NewServeMux()
	oip := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, g.guarded(h, writeOIPError))
	}
	oip("GET /v2", g.serverMetadata)
	oip("GET /v2/{$}", g.serverMetadata)
	oip("GET /v2/health/live", g.live)
	oip("GET /v2/health/ready", g.ready)
	for _, prefix := range []string{"/v2/models/{name}", "/v2/models/{name}/versions/{version}"} {
		oip("GET "+prefix, g.modelMetadata)
		oip("GET "+prefix+"/ready", g.modelReady)
		oip("POST "+prefix+"/infer", g.infer)
	}
	mlflow := func(pattern string, h func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, g.guarded(h, writeMLflowError))
	}
	mlflow("POST /invocations", g.invocations)
	mlflow("POST /endpoints/{name}/invocations", g.invocations)
	mlflow("GET /ping", g.ready)
	mlflow("GET /health", g.ready)
	mlflow("GET /version", g.version)
	return mux
}

// guarded bounds the requests under way, refuses pages of other origins, and
// encodes errors in the protocol's shape.
func (g *Gateway) guarded(h func(http.ResponseWriter, *http.Request) error, encode func(http.ResponseWriter, int, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		err := sameOrigin(r)
		if err == nil {
			select {
			case g.flight <- struct{}{}:
				defer func() { <-g.flight }()
				r.Body = http.MaxBytesReader(w, r.Body, g.opts.MaxBody)
				err = h(w, r)
			default:
				err = fail(http.StatusServiceUnavailable, "%d requests are under way, which is the limit; try again", maxInFlight)
			}
		}
		if err == nil {
			return
		}
		status := statusOf(err)
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		if status >= 500 {
			g.opts.Log.Warn("request failed", "path", r.URL.Path, "status", status, "err", err)
		}
		encode(w, status, explain(err))
	}
}

// explain is an error in one line: what, and what to do.
func explain(err error) string {
	var e *lastro.Error
	if errors.As(err, &e) && e.Hint != "" {
		return e.Error() + " (" + e.Hint + ")"
	}
	return err.Error()
}

// sameOrigin refuses requests that a page of another site makes, and, on
// loopback, names that only look local (DNS rebinding).
func sameOrigin(r *http.Request) error {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" && site != "none" {
		return fail(http.StatusForbidden, "a page of another site may not ask this endpoint")
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return fail(http.StatusForbidden, "a page of another site may not ask this endpoint")
		}
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if tcp, ok := local.(*net.TCPAddr); ok && tcp.IP.IsLoopback() && !loopbackName(r.Host) {
		return fail(http.StatusForbidden, "this endpoint is reached as localhost, not as %q", r.Host)
	}
	return nil
}

func loopbackName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback() || host == ""
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be encoded"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

// readJSON reads a whole body as one JSON object. A missing content type is JSON.
func readJSON(r *http.Request, v any) error {
	if ct := r.Header.Get("Content-Type"); ct != "" {
		kind, _, err := mime.ParseMediaType(ct)
		if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
			return fail(http.StatusUnsupportedMediaType, "content type %q is not known here; send application/json", ct)
		}
	}
	if r.Header.Get("Inference-Header-Content-Length") != "" {
		return lastro.Errorf(lastro.EInvalid, "binary tensors are not known here; send the data as JSON")
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return fail(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes; send fewer rows at once", tooLarge.Limit)
	}
	if err != nil {
		return fail(http.StatusBadRequest, "the body could not be read: %v", err)
	}
	if err := decode(body, v); err != nil {
		return lastro.Errorf(lastro.EInvalid, "the body is no JSON of the expected shape: %v", err)
	}
	return nil
}

// decode keeps numbers as they were written and refuses text after the value.
func decode(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after the JSON value")
	}
	return nil
}

// newRequest takes what the headers say.
func newRequest(r *http.Request, id string) (*request, error) {
	q := &request{id: id, version: r.PathValue("version")}
	if q.id == "" {
		q.id = r.Header.Get("X-Request-Id")
	}
	if q.id == "" {
		var random [8]byte
		rand.Read(random[:])
		q.id = hex.EncodeToString(random[:])
	}
	if len(q.id) > 200 {
		return nil, lastro.Errorf(lastro.EInvalid, "the request id is longer than 200 bytes")
	}
	if h := r.Header.Get("X-Lastro-Event-Time"); h != "" {
		t, ok := parseTime(h)
		if !ok {
			t, ok = parseTime(json.Number(h))
		}
		if !ok {
			return nil, lastro.Errorf(lastro.EInvalid, "X-Lastro-Event-Time: %q is no time; send RFC 3339", h)
		}
		q.eventTime = t
	}
	return q, nil
}

// endpointOf finds the endpoint that a request means; without a name it is the only one.
func (g *Gateway) endpointOf(name string) (*endpoint, error) {
	names := *g.byName.Load()
	if ep, ok := names[name]; ok {
		return ep, nil
	}
	var known []string
	var only *endpoint
	for n, ep := range names {
		known = append(known, n)
		if only != nil && only != ep {
			only = nil
			if name == "" {
				return nil, lastro.Errorf(lastro.ENotFound, "several endpoints are served here; POST /endpoints/NAME/invocations")
			}
		}
		only = ep
	}
	switch {
	case len(known) == 0:
		return nil, fail(http.StatusServiceUnavailable, "nothing is deployed here yet")
	case name == "":
		return only, nil
	}
	e := lastro.Errorf(lastro.ENotFound, "model %q is not served here", name)
	if near := lastro.Nearest(name, known); near != "" {
		e.Hint = fmt.Sprintf("did you mean %s?", near)
	}
	return nil, e
}

func sayWho(w http.ResponseWriter, q *request, r reply) {
	w.Header().Set("X-Request-Id", q.id)
	w.Header().Set("X-Lastro-Revision", r.revision.Name)
	w.Header().Set("X-Lastro-Role", r.role)
	if r.failed != "" {
		w.Header().Set("X-Lastro-Failed", r.failed)
	}
}

func (g *Gateway) live(w http.ResponseWriter, r *http.Request) error {
	writeJSON(w, http.StatusOK, map[string]bool{"live": true})
	return nil
}

// ready is true when every endpoint has a champion that answers.
func (g *Gateway) ready(w http.ResponseWriter, r *http.Request) error {
	names := *g.byName.Load()
	if len(names) == 0 {
		return fail(http.StatusServiceUnavailable, "nothing is deployed here yet")
	}
	for _, ep := range names {
		if t := ep.table.Load(); t.champion == nil {
			return t.unavailable()
		}
	}
	writeJSON(w, http.StatusOK, map[string]bool{"ready": true})
	return nil
}

func (g *Gateway) version(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err := io.WriteString(w, g.productVersion())
	return err
}

func (g *Gateway) productVersion() string {
	if g.opts.Version == "" {
		return "dev"
	}
	return g.opts.Version
}

// readTimeout bounds how long a client may take to send its request.
const readTimeout = time.Minute
