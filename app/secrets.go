// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"net/url"
	"os"
	"path/filepath"

	"lastro"
	"lastro/api"
	"lastro/pipeline"
	"lastro/secret"
	"lastro/store"
)

// Vault manages secrets, here or through a living server.
type Vault interface {
	SetSecret(ctx context.Context, name, value string) (secret.Secret, error)
	RemoveSecret(ctx context.Context, name string) error
	Secrets(ctx context.Context) ([]secret.Secret, error) // by name
}

// SecretKey is the key of secrets that lastro makes by itself.
func (p Paths) SecretKey() string { return filepath.Join(p.State, "secrets.key") }

// newSecrets opens the secrets of this state directory with the key that was
// given, that of a file that was named, or the directory's own.
func (h *House) newSecrets(o OpenOptions) *secret.Service {
	place := secret.KeyPlace{Text: o.AgeKey, File: o.SecretKey, Own: h.Paths.SecretKey()}
	if place.File == "" {
		place.File = os.Getenv("LASTRO_AGE_KEY_FILE")
	}
	return secret.NewService(store.NewSecret(h.DB), place, h.Clock)
}

// secretsFor is what the engine asks on behalf of a run. A run of code that
// nobody trusted yet, a pull request from a fork, gets no value.
func (h *House) secretsFor(trusted bool) pipeline.Secrets { return runSecrets{h.Secrets, trusted} }

type runSecrets struct {
	*secret.Service
	trusted bool
}

// Values implements pipeline.Secrets.
func (s runSecrets) Values(ctx context.Context, names []string) (map[string]string, error) {
	return s.Service.Values(ctx, names, s.trusted)
}

// maskSecrets hides values in what is kept of a step.
func maskSecrets(values []string) func(text string) string { return secret.NewMasker(values).String }

// Vault acts on this state directory in the name of an actor.
func (h *House) Vault(by lastro.Actor) Vault { return localVault{h.Secrets, by} }

type localVault struct {
	secrets *secret.Service
	by      lastro.Actor
}

func (v localVault) SetSecret(ctx context.Context, name, value string) (secret.Secret, error) {
	return v.secrets.Set(ctx, v.by, name, value)
}

func (v localVault) RemoveSecret(ctx context.Context, name string) error {
	return v.secrets.Remove(ctx, v.by, name)
}

func (v localVault) Secrets(ctx context.Context) ([]secret.Secret, error) { return v.secrets.List(ctx) }

// SetSecret implements Vault.
func (c *Client) SetSecret(ctx context.Context, name, value string) (s secret.Secret, err error) {
	err = c.Post(ctx, "/secrets/"+url.PathEscape(name), api.SecretRequest{Value: []byte(value)}, &s)
	return s, err
}

// RemoveSecret implements Vault.
func (c *Client) RemoveSecret(ctx context.Context, name string) error {
	return c.Post(ctx, "/secrets/"+url.PathEscape(name)+"/remove", nil, nil)
}

// Secrets implements Vault.
func (c *Client) Secrets(ctx context.Context) ([]secret.Secret, error) {
	var out struct {
		Secrets []secret.Secret `json:"secrets"`
	}
	err := c.Get(ctx, "/secrets", &out)
	return out.Secrets, err
}
