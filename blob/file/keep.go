// SPDX-License-Identifier: Apache-2.0

package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"lastro"
	"lastro/blob"
)

// Each calls fn for every object.
func (s *Store) Each(ctx context.Context, fn func(blob.Object) error) error {
	fans, err := os.ReadDir(s.dir)
	if err != nil {
		return diskError(err)
	}
	for _, fan := range fans {
		if !fan.IsDir() || len(fan.Name()) != 2 {
			continue
		}
		if err := eachIn(ctx, filepath.Join(s.dir, fan.Name()), fan.Name(), fn); err != nil {
			return err
		}
	}
	if s.small == nil {
		return nil
	}
	return s.small.EachSmall(ctx, fn)
}

func eachIn(ctx context.Context, dir, prefix string, fn func(blob.Object) error) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return diskError(err)
	}
	for _, f := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d, err := lastro.ParseDigest("sha256:" + prefix + f.Name())
		if err != nil {
			continue // not ours
		}
		info, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return diskError(err)
		}
		if err := fn(blob.Object{Digest: d, Size: info.Size(), Used: info.ModTime()}); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes an object unless it was used at or after before. A file is
// first moved out of sight: who looks for it from then on finds nothing and
// stores it anew, and who marked it before is seen when its time is read again.
func (s *Store) Remove(ctx context.Context, d lastro.Digest, before time.Time) (bool, error) {
	removed, err := s.removeFile(d, before)
	if err != nil || s.small == nil {
		return removed, diskError(err)
	}
	s.recent.drop(d)
	small, err := s.small.RemoveSmall(ctx, d, before)
	return removed || small, err
}

func (s *Store) removeFile(d lastro.Digest, before time.Time) (bool, error) {
	p, away := s.path(d), s.trash(d)
	old := func(path string) (bool, error) {
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil && info.ModTime().Before(before), err
	}
	if ok, err := old(p); !ok {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(away), 0o700); err != nil {
		return false, err
	}
	if err := os.Rename(p, away); err != nil {
		return false, err
	}
	ok, err := old(away)
	if err != nil {
		return false, err
	}
	if !ok {
		return false, os.Rename(away, p)
	}
	return true, os.Remove(away)
}

// Aside moves a damaged object to the folder "damaged" of the store.
func (s *Store) Aside(ctx context.Context, d lastro.Digest) (string, error) {
	to := filepath.Join(s.dir, "damaged", d.Hex())
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return "", diskError(err)
	}
	err := os.Rename(s.path(d), to)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || s.small == nil {
		return to, diskError(err)
	}
	b, err := s.small.GetSmall(ctx, d)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o400)
	if err != nil {
		return "", diskError(err)
	}
	_, err = io.Copy(f, bytes.NewReader(b))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", diskError(err)
	}
	s.recent.drop(d)
	_, err = s.small.RemoveSmall(ctx, d, time.Now().AddDate(1, 0, 0))
	return to, err
}

// Leftovers puts back what a killed Remove had in its hands, and removes what
// killed calls were writing.
func (s *Store) Leftovers(ctx context.Context, before time.Time, dryRun bool) (int64, error) {
	if !dryRun {
		if err := s.emptyTrash(); err != nil {
			return 0, diskError(err)
		}
	}
	left, err := os.ReadDir(filepath.Join(s.dir, "tmp"))
	if err != nil {
		return 0, diskError(err)
	}
	var freed int64
	for _, e := range left {
		p := filepath.Join(s.dir, "tmp", e.Name())
		size, last := measure(p)
		if !last.Before(before) || ctx.Err() != nil {
			continue
		}
		if freed += size; !dryRun {
			if err := os.RemoveAll(p); err != nil {
				return freed, diskError(err)
			}
		}
	}
	return freed, context.Cause(ctx)
}

func (s *Store) emptyTrash() error {
	dir := filepath.Join(s.dir, "trash")
	left, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var errs []error
	for _, e := range left {
		d, perr := lastro.ParseDigest("sha256:" + e.Name())
		if perr != nil {
			continue
		}
		if err := os.Rename(filepath.Join(dir, e.Name()), s.path(d)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, err)...)
}

// measure returns the bytes of files at and below p and the last time that one was written.
func measure(p string) (size int64, last time.Time) {
	_ = filepath.WalkDir(p, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil {
			if !e.IsDir() {
				size += info.Size()
			}
			if info.ModTime().After(last) {
				last = info.ModTime()
			}
		}
		return nil
	})
	return size, last
}
