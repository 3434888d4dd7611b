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
	"time"

	"golang.org/x/sys/unix"

	"lastro"
	"lastro/blob"
	"lastro/store"
	"lastro/track"
)

// What gc keeps when nobody says otherwise.
const (
	DefaultKeepRuns = 20
	DefaultKeepDays = 30
	DefaultKeepLogs = 90
	DefaultGrace    = 6 * time.Hour
	DefaultDeleted  = 30 * 24 * time.Hour
)

// leastGrace is the least that is safe beside a process that works: content is
// marked as used at most every blob.Fresh, and what refers to it is committed
// within the rest.
const leastGrace = 2 * blob.Fresh

// CollectOptions say what gc keeps beside what is always kept: registered
// versions and what they were made from, releases, decisions' evidence,
// tracked artifacts, the newest version of each dataset, runs that have not
// ended and pinned ones.
type CollectOptions struct {
	KeepRuns int // the newest of each project
	KeepDays int // and those that began within so many days
	// KeepLogs is how many days what was printed in other runs stays; 0 = for ever.
	KeepLogs int
	// Deleted is how long what was deleted of tracking can be restored; then it is removed for good. Negative: for ever.
	Deleted time.Duration
	Grace   time.Duration // and content that was used so recently
	DryRun  bool
}

// Collected is what gc did; with a dry run, what it would do.
type Collected struct {
	blob.Collection
	RunsKept  int   `json:"runs_kept"`
	RunsLetGo int   `json:"runs_let_go"` // their outputs are no longer kept
	Work      int64 `json:"work"`        // bytes of folders that killed commands left behind
	Logs      int64 `json:"logs"`        // bytes of what the steps of old runs printed
	// Purged are deleted tracked runs, logged models and experiments, which can no longer be restored.
	Purged track.Purged `json:"purged"`
	DryRun bool         `json:"dry_run"`
}

// Collect removes content that nothing needs. It is safe beside processes that
// run steps.
func (h *House) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	out := Collected{DryRun: o.DryRun}
	if (h.beside || h.DB.Shared()) && o.Grace < leastGrace {
		return out, &lastro.Error{Code: lastro.EConflict, ID: "L0432", Msg: fmt.Sprintf("another lastro may work here, and what it has just stored is in no run yet: --grace %s is too short", o.Grace),
			Hint: fmt.Sprintf("%s or more, or stop it first", leastGrace)}
	}
	release, err := lockCollection(h.Paths.Blobs())
	if err != nil {
		return out, err
	}
	defer release()
	if o.Deleted >= 0 { // first: then nothing needs their artifacts
		out.Purged, err = h.Track.PurgeBefore(ctx, track.Caller{By: "user:local"}, h.Clock.Now().Add(-o.Deleted), o.DryRun)
		if err != nil {
			return out, err
		}
	}
	content := store.NewBlobs(h.DB)
	var kept, rest []int64
	before := h.Clock.Now().Add(-o.Grace)
	roots := func(fn func(blob.Root) error) error {
		keep := store.Retention{Runs: o.KeepRuns}
		if o.KeepDays > 0 {
			keep.Since = h.Clock.Now().AddDate(0, 0, -o.KeepDays)
		}
		var err error
		if kept, rest, err = content.RunsFor(ctx, keep); err != nil {
			return err
		}
		out.RunsKept, out.RunsLetGo = len(kept), len(rest)
		if !o.DryRun {
			if err := content.LetGo(ctx, rest); err != nil {
				return err
			}
		}
		return content.Roots(ctx, kept, fn)
	}
	out.Collection, err = blob.Collect(ctx, h.Blobs, roots, before, o.DryRun)
	if err != nil {
		return out, err
	}
	out.Work, err = h.sweepWork(before, o.DryRun)
	if err == nil && o.KeepLogs > 0 {
		out.Logs, err = h.sweepLogs(ctx, kept, rest, h.Clock.Now().AddDate(0, 0, -o.KeepLogs), o.DryRun)
	}
	if err == nil && !o.DryRun && !h.beside { // a server does it itself, and knows what it is using
		err = h.tidyCache(ctx, h.Clock.Now())
	}
	return out, err
}

// lockCollection refuses a second collection of the same store; the lock goes
// with the process.
func lockCollection(dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "gc.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, diskError(err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, &lastro.Error{Code: lastro.EConflict, ID: "L0433", Msg: "another `lastro gc` is at work in this store", Hint: "wait until it ends"}
	}
	return func() { f.Close() }, nil
}

// leftover are folders in work that commands make for a while and remove.
var leftover = []string{"compact-", "with-", "without-"}

// sweepWork removes folders that killed commands left behind; it returns their bytes.
func (h *House) sweepWork(before time.Time, dryRun bool) (int64, error) {
	entries, err := os.ReadDir(h.Paths.Work())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	var freed int64
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, leftover[0]) && !strings.HasPrefix(name, leftover[1]) && !strings.HasPrefix(name, leftover[2]) {
			continue
		}
		p := filepath.Join(h.Paths.Work(), name)
		size, last := weigh(p)
		if !last.Before(before) {
			continue
		}
		if freed += size; !dryRun {
			err = errors.Join(err, os.RemoveAll(p))
		}
	}
	return freed, diskError(err)
}

// weigh returns the bytes below p and when something there was last written.
func weigh(p string) (size int64, last time.Time) {
	_ = filepath.WalkDir(p, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // removed meanwhile
		}
		if info, err := e.Info(); err == nil {
			if info.ModTime().After(last) {
				last = info.ModTime()
			}
			if info.Mode().IsRegular() {
				size += info.Size()
			}
		}
		return nil
	})
	return size, last
}

// Pin keeps a run's content whatever its age, or no longer.
func (h *House) Pin(ctx context.Context, run int64, pinned bool, by lastro.Actor) error {
	return store.NewBlobs(h.DB).Pin(ctx, run, pinned, by)
}
