// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"lastro"
)

// cacheLife is how long a copy in the cache stays without being used.
const cacheLife = 14 * 24 * time.Hour

func (h *House) cacheDir() string { return filepath.Join(h.Paths.State, "cache") }

// materialised returns a path below the state directory that holds the bytes
// of a digest under a name with the wanted extension, for engines that read
// files. It is written once; a copy that is no longer as it was written
// (size, time or inode of a file differ) is made again, because checks and
// decisions rest on it.
func (h *House) materialised(ctx context.Context, d lastro.Digest, name string) (string, error) {
	h.caching.Lock()
	defer h.caching.Unlock()
	dir := filepath.Join(h.cacheDir(), d.Hex())
	path := filepath.Join(dir, filepath.Base(name))
	stamp := filepath.Join(dir, ".stamp-"+filepath.Base(name))
	if asWritten(path, stamp) {
		now := time.Now()
		_ = os.Chtimes(stamp, now, now) // what is used stays; a miss costs a copy only
		return path, nil
	}
	if err := os.RemoveAll(path); err != nil {
		return "", diskError(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", diskError(err)
	}
	tmp, err := os.MkdirTemp(dir, "new-")
	if err != nil {
		return "", diskError(err)
	}
	defer os.RemoveAll(tmp)
	if err := h.Blobs.Materialise(ctx, d, filepath.Join(tmp, "x")); err != nil {
		return "", err
	}
	if err := os.Rename(filepath.Join(tmp, "x"), path); err != nil {
		return "", diskError(err)
	}
	mark, err := marks(path)
	if err != nil {
		return "", diskError(err)
	}
	return path, diskError(os.WriteFile(stamp, []byte(mark), 0o600))
}

func asWritten(path, stamp string) bool {
	was, err := os.ReadFile(stamp)
	if err != nil {
		return false
	}
	is, err := marks(path)
	return err == nil && string(was) == is
}

// marks sums up what changes when somebody writes to a file or folder.
func marks(path string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if e.IsDir() {
			return nil
		}
		var inode uint64
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = sys.Ino
		}
		fmt.Fprintf(&b, "%s %d %d %d\n", strings.TrimPrefix(p, path), info.Size(), info.ModTime().UnixNano(), inode)
		return nil
	})
	return lastro.DigestOf([]byte(b.String())).Hex(), err
}

// tidyCache removes copies and checkouts that nobody has used for a while.
func (h *House) tidyCache(ctx context.Context, now time.Time) error {
	entries, err := os.ReadDir(h.cacheDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range entries {
		if ctx.Err() != nil {
			break
		}
		path := filepath.Join(h.cacheDir(), e.Name())
		if now.Sub(lastUse(path)) < cacheLife {
			continue
		}
		if !e.IsDir() {
			if strings.HasPrefix(e.Name(), "derived-") {
				errs = append(errs, os.Remove(path))
			}
			continue
		}
		if strings.HasPrefix(e.Name(), "commit-") || strings.HasPrefix(e.Name(), "fork-") {
			errs = append(errs, h.removeCheckout(ctx, path))
			continue
		}
		h.caching.Lock()
		errs = append(errs, os.RemoveAll(path))
		h.caching.Unlock()
	}
	return errors.Join(append(errs, err)...)
}

// lastUse is the newest time of a copy's stamps or of a checkout's mark.
func lastUse(path string) time.Time {
	var last time.Time
	for _, pattern := range []string{path, path + ".whole", filepath.Join(path, ".stamp-*")} {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			if info, err := os.Stat(f); err == nil && info.ModTime().After(last) {
				last = info.ModTime()
			}
		}
	}
	return last
}
