// SPDX-License-Identifier: Apache-2.0

// Package data holds what lastro knows about datasets: their versions by
// content, the contracts they must keep (ODCS 3.1), the checks of a contract
// on a version, and proposals that widen a contract. It also says, as the
// Engine interface, what an engine must compute on files: checks, splits,
// copies without sensitive columns, histograms, joins.
//
// It opens no data file and runs no SQL: engines live in data/*. It does not
// snapshot files either; a version's digest comes from the blob store.
package data

import (
	"context"
	"time"

	"lastro"
)

// Version is a dataset's content at one moment, named by the digest of its
// bytes: the file's digest, or the tree's for a folder.
type Version struct {
	Dataset string        `json:"dataset"`
	Digest  lastro.Digest `json:"digest"`
	Rows    int64         `json:"rows"`  // -1 = not counted: no contract asked for it
	Bytes   int64         `json:"bytes"` // of all files together
	Files   int           `json:"files"`
	SeenAt  time.Time     `json:"seen_at"` // first seen
	Source  string        `json:"source"`  // path from the repository root when first seen
	Commit  string        `json:"commit,omitempty"`
}

// Ref returns "dataset:NAME@DIGEST".
func (v Version) Ref() lastro.Ref { return lastro.NewRef("dataset", v.Dataset, string(v.Digest)) }

// Store keeps versions and the reports of their checks.
type Store interface {
	// RegisterVersion records a version unless the dataset already has one with
	// this digest. It returns the stored one and whether it is new; a known row
	// count replaces an unknown one. The event dataset.version_seen is written
	// for new versions only.
	RegisterVersion(ctx context.Context, v Version, actor lastro.Actor) (stored Version, created bool, err error)
	// Version returns one version; ENotFound when the dataset never had it.
	Version(ctx context.Context, dataset string, digest lastro.Digest) (Version, error)
	// Versions lists a dataset's versions, newest first; limit 0 = 100. An
	// empty dataset lists those of all.
	Versions(ctx context.Context, dataset string, limit int) ([]Version, error)
	// SaveReport keeps the outcome of a contract on a version, replacing an
	// earlier one of the same key, with the event dataset.checked.
	SaveReport(ctx context.Context, r Report, actor lastro.Actor) error
	// Report returns the kept outcome; ENotFound when there is none. The key is
	// CheckKey's.
	Report(ctx context.Context, dataset string, version, key lastro.Digest) (Report, error)
	// Reports lists a dataset's outcomes, newest first; limit 0 = 100.
	Reports(ctx context.Context, dataset string, limit int) ([]Report, error)
}
