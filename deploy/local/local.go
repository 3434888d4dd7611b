// SPDX-License-Identifier: Apache-2.0

// Package local is the deployment driver of one machine: it keeps one
// `lastro serve` process alive, detached from the control plane, and tells it
// over its admin socket what to serve. It knows no rollout rules.
package local

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"lastro"
	"lastro/deploy"
)

// Trees brings a model's files out of the blob store.
type Trees interface {
	// Materialise writes the tree with this digest into dir, which does not
	// exist yet, and returns the bytes of its manifest.
	Materialise(ctx context.Context, tree lastro.Digest, dir string) (manifest []byte, err error)
}

// Driver implements deploy.Driver.
type Driver struct {
	// Dir is PROJECT/.lastro/serve.
	Dir string
	// Socket is the admin socket of the serve process.
	Socket string
	// Command is the argv that starts `lastro serve`; it gets a session of its own.
	Command []string
	// Env of that process; nil = a few variables of this one.
	Env   []string
	Trees Trees
	// Interpreter returns the Python that runs a release's model, building its
	// environment when needed. It may take minutes; Apply does not wait for it.
	Interpreter func(ctx context.Context, r deploy.Release, modelDir string) (string, error)
	// StartTimeout for the serve process; 0 = 10 s.
	StartTimeout time.Duration
	// Workers is how many processes a revision gets; 0 = the gateway's default.
	Workers int
	Log     *slog.Logger

	mu       sync.Mutex
	prepared map[string]*preparation // by environment and release
}

// Apply implements deploy.Driver.
func (d *Driver) Apply(ctx context.Context, t deploy.Target) (deploy.Status, error) {
	return d.apply(ctx, t)
}
