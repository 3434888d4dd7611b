// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"lastro"
)

// secretPrefix makes a leaked secret easy to find for scanners.
const secretPrefix = "lastro_"

// Lifetimes of what the service gives out by itself.
const (
	loginLifetime   = 15 * time.Minute
	sessionLifetime = 12 * time.Hour
	// MaxTokenLifetime bounds a user's token.
	MaxTokenLifetime = 366 * 24 * time.Hour
)

// newSecret returns a secret of 256 random bits and the hash under which it is kept.
func newSecret() (secret, hash string) {
	var b [32]byte
	rand.Read(b[:]) // never fails
	secret = secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	return secret, hashOf(secret)
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func newTokenID() string {
	var b [6]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// unknown is the one answer to every credential that is not good, so that it
// tells nothing about why.
func unknown() error {
	return &lastro.Error{Code: lastro.EDenied, ID: "L0901", Msg: "this token is not known, has expired or was revoked",
		Hint: "make a new one: lastro token create"}
}

var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// CreateUser makes a person known; lastro.EConflict when the name is taken.
func (s *Service) CreateUser(ctx context.Context, by lastro.Actor, name string, role Role) (User, error) {
	if !userName.MatchString(name) {
		return User{}, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%q cannot be a user's name", name),
			Hint: "use 1 to 64 lower-case letters, digits and . _ -"}
	}
	if err := checkRole(role); err != nil {
		return User{}, err
	}
	u := User{Name: name, Role: role, CreatedAt: s.clock.Now()}
	return u, s.store.CreateUser(ctx, u, lastro.NewEvent(u.CreatedAt, by, "user.created", u.Ref(), map[string]any{"role": role}))
}

// Ref returns "user:NAME".
func (u User) Ref() lastro.Ref { return lastro.NewRef("user", u.Name, "") }

func checkRole(role Role) error {
	if rolePermissions[role] != nil {
		return nil
	}
	names := make([]string, len(Roles))
	for i, r := range Roles {
		names[i] = string(r)
	}
	e := &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%q is not a role", role), Hint: "use " + strings.Join(names, ", ")}
	if near := lastro.Nearest(string(role), names); near != "" {
		e.Hint = "did you mean " + near + "? " + e.Hint
	}
	return e
}

// ChangeUser gives a user another role, or disables or enables them; their
// tokens follow at once.
func (s *Service) ChangeUser(ctx context.Context, by lastro.Actor, name string, role Role, disabled bool) (User, error) {
	if err := checkRole(role); err != nil {
		return User{}, err
	}
	u, err := s.store.User(ctx, name)
	if err != nil {
		return u, err
	}
	u.Role, u.Disabled = role, disabled
	return u, s.store.UpdateUser(ctx, u, lastro.NewEvent(s.clock.Now(), by, "user.changed", u.Ref(), map[string]any{"role": role, "disabled": disabled}))
}

// User returns one user; Users all of them by name.
func (s *Service) User(ctx context.Context, name string) (User, error) {
	return s.store.User(ctx, name)
}

// Users lists all users by name.
func (s *Service) Users(ctx context.Context) ([]User, error) { return s.store.Users(ctx) }

// CreateToken makes a token for a user, good for ttl. The secret is returned
// here and never again. permissions narrow it; nil means all of the user's role.
func (s *Service) CreateToken(ctx context.Context, by lastro.Actor, user string, ttl time.Duration, permissions []Permission) (secret string, t Token, err error) {
	u, err := s.store.User(ctx, user)
	if err != nil {
		return "", t, err
	}
	if ttl <= 0 || ttl > MaxTokenLifetime {
		return "", t, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("a token cannot be good for %s", ttl), Hint: "use up to 366 days"}
	}
	for _, p := range permissions {
		if !slices.Contains(u.Role.Permissions(), p) {
			return "", t, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%s has the role %s, which does not include %q", u.Name, u.Role, p),
				Hint: "choose among " + join(u.Role.Permissions())}
		}
	}
	secret, t, err = s.issue(ctx, by, Token{Kind: UserToken, User: user, Permissions: permissions}, ttl)
	return secret, t, err
}

func join(list []Permission) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = string(p)
	}
	return strings.Join(names, ", ")
}

// issue stores a token and returns its secret. Only what a person asked for is
// an event: session tokens are told by the login.
func (s *Service) issue(ctx context.Context, by lastro.Actor, t Token, ttl time.Duration) (string, Token, error) {
	secret, hash := newSecret()
	t.ID, t.Hash, t.CreatedAt = newTokenID(), hash, s.clock.Now()
	t.ExpiresAt = t.CreatedAt.Add(ttl)
	var events []lastro.Event
	if t.Kind == UserToken {
		events = append(events, lastro.NewEvent(t.CreatedAt, by, "token.created", t.Ref(),
			map[string]any{"user": t.User, "expires": t.ExpiresAt, "permissions": t.Permissions}))
	}
	return secret, t, s.store.CreateToken(ctx, t, events...)
}

