// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lastro/data"
	"lastro/serve"
)

// compactLoop turns closed segments of the request logs into Parquet, which is
// smaller and read faster, and keeps the cache from growing for ever.
func (s *server) compactLoop(ctx context.Context) error {
	h := s.house
	return s.every(ctx, time.Minute, time.Hour, "compaction", func(ctx context.Context) error {
		endpoints, err := os.ReadDir(filepath.Dir(h.Paths.RequestLog("x")))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		var errs []error
		for _, e := range endpoints {
			if e.IsDir() {
				errs = append(errs, h.compact(ctx, h.Paths.RequestLog(e.Name())))
			}
		}
		return errors.Join(append(errs, h.tidyCache(ctx, h.Clock.Now()))...)
	})
}

// compact replaces the closed segments of one request log, all but the newest.
func (h *House) compact(ctx context.Context, dir string) error {
	names, err := serve.Segments(dir)
	if err != nil || len(names) < 2 {
		return err
	}
	var errs []error
	for _, name := range names[:len(names)-1] {
		if err := h.compactSegment(ctx, dir, name); err != nil {
			errs = append(errs, fmt.Errorf("compact %s: %w", filepath.Join(filepath.Base(dir), name), err))
		}
	}
	return errors.Join(errs...)
}

// compactSegment writes the Parquet of a segment, syncs it, and only then
// removes the NDJSON. Killed in between it leaves both, of which readers take
// the Parquet: a row is there once at any moment.
func (h *House) compactSegment(ctx context.Context, dir, name string) error {
	from := filepath.Join(dir, name)
	to := strings.TrimSuffix(from, ".ndjson") + ".parquet"
	if _, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) {
		if err := h.writeCompact(ctx, from, to); err != nil {
			return err
		}
	} else if err != nil {
		return diskError(err)
	}
	h.segments.Lock()
	defer h.segments.Unlock()
	return diskError(os.Remove(from))
}

func (h *House) writeCompact(ctx context.Context, from, to string) error {
	work, err := os.MkdirTemp(h.Paths.Work(), "compact-")
	if err != nil {
		return diskError(err)
	}
	defer os.RemoveAll(work)
	out := filepath.Join(work, filepath.Base(to))
	written, err := h.Data.Compact(ctx, data.CompactRequest{Segments: []data.File{{Path: from}}, Out: out})
	if err != nil {
		return err
	}
	lines, err := countLines(from)
	if err != nil {
		return diskError(err)
	}
	if written.Rows != lines {
		return fmt.Errorf("%d of %d lines can be read; the segment stays as it is", written.Rows, lines)
	}
	if err := syncFile(out); err != nil {
		return diskError(err)
	}
	h.segments.Lock()
	defer h.segments.Unlock()
	if err := os.Rename(out, to); err != nil {
		return diskError(err)
	}
	return diskError(syncFile(filepath.Dir(to)))
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// countLines counts whole lines.
func countLines(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 1<<20)
	var n int64
	for {
		read, err := f.Read(buf)
		n += int64(bytes.Count(buf[:read], []byte("\n")))
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// logFiles lists the segments of a request log, oldest first, each row once: a
// segment whose Parquet is there already is left out. Hold segments for
// reading from here to the end of the query.
func logFiles(dir string) ([]data.File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, diskError(err)
	}
	best := map[string]string{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		stem := strings.TrimSuffix(e.Name(), ext)
		if strings.HasPrefix(stem, ".") || ext != ".ndjson" && ext != ".parquet" {
			continue
		}
		if best[stem] != ".parquet" {
			best[stem] = ext
		}
	}
	var out []data.File
	for stem, ext := range best {
		out = append(out, data.File{Path: filepath.Join(dir, stem+ext)})
	}
	slices.SortFunc(out, func(a, b data.File) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}
