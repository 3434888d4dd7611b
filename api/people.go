// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"
	"time"

	"lastro"
	"lastro/auth"
)

// UserRequest is the body of POST /api/v1/users.
type UserRequest struct {
	Name string    `json:"name"`
	Role auth.Role `json:"role"`
}

func (h *handler) addUser(r *http.Request) (any, error) {
	var req UserRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	u, err := h.Auth.CreateUser(r.Context(), actor(r), req.Name, req.Role)
	return map[string]any{"name": u.Name, "role": u.Role}, err
}

// TokenRequest is the body of POST /api/v1/users/{user}/tokens.
type TokenRequest struct {
	Seconds int `json:"seconds"` // how long it is good
}

func (h *handler) createToken(r *http.Request) (any, error) {
	var req TokenRequest
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if req.Seconds < 1 {
		return nil, lastro.Errorf(lastro.EInvalid, "seconds must be 1 or more")
	}
	secret, t, err := h.Auth.CreateToken(r.Context(), actor(r), r.PathValue("user"), time.Duration(req.Seconds)*time.Second, nil)
	return map[string]any{"id": t.ID, "token": secret, "user": t.User, "expires_at": t.ExpiresAt}, err
}

func (h *handler) revokeToken(r *http.Request) (any, error) {
	return map[string]any{}, h.Auth.RevokeToken(r.Context(), actor(r), r.PathValue("id"))
}
