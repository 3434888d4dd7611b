// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"

	"lastro"
)

// Options say how the door is kept.
type Options struct {
	Service *Service
	// None lets everybody in as the local user with every permission. It is
	// refused unless Loopback.
	None bool
	// Loopback says that the listener hears this machine only.
	Loopback bool
	// Hosts are the names, without port, under which the server may be called
	// beside localhost and loopback addresses. Any other Host is refused, or a
	// web page could reach the server through a name of its own (DNS rebinding).
	Hosts []string
	// Refuse answers what the door turns away, in the form of the protocol that
	// was called; nil means plain text. status is 400, 401, 403, 413, 415 or 500.
	Refuse func(w http.ResponseWriter, r *http.Request, status int, err error)
	Log    *slog.Logger
}

// MaxBody bounds the body of a request in bytes, except on routes that take uploads.
const MaxBody = 10 << 20

// CookieName is the cookie that holds a browser's session.
const CookieName = "lastro_session"

// LocalUser is who everybody is when authentication is off.
const LocalUser = lastro.Actor("user:local")

// pageCSP is what a page may load; pages that need a nonce overwrite the header.
const pageCSP = "default-src 'none'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Handler builds the server's mux of a route table. It fails on a route
// without a permission, on a permission that does not exist, and on a pattern
// that is malformed or there twice, so that a forgotten check is found at
// start and not by an attacker.
func Handler(routes []Route, o Options) (http.Handler, error) {
	if o.None && !o.Loopback {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0902", Msg: "authentication can be off only when nobody but this machine can connect",
			Hint: "listen on 127.0.0.1, or leave authentication on"}
	}
	if !o.None && o.Service == nil {
		return nil, errors.New("auth: no service")
	}
	if o.Refuse == nil {
		o.Refuse = func(w http.ResponseWriter, _ *http.Request, status int, err error) {
			http.Error(w, err.Error(), status)
		}
	}
	d := &door{Options: o, cross: http.NewCrossOriginProtection()}
	mux := http.NewServeMux()
	for _, r := range routes {
		if err := register(mux, d, r); err != nil {
			return nil, err
		}
	}
	return d.front(mux), nil
}

func register(mux *http.ServeMux, d *door, r Route) (err error) {
	switch {
	case r.Permission == "":
		return fmt.Errorf("route %q declares no permission", r.Pattern)
	case r.Permission != Public && !slices.Contains(Admin.Permissions(), r.Permission):
		return fmt.Errorf("route %q asks for %q, which is no permission", r.Pattern, r.Permission)
	case r.Handler == nil:
		return fmt.Errorf("route %q has no handler", r.Pattern)
	}
	defer func() {
		if p := recover(); p != nil { // ServeMux panics on bad and doubled patterns
			err = fmt.Errorf("route %q: %v", r.Pattern, p)
		}
	}()
	mux.Handle(r.Pattern, d.guard(r))
	return nil
}

type door struct {
	Options
	cross *http.CrossOriginProtection
}

// front is what every request passes, also those that match no route.
func (d *door) front(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", pageCSP)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Opener-Policy", "same-origin")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		if !d.hostAllowed(r.Host) {
			d.Refuse(w, r, http.StatusForbidden, &lastro.Error{Code: lastro.EDenied, ID: "L0903", Msg: fmt.Sprintf("this server is not called %.100q", r.Host),
				Hint: "use its address, or name it when the server is started: lastro up --host NAME"})
			return
		}
		// A path with dots or doubled slashes is refused and not redirected: no client of ours sends one.
		if p := r.URL.Path; p != "/" && path.Clean(p) != strings.TrimSuffix(p, "/") {
			d.Refuse(w, r, http.StatusBadRequest, lastro.Errorf(lastro.EInvalid, "the path of the request is not clean"))
			return
		}
		if err := d.cross.Check(r); err != nil {
			d.Refuse(w, r, http.StatusForbidden, &lastro.Error{Code: lastro.EDenied, ID: "L0904", Msg: "a page of another site may not change anything here", Err: err})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostAllowed compares the name in the Host header, without its port.
func (d *door) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if name == "localhost" || slices.ContainsFunc(d.Hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// guard checks one route: who, whether they may, and what they send.
func (d *door) guard(route Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := d.identify(r)
		if err != nil && route.Permission != Public {
			status := http.StatusUnauthorized
			if !lastro.Is(err, lastro.EDenied) {
				status = http.StatusInternalServerError
			}
			d.refuseIdentity(w, r, status, err)
			return
		}
		if !id.May(route.Permission) {
			d.Refuse(w, r, http.StatusForbidden, &lastro.Error{Code: lastro.EDenied, ID: "L0906",
				Msg:  fmt.Sprintf("%s may not do this: it takes the permission %s", id.Actor, route.Permission),
				Hint: "ask an administrator for a role that has it"})
			return
		}
		if !route.AnyContentType {
			if err := checkContentType(r); err != nil {
				d.Refuse(w, r, http.StatusUnsupportedMediaType, err)
				return
			}
			r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
		}
		route.Handler(w, r.WithContext(WithIdentity(r.Context(), id)))
	})
}

func (d *door) refuseIdentity(w http.ResponseWriter, r *http.Request, status int, err error) {
	if status == http.StatusUnauthorized {
		// Bearer, not Basic: no browser should open its password window.
		w.Header().Set("WWW-Authenticate", `Bearer realm="lastro"`)
	} else if d.Log != nil {
		d.Log.ErrorContext(r.Context(), "authentication failed to work", "err", err)
	}
	d.Refuse(w, r, status, err)
}

// identify finds the caller. Public routes serve also those whom it refuses.
func (d *door) identify(r *http.Request) (Identity, error) {
	secret := credential(r)
	if d.None && r.Header.Get("Authorization") == "" {
		secret = "" // a browser may still have the cookie of a session that ended
	}
	switch {
	case secret != "" && d.Service != nil:
		// Also with authentication off a token counts: a step must stay a step.
		return d.Service.Authenticate(r.Context(), secret)
	case d.None:
		return Identity{Actor: LocalUser, Permissions: Admin.Permissions()}, nil
	}
	return Identity{}, &lastro.Error{Code: lastro.EDenied, ID: "L0905", Msg: "this needs a token, and there is none",
		Hint: "send it as Authorization: Bearer TOKEN (MLFLOW_TRACKING_TOKEN for MLflow), or open a login link"}
}

// credential returns the token of a request: bearer, the password of basic
// authentication, or the cookie.
func credential(r *http.Request) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return strings.TrimSpace(token)
	}
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	if c, err := r.Cookie(CookieName); err == nil {
		return c.Value
	}
	return ""
}

// checkContentType allows JSON and forms: with anything else a browser may
// send a request to another site without asking it first.
func checkContentType(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && (kind == "application/json" || kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data"):
		return nil
	case r.ContentLength == 0 && r.Header.Get("Content-Type") == "":
		return nil
	}
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0907", Msg: fmt.Sprintf("the content type %.60q is not accepted here", r.Header.Get("Content-Type")),
		Hint: "send application/json"}
}
