// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lastro"
)

// Login is what a server asks for. Empty means nothing is sent.
type Login struct{ Token, User, Password string }

// LoginFrom reads the environment by the names that MLflow's own client uses.
func LoginFrom(env func(string) string) Login {
	return Login{env("MLFLOW_TRACKING_TOKEN"), env("MLFLOW_TRACKING_USERNAME"), env("MLFLOW_TRACKING_PASSWORD")}
}

// Server is a running server that speaks MLflow's REST protocol.
type Server struct {
	base    string // without a slash at its end
	http    *http.Client
	login   Login
	version string
	major   int
	lastro  bool
	// measured tells, by run, which points are of a logged model.
	measured map[string]map[pointKey]measured
}

// IsAddress reports whether a source is named by the address of a server.
func IsAddress(source string) bool {
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
}

// OpenServer finds out what answers at address.
func OpenServer(ctx context.Context, address string, login Login) (*Server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0764", Msg: "the address of the server cannot be read", Hint: "write it as http://host:5000"}
	}
	if u.User != nil {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0764", Msg: "the address has a user or password in it, which everybody on this machine could see",
			Hint: "export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN), and leave them out of the address"}
	}
	u.RawQuery, u.Fragment = "", ""
	s := &Server{base: strings.TrimRight(u.String(), "/"), login: login, http: &http.Client{Timeout: 0}}
	raw, err := s.text(ctx, "/version")
	if err != nil {
		return nil, err
	}
	s.version = strings.TrimSpace(raw)
	if s.major, err = strconv.Atoi(strings.SplitN(s.version, ".", 2)[0]); err != nil || len(s.version) > 40 {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0764", Msg: fmt.Sprintf("what answers at %s is not an MLflow server", s.base), Hint: "give the address that MLFLOW_TRACKING_URI has"}
	}
	if s.major < 2 {
		return nil, &lastro.Error{Code: lastro.EUnsupported, ID: "L0762", Msg: fmt.Sprintf("the server at %s is MLflow %s, older than 2.0", s.base, s.version),
			Hint: "bring the server to MLflow 2.22 or newer first (pip install, mlflow db upgrade), then import"}
	}
	var info struct {
		Type    string `json:"store_type"`
		Version string `json:"version"`
	}
	if s.get(ctx, "/api/3.0/mlflow/server-info", nil, &info) == nil && info.Type == "lastro" {
		s.lastro = true
		s.version = info.Version
	}
	return s, nil
}

// About implements Source.
func (s *Server) About() About {
	a := About{Where: s.base, Software: "MLflow " + s.version}
	if s.lastro {
		a.Software = "lastro " + s.version
	}
	return a
}

// Close implements Source.
func (s *Server) Close() error { s.http.CloseIdleConnections(); return nil }

// get reads a route; post reads one whose question is a body.
func (s *Server) get(ctx context.Context, path string, q url.Values, out any) error {
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return s.json(ctx, http.MethodGet, path, nil, out)
}

func (s *Server) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return s.json(ctx, http.MethodPost, path, body, out)
}

// maxAnswer bounds an answer in memory.
const maxAnswer = 1 << 30

func (s *Server) json(ctx context.Context, method, path string, body []byte, out any) error {
	raw, err := s.patiently(ctx, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return &lastro.Error{Code: lastro.EServer, ID: "L0765", Msg: fmt.Sprintf("the server's answer to %s cannot be read", name(path)), Err: err,
			Hint: "is the address that of an MLflow server? a proxy before it may answer instead"}
	}
	return nil
}

func (s *Server) text(ctx context.Context, path string) (string, error) {
	raw, err := s.patiently(ctx, http.MethodGet, path, nil)
	return string(raw), err
}

// name is a route without what was asked.
func name(path string) string { p, _, _ := strings.Cut(path, "?"); return p }

// patiently asks again when the server is busy or lost: what is asked for
// changes nothing there.
func (s *Server) patiently(ctx context.Context, method, path string, body []byte) (raw []byte, err error) {
	for try := range 6 {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(200 * time.Millisecond << try):
			}
		}
		var res *http.Response
		if res, err = s.ask(ctx, method, path, body); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			err = s.away(err)
			if try == 2 && path == "/version" {
				return nil, err // nobody is there
			}
			continue
		}
		raw, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		res.Body.Close()
		switch {
		case err != nil:
			err = s.away(err)
		case res.StatusCode < 400:
			return raw, nil
		default:
			if err = s.refused(path, res.StatusCode, raw); res.StatusCode != 429 && res.StatusCode < 500 {
				return nil, err
			}
		}
	}
	return nil, err
}

func (s *Server) ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	switch {
	case s.login.Token != "":
		req.Header.Set("Authorization", "Bearer "+s.login.Token)
	case s.login.User != "":
		req.SetBasicAuth(s.login.User, s.login.Password)
	}
	return s.http.Do(req)
}

func (s *Server) away(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the address, which may carry what was asked for
	}
	return &lastro.Error{Code: lastro.EServer, ID: "L0764", Msg: fmt.Sprintf("the server at %s does not answer", s.base), Hint: "is it running, and is the address right? then import again: it goes on where it was", Err: err}
}

// Refused is what a server answered instead of what was asked for.
type Refused struct {
	Status int
	Code   string // MLflow's, such as RESOURCE_DOES_NOT_EXIST
}

// Error says it.
func (r *Refused) Error() string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", r.Status, r.Code))
}

func (s *Server) refused(path string, status int, raw []byte) error {
	var body struct {
		Code    string `json:"error_code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(raw, &body)
	e := &lastro.Error{Code: lastro.EServer, ID: "L0765", Err: &Refused{status, body.Code},
		Msg: strings.TrimSpace(fmt.Sprintf("the server at %s refuses %s: %.300s", s.base, name(path), body.Message))}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Code, e.Hint = lastro.EDenied, "export MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, of somebody who may read everything there"
	case http.StatusNotFound:
		e.Code = lastro.ENotFound
	}
	return e
}

// isMissing reports whether a server has no such thing, or no such route.
func isMissing(err error) bool {
	var r *Refused
	return errors.As(err, &r) && r.Status == http.StatusNotFound
}

// isNoData reports whether a server has lost the spans of a trace: MLflow's
// answers that as an error of its own.
func isNoData(err error) bool {
	var r *Refused
	return errors.As(err, &r) && (r.Code == "NOT_FOUND" || r.Code == "RESOURCE_DOES_NOT_EXIST" || r.Code == "INVALID_STATE")
}

// pages calls fn for the answers of a search until there is no next page. fn
// returns the token of the next one.
func pages(fn func(token string) (next string, err error)) error {
	token := ""
	for {
		next, err := fn(token)
		if err != nil || next == "" {
			return err
		}
		if next == token {
			return lastro.Errorf(lastro.EServer, "the server gives the same page for ever")
		}
		token = next
	}
}
