// SPDX-License-Identifier: Apache-2.0

// Package blob holds the Store interface: immutable bytes and folders, named
// by their content. Where bytes are kept lives in blob/*; which bytes matter,
// and for how long, is known to whoever stores them.
package blob

import (
	"context"
	"io"
	"io/fs"
	"time"

	"lastro"
)

// Store keeps bytes and folders by digest. Nothing that it holds ever changes.
// When a call that stores has returned, the bytes survive a crash of the
// process; they survive a crash of the machine too, those that went to a Small
// at the latest when the next synchronous commit of its database has returned,
// so that a row which refers to them never outlives them. It is safe for
// concurrent use, also by several processes. A full disk is EErrored with ID L0410.
type Store interface {
	// Put stores a stream. Bytes that begin like a tree's manifest are EInvalid.
	Put(ctx context.Context, r io.Reader) (lastro.Digest, int64, error)

	// Open returns the bytes of a blob (of a tree: its manifest). They are
	// verified while they are read: instead of io.EOF the reader returns
	// ETampered when they are not what the digest says. ENotFound.
	Open(ctx context.Context, d lastro.Digest) (io.ReadCloser, error)

	// Stat says what a digest names; ENotFound. It reads no content of blobs.
	Stat(ctx context.Context, d lastro.Digest) (Info, error)

	// Has reports whether the store holds d. What it finds counts as used now:
	// gc leaves it alone for its grace period.
	Has(ctx context.Context, d lastro.Digest) (bool, error)

	// PutFile stores one file. known may be nil.
	PutFile(ctx context.Context, path string, known Known) (lastro.Digest, int64, error)

	// PutTree stores a folder: every file below it and every empty folder, with
	// the executable bit and nothing else of the mode. A symbolic link inside the
	// folder to a file inside it is stored as that file; any other link, and any
	// device, socket or pipe, is EInvalid. The size is that of all files together.
	// Equal content gives an equal digest whatever the folder's name and times.
	PutTree(ctx context.Context, dir string, known Known) (lastro.Digest, int64, error)

	// PutEntries stores a folder made of blobs that are stored already, given in
	// any order (a model's files arrive one by one, each a blob). The digest is
	// the one that PutTree gives for the same folder. A digest that is not stored
	// is ENotFound; a path that could not be one below a folder is EInvalid.
	PutEntries(ctx context.Context, entries []Entry) (lastro.Digest, error)

	// PutPath is PutTree for a folder and PutFile for anything else, without Known.
	PutPath(ctx context.Context, path string) (lastro.Digest, int64, error)

	// Materialise writes a blob or tree to dest, which must not exist; its
	// parent must. What it writes is a copy (or a clone that shares blocks until
	// written to), verified on the way, never a hard link. On an error dest is removed.
	Materialise(ctx context.Context, d lastro.Digest, dest string) error

	// Tree returns the entries of a tree, sorted by path; EInvalid for a blob.
	Tree(ctx context.Context, d lastro.Digest) ([]Entry, error)

	// Verify reads a blob, or a tree with all its files, and returns ETampered
	// naming the first path that is not what its digest says.
	Verify(ctx context.Context, d lastro.Digest) error
}

// Info is what a digest names.
type Info struct {
	Digest lastro.Digest
	Size   int64 // bytes; of a tree: of all files together
	Tree   bool
	Files  int // of a tree; 1 for a blob
}

// Entry is one file, or one empty folder, of a tree.
type Entry struct {
	Path   string        `json:"path"` // from the tree's root, with slashes
	Exec   bool          `json:"exec,omitempty"`
	Dir    bool          `json:"dir,omitempty"` // an empty folder; no digest
	Size   int64         `json:"size,omitempty"`
	Digest lastro.Digest `json:"digest,omitempty"`
}

// Known remembers the digests of files that have not changed, so that large
// inputs are not read again; source.StatCache is one.
type Known interface {
	// Digest returns what the file at path contained, when fi says that it is
	// still the same.
	Digest(path string, fi fs.FileInfo) (lastro.Digest, bool)
	// Learn remembers the digest of a file whose fi was taken before it was read.
	Learn(path string, fi fs.FileInfo, d lastro.Digest)
}

// SmallMax is the size in bytes up to which content that is stored in one call
// goes to a Small: a file, or a folder with its manifest.
const SmallMax = 64 << 10

// Fresh is how long a use of content counts as "now": content used longer ago
// is marked as used again. A grace period of gc is longer than this and than
// the time between storing content and committing what refers to it.
const Fresh = time.Hour

// Small keeps small contents by digest in a database, where they cost no file
// and no sync of their own. It is safe for concurrent use.
type Small interface {
	// PutSmall keeps contents, all or none, and marks them as used now.
	PutSmall(ctx context.Context, contents []Content) error
	// GetSmall returns the bytes, which may be damaged; ENotFound.
	GetSmall(ctx context.Context, d lastro.Digest) ([]byte, error)
	// UseSmall reports whether d is there, and marks it as used now.
	UseSmall(ctx context.Context, d lastro.Digest) (bool, error)
	// EachSmall calls fn for every content, in no order.
	EachSmall(ctx context.Context, fn func(Object) error) error
	// RemoveSmall removes d unless it was used at or after before.
	RemoveSmall(ctx context.Context, d lastro.Digest, before time.Time) (removed bool, err error)
}

// Content is bytes and their name.
type Content struct {
	Digest lastro.Digest
	Bytes  []byte
}

// Object is one thing that a store keeps: a blob, or the manifest of a tree.
type Object struct {
	Digest lastro.Digest
	Size   int64     // bytes that it takes
	Used   time.Time // when it was stored or found again, exact to Fresh
}

// Keeper is the side of a store that gc and fsck see.
type Keeper interface {
	Store
	// Each calls fn for every object, in no order; temporary files are none.
	Each(ctx context.Context, fn func(Object) error) error
	// Remove removes an object unless it was used at or after before, also
	// while this call runs. A crash leaves it there or not there.
	Remove(ctx context.Context, d lastro.Digest, before time.Time) (removed bool, err error)
	// Aside takes a damaged object out of the store and returns where its bytes
	// are for people to look at.
	Aside(ctx context.Context, d lastro.Digest) (string, error)
	// Leftovers removes what calls that were killed left behind and nobody has
	// written to since before; it returns the bytes freed.
	Leftovers(ctx context.Context, before time.Time, dryRun bool) (int64, error)
}

// Root is content that something needs.
type Root struct {
	Digest lastro.Digest
	By     lastro.Ref // what needs it
	// Sure: the content was stored when By was recorded, so fsck misses it. Not
	// sure: a digest that By mentions, which may be of something else.
	Sure bool
}
