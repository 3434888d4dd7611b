// SPDX-License-Identifier: Apache-2.0

// Package auth holds who may do what: users, tokens, roles, permissions, and
// the route type that carries a permission. It does not decide about models
// or data: gates do.
package auth

import (
	"context"
	"net/http"
	"slices"

	"lastro"
)

// Permission is what a route asks of its caller.
type Permission string

// The permissions. Public is the only one that needs no identity.
const (
	Public        Permission = "public"
	ReadRuns      Permission = "runs:read"
	WriteRuns     Permission = "runs:write"
	ReadTracking  Permission = "tracking:read"
	WriteTracking Permission = "tracking:write"
	ReadRegistry  Permission = "registry:read"
	WriteRegistry Permission = "registry:write"
	ReadData      Permission = "data:read"
	WriteData     Permission = "data:write"
	ReadLive      Permission = "live:read"
	Deploy        Permission = "deploy:write"
	Approve       Permission = "approve"
	WriteSecrets  Permission = "secrets:write"
	Administer    Permission = "admin"
)

// Route is one entry of the route table. Pattern is net/http's
// ("GET /runs/{id}"). A route without a permission stops the server at start.
type Route struct {
	Pattern    string
	Permission Permission
	Handler    http.HandlerFunc
	// AnyContentType exempts a write from the JSON-or-form rule, for uploads.
	AnyContentType bool
}

// Identity is an authenticated caller.
type Identity struct {
	Actor       lastro.Actor
	Permissions []Permission // what it may do
	// Run, Step and Cell (of a matrix, else "") are set for a step's token, which may write only its own tracked runs.
	Run, Step, Cell string
	Attempt         int // of that step, from 1
}

// May reports whether the identity holds p.
func (id Identity) May(p Permission) bool { return p == Public || slices.Contains(id.Permissions, p) }

type identityKey struct{}

// WithIdentity attaches the caller to a request's context.
func WithIdentity(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

// IdentityOf returns the caller; the zero Identity when there is none.
func IdentityOf(ctx context.Context) Identity {
	id, _ := ctx.Value(identityKey{}).(Identity)
	return id
}
