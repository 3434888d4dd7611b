// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"net/http"
	"time"
)

// LoginRoutes returns the routes by which a browser gets and gives up its
// session: GET /login?code= redeems a one-time link, POST /session takes a
// token from a form, POST /logout ends the session. denied shows a refusal;
// the page with the form belongs to the pages, under GET /login without a code.
func LoginRoutes(s *Service, page http.HandlerFunc, denied func(w http.ResponseWriter, r *http.Request, status int, err error)) []Route {
	return []Route{
		{Pattern: "GET /login", Permission: Public, Handler: func(w http.ResponseWriter, r *http.Request) {
			code := r.URL.Query().Get("code")
			if code == "" {
				page(w, r)
				return
			}
			secret, expires, err := s.RedeemLogin(r.Context(), code)
			enter(w, r, secret, expires, err, denied)
		}},
		{Pattern: "POST /session", Permission: Public, Handler: func(w http.ResponseWriter, r *http.Request) {
			secret, expires, err := s.StartSession(r.Context(), r.PostFormValue("token"))
			enter(w, r, secret, expires, err, denied)
		}},
		{Pattern: "POST /logout", Permission: Public, Handler: func(w http.ResponseWriter, r *http.Request) {
			if c, err := r.Cookie(CookieName); err == nil {
				if err := s.EndSession(r.Context(), c.Value); err != nil {
					denied(w, r, http.StatusInternalServerError, err)
					return
				}
			}
			http.SetCookie(w, cookie(r, "", time.Unix(1, 0)))
			http.Redirect(w, r, "/login", http.StatusSeeOther)
		}},
	}
}

func enter(w http.ResponseWriter, r *http.Request, secret string, expires time.Time, err error,
	denied func(http.ResponseWriter, *http.Request, int, error)) {
	if err != nil {
		denied(w, r, http.StatusUnauthorized, err)
		return
	}
	http.SetCookie(w, cookie(r, secret, expires))
	// The code must not stay in a cache or be passed on as a referrer.
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func cookie(r *http.Request, secret string, expires time.Time) *http.Cookie {
	return &http.Cookie{Name: CookieName, Value: secret, Path: "/", Expires: expires, HttpOnly: true,
		SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil}
}