// Ref returns "token:ID".
func (t Token) Ref() lastro.Ref { return lastro.NewRef("token", t.ID, "") }

// Tokens lists a user's own tokens, newest first.
func (s *Service) Tokens(ctx context.Context, user string) ([]Token, error) {
	return s.store.Tokens(ctx, user)
}

// RevokeToken ends a token at once.
func (s *Service) RevokeToken(ctx context.Context, by lastro.Actor, id string) error {
	at := s.clock.Now()
	return s.store.RevokeToken(ctx, id, at, lastro.NewEvent(at, by, "token.revoked", lastro.NewRef("token", id, ""), nil))
}

// Authenticate returns who holds a secret; lastro.EDenied for any that is not
// good. Codes of login links are not credentials.
func (s *Service) Authenticate(ctx context.Context, secret string) (Identity, error) {
	if strings.HasPrefix(secret, stepPrefix) {
		return s.authenticateStep(ctx, secret)
	}
	if !strings.HasPrefix(secret, secretPrefix) || len(secret) > 100 {
		return Identity{}, unknown()
	}
	// The lookup is by the hash of 256 random bits: its timing says nothing about any secret.
	t, err := s.store.TokenByHash(ctx, hashOf(secret))
	if err != nil {
		if lastro.Is(err, lastro.ENotFound) {
			err = unknown()
		}
		return Identity{}, err
	}
	if !t.RevokedAt.IsZero() || !s.clock.Now().Before(t.ExpiresAt) || t.Kind == LoginToken {
		return Identity{}, unknown()
	}
	u, err := s.store.User(ctx, t.User)
	if err != nil || u.Disabled {
		return Identity{}, unknown()
	}
	return Identity{Actor: u.Actor(), Permissions: narrow(u.Role.Permissions(), t.Permissions)}, nil
}

// narrow keeps those of all that chosen names; nil chooses all.
func narrow(all, chosen []Permission) []Permission {
	if chosen == nil {
		return all
	}
	return slices.DeleteFunc(all, func(p Permission) bool { return !slices.Contains(chosen, p) })
}

// CreateLogin returns the code of a one-time login link for a user, good for a
// quarter of an hour: /login?code=CODE.
func (s *Service) CreateLogin(ctx context.Context, by lastro.Actor, user string) (code string, err error) {
	if _, err := s.store.User(ctx, user); err != nil {
		return "", err
	}
	code, _, err = s.issue(ctx, by, Token{Kind: LoginToken, User: user}, loginLifetime)
	return code, err
}

// RedeemLogin turns the code of a link, once, into a session for a browser.
func (s *Service) RedeemLogin(ctx context.Context, code string) (secret string, expires time.Time, err error) {
	now := s.clock.Now()
	t, err := s.store.TakeToken(ctx, hashOf(code), now)
	if err != nil {
		if lastro.Is(err, lastro.ENotFound) {
			err = unknown()
		}
		return "", expires, err
	}
	if t.Kind != LoginToken || !now.Before(t.ExpiresAt) {
		return "", expires, unknown()
	}
	return s.session(ctx, t)
}

// StartSession turns a user's token into a session for a browser.
func (s *Service) StartSession(ctx context.Context, secret string) (session string, expires time.Time, err error) {
	if _, err := s.Authenticate(ctx, secret); err != nil {
		return "", expires, err
	}
	t, err := s.store.TokenByHash(ctx, hashOf(secret))
	if err != nil || t.Kind != UserToken {
		return "", expires, unknown()
	}
	return s.session(ctx, t)
}

// session issues a session that is never good for longer or for more than the
// user's token it came from.
func (s *Service) session(ctx context.Context, from Token) (string, time.Time, error) {
	lifetime := sessionLifetime
	if from.Kind == UserToken {
		lifetime = min(lifetime, from.ExpiresAt.Sub(s.clock.Now()))
	}
	secret, t, err := s.issue(ctx, "", Token{Kind: SessionToken, User: from.User, Permissions: from.Permissions}, lifetime)
	return secret, t.ExpiresAt, err
}

// EndSession revokes the session of a browser; an unknown one is no error.
func (s *Service) EndSession(ctx context.Context, secret string) error {
	t, err := s.store.TokenByHash(ctx, hashOf(secret))
	if lastro.Is(err, lastro.ENotFound) || err == nil && t.Kind != SessionToken {
		return nil
	}
	if err != nil {
		return err
	}
	return s.store.RevokeToken(ctx, t.ID, s.clock.Now())
}
