// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"sync/atomic"
	"time"

	"lastro"
)

// Service makes users and tokens and recognises them. It is safe for
// concurrent use.
type Service struct {
	store Store
	clock lastro.Clock
	steps atomic.Pointer[Steps]
}

// NewService returns the service over s.
func NewService(s Store, c lastro.Clock) *Service {
	out := &Service{store: s, clock: c}
	out.AdmitSteps(anyStep())
	return out
}

// User is a person. Name is what approvals and events show ("user:ana").
type User struct {
	Name      string
	Role      Role
	CreatedAt time.Time
	Disabled  bool
}

// Actor returns "user:NAME".
func (u User) Actor() lastro.Actor { return lastro.Actor("user:" + u.Name) }

// Kind says what a token is for.
type Kind string

// The kinds of tokens.
const (
	UserToken    Kind = "user"    // shown once, used by commands and clients
	SessionToken Kind = "session" // a browser's cookie
	LoginToken   Kind = "login"   // the code of a one-time link
)

// Token is a credential as stored: the secret itself is shown once and never
// kept, only its SHA-256 (it has 256 random bits, so no slow hash is needed).
type Token struct {
	ID          string // public, 12 hex digits
	Hash        string // hex SHA-256 of the secret
	Kind        Kind
	User        string
	Permissions []Permission // nil = all of the user's role
	CreatedAt   time.Time
	ExpiresAt   time.Time
	RevokedAt   time.Time // zero while it is good
}

// Store keeps users and tokens; events commit with the change.
type Store interface {
	CreateUser(ctx context.Context, u User, events ...lastro.Event) error // lastro.EConflict when the name is taken
	UpdateUser(ctx context.Context, u User, events ...lastro.Event) error // Role and Disabled
	User(ctx context.Context, name string) (User, error)
	Users(ctx context.Context) ([]User, error) // by name
	CreateToken(ctx context.Context, t Token, events ...lastro.Event) error
	TokenByHash(ctx context.Context, hash string) (Token, error)
	// TakeToken returns a login token and revokes it in the same transaction; a second call is lastro.ENotFound.
	TakeToken(ctx context.Context, hash string, at time.Time) (Token, error)
	Tokens(ctx context.Context, user string) ([]Token, error) // the user's own (kind user), newest first
	RevokeToken(ctx context.Context, id string, at time.Time, events ...lastro.Event) error
}
