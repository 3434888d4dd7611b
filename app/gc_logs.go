// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"lastro"
	"lastro/store"
)

// sweepLogs removes what the steps of runs printed whose outputs are not kept
// and which nobody has written to since before; it returns the bytes. What a
// kept run took from the cache keeps the log of its making.
func (h *House) sweepLogs(ctx context.Context, kept, rest []int64, before time.Time, dryRun bool) (int64, error) {
	entries, err := os.ReadDir(h.Paths.Logs())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, diskError(err)
	}
	sources, err := store.NewPipeline(h.DB).SourcesOf(ctx, kept)
	if err != nil {
		return 0, err
	}
	var freed int64
	var errs []error
	for _, e := range entries {
		run, err := strconv.ParseInt(e.Name(), 10, 64)
		if err != nil || sources[run] || !slices.Contains(rest, run) {
			continue
		}
		dir := filepath.Join(h.Paths.Logs(), e.Name())
		size, last := weigh(dir)
		if !last.Before(before) {
			continue
		}
		if freed += size; !dryRun {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return freed, diskError(errors.Join(errs...))
}

// collectEvery is how often a server removes by itself what nobody needs.
const collectEvery = 24 * time.Hour

// firstCollect is how long a server that has just started waits with that.
const firstCollect = 10 * time.Minute

// collectLoop removes once a day what `lastro gc` removes without options, but
// for what people deleted of tracking. When that was done last is kept over restarts.
func (s *server) collectLoop(ctx context.Context) error {
	if s.keepAll {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-time.After(firstCollect):
	}
	return s.every(ctx, time.Hour, 12*time.Hour, "gc", s.collect)
}

// collect collects unless that was done within collectEvery.
func (s *server) collect(ctx context.Context) error {
	h := s.house
	mark := filepath.Join(h.Paths.State, "gc.last")
	if info, err := os.Stat(mark); err == nil && h.Clock.Now().Sub(info.ModTime()) < collectEvery {
		return nil
	}
	done, err := h.Collect(ctx, CollectOptions{KeepRuns: DefaultKeepRuns, KeepDays: DefaultKeepDays, KeepLogs: DefaultKeepLogs, Grace: DefaultGrace, Deleted: -1})
	if lastro.Is(err, lastro.EConflict) {
		return nil // somebody else is at it
	}
	if err != nil {
		return err
	}
	if done.Removed > 0 || done.Logs > 0 {
		h.Log.Info("removed what nobody needs", "contents", done.Removed, "bytes", done.Freed+done.Leftovers+done.Work, "logs", done.Logs, "runs kept", done.RunsKept)
	}
	now := h.Clock.Now()
	if err := os.WriteFile(mark, nil, 0o600); err != nil {
		return diskError(err)
	}
	return os.Chtimes(mark, now, now)
}
