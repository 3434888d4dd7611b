// SPDX-License-Identifier: Apache-2.0

// Package file keeps blobs in a folder of the local disk: one file for each
// digest, written to a temporary name, synced and renamed; small ones go to a
// database when there is one. It knows nothing of what the bytes mean beyond a
// tree's manifest.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"lastro"
	"lastro/blob"
)

// Store is a blob.Store in a folder.
type Store struct {
	dir    string
	small  blob.Small // nil: everything is a file
	fan    sync.Map   // fan-out folders known to exist and to be synced
	recent recent
}

var _ blob.Keeper = (*Store)(nil)

// Open returns the store in dir, which is made with mode 0700 when missing.
func Open(dir string) (*Store, error) { return OpenWith(dir, nil) }

// OpenWith returns a store that leaves contents of blob.SmallMax bytes and
// less to small.
func OpenWith(dir string, small blob.Small) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return nil, diskError(err)
	}
	return &Store{dir: dir, small: small}, nil
}

// path is dir/ab/cdef...: 256 folders keep each of them small.
func (s *Store) path(d lastro.Digest) string {
	h := d.Hex()
	return s.dir + "/" + h[:2] + "/" + h[2:]
}

// trash is where Remove holds a file while it looks again.
func (s *Store) trash(d lastro.Digest) string { return filepath.Join(s.dir, "trash", d.Hex()) }

// useFile reports whether d is there as a file, and marks it as used now.
func (s *Store) useFile(d lastro.Digest) (bool, error) {
	p := s.path(d)
	info, err := os.Stat(p)
	if err == nil && time.Since(info.ModTime()) > blob.Fresh {
		now := time.Now()
		// Who may not mark a file may not remove it either.
		if err = os.Chtimes(p, now, now); err == nil || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			// The system finds the file and then marks it: in between, Remove may
			// have moved it away and read its time. Once more it is not found.
			_, err = os.Stat(p)
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, diskError(err)
}

// Has reports whether the store holds d.
func (s *Store) Has(ctx context.Context, d lastro.Digest) (bool, error) {
	if _, err := lastro.ParseDigest(string(d)); err != nil {
		return false, err
	}
	return s.use(ctx, d)
}

// use is Has for a digest of good form.
func (s *Store) use(ctx context.Context, d lastro.Digest) (bool, error) {
	if s.recent.has(d) {
		return true, nil
	}
	ok, err := s.useFile(d)
	if ok || err != nil || s.small == nil {
		return ok, err
	}
	if ok, err = s.small.UseSmall(ctx, d); ok && err == nil {
		s.recent.add(d)
	}
	return ok, err
}

// recent remembers which small contents were stored or found a moment ago, so
// that equal outputs of many steps cost one write and one question.
type recent struct {
	mu    sync.Mutex
	until map[lastro.Digest]time.Time
}

// recently is far shorter than any grace period of gc.
const recently = time.Minute

func (r *recent) has(d lastro.Digest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.until[d])
}

func (r *recent) add(d lastro.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil || len(r.until) > 10_000 {
		r.until = map[lastro.Digest]time.Time{}
	}
	r.until[d] = time.Now().Add(recently)
}

func (r *recent) drop(d lastro.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.until, d)
}

// putSmall keeps contents in the database.
func (s *Store) putSmall(ctx context.Context, contents []blob.Content) error {
	var missing []blob.Content
	for _, c := range contents {
		if !s.recent.has(c.Digest) {
			missing = append(missing, c)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if err := s.small.PutSmall(ctx, missing); err != nil {
		return err
	}
	for _, c := range missing {
		s.recent.add(c.Digest)
	}
	return nil
}

// workers is how many files are read, hashed and written at a time: more than
// processors, because some of them wait for the disk.
func workers() int { return 2 * cores() }

func tampered(want, got lastro.Digest) error {
	return &lastro.Error{Code: lastro.ETampered, ID: "L0801", Msg: fmt.Sprintf("stored content %s has changed: it is now %s", want.Short(), got.Short()),
		Notes: []string{"expected " + string(want), "found " + string(got)},
		Hint:  "the disk or somebody altered it; restore it from a backup, or run the step that made it again: lastro run --no-cache"}
}

func absent(d lastro.Digest) error {
	return &lastro.Error{Code: lastro.ENotFound, ID: "L0422", Msg: fmt.Sprintf("the store has no content %s", d),
		Hint: "run the step that made it again: lastro run --no-cache"}
}

// at names the file of a tree in an error that does not begin with it already.
func at(path string, err error) error {
	var e *lastro.Error
	if errors.As(err, &e) {
		if strings.HasPrefix(e.Msg, path+" ") {
			return err
		}
		named := *e
		named.Msg = path + ": " + e.Msg
		return &named
	}
	return fmt.Errorf("%s: %w", path, err)
}

// diskError names what a person can mend.
func diskError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0410", Msg: "the disk is full: nothing was lost, nothing more can be stored",
			Hint: "free some space (lastro keeps its state in .lastro; lastro gc removes what nothing needs), then run the same command again", Err: err}
	}
	return err
}
