// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net/url"
	"time"

	"lastro"
	"lastro/auth"
)

// People manages users and tokens, here or through a living server.
type People interface {
	AddUser(ctx context.Context, name string, role auth.Role) (auth.User, error)
	// CreateToken returns the secret, which is shown once.
	CreateToken(ctx context.Context, user string, ttl time.Duration) (secret string, t auth.Token, err error)
	RevokeToken(ctx context.Context, id string) error
}

// People acts on this state directory in the name of an actor.
func (h *House) People(by lastro.Actor) People { return localPeople{h.Auth, by} }

type localPeople struct {
	auth *auth.Service
	by   lastro.Actor
}

func (p localPeople) AddUser(ctx context.Context, name string, role auth.Role) (auth.User, error) {
	return p.auth.CreateUser(ctx, p.by, name, role)
}

func (p localPeople) CreateToken(ctx context.Context, user string, ttl time.Duration) (string, auth.Token, error) {
	return p.auth.CreateToken(ctx, p.by, user, ttl, nil)
}

func (p localPeople) RevokeToken(ctx context.Context, id string) error {
	return p.auth.RevokeToken(ctx, p.by, id)
}

// AddUser implements People.
func (c *Client) AddUser(ctx context.Context, name string, role auth.Role) (auth.User, error) {
	var out struct {
		Name string    `json:"name"`
		Role auth.Role `json:"role"`
	}
	err := c.Post(ctx, "/users", map[string]any{"name": name, "role": role}, &out)
	return auth.User{Name: out.Name, Role: out.Role}, err
}

// CreateToken implements People.
func (c *Client) CreateToken(ctx context.Context, user string, ttl time.Duration) (string, auth.Token, error) {
	var out struct {
		ID        string    `json:"id"`
		Token     string    `json:"token"`
		User      string    `json:"user"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	err := c.Post(ctx, "/users/"+url.PathEscape(user)+"/tokens", map[string]any{"seconds": int(ttl.Seconds())}, &out)
	return out.Token, auth.Token{ID: out.ID, User: out.User, ExpiresAt: out.ExpiresAt}, err
}

// RevokeToken implements People.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.Post(ctx, "/tokens/"+url.PathEscape(id)+"/revoke", nil, nil)
}
