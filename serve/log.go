// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"lastro"
)

// requestLog keeps every request and answer as NDJSON segments, one line a
// row, below DIR/log/ENDPOINT/. put never waits: lines go through a queue to
// one writer, which writes at once and syncs within syncEvery. A queue over
// maxQueued bytes drops lines and counts them.
type requestLog struct {
	dir          string
	segmentBytes int64
	segmentAge   time.Duration
	opts         Options
	queue        chan logEntry
	queued       atomic.Int64 // bytes, estimated
	dropped      atomic.Int64
	flushes      chan chan error
	done         chan struct{}
	once         sync.Once
	segments     map[string]*segment
	lastNotice   time.Time
}

const (
	syncEvery = 150 * time.Millisecond
	maxQueued = 128 << 20
)

type segment struct {
	f     *os.File
	size  int64
	born  time.Time
	dirty bool
}

// LogDir is where an endpoint's segments lie below a serve directory. Their
// names sort by time; the newest is being written, and its last line may be cut.
func LogDir(dir, endpoint string) string { return filepath.Join(dir, "log", endpoint) }

func openRequestLog(opts Options) (*requestLog, error) {
	l := &requestLog{dir: opts.Dir, segmentBytes: opts.SegmentBytes, segmentAge: opts.SegmentAge, opts: opts,
		queue: make(chan logEntry, 1<<16), flushes: make(chan chan error), done: make(chan struct{}), segments: map[string]*segment{}}
	if l.segmentBytes == 0 {
		l.segmentBytes = 64 << 20
	}
	if l.segmentAge == 0 {
		l.segmentAge = time.Hour
	}
	if err := os.MkdirAll(filepath.Join(opts.Dir, "log"), 0o700); err != nil {
		return nil, fmt.Errorf("make the request log's directory: %w", err)
	}
	go l.run()
	return l, nil
}

// put queues the rows of one request.
func (l *requestLog) put(e logEntry) {
	size := e.size()
	if l.queued.Add(size) > maxQueued {
		l.queued.Add(-size)
		l.dropped.Add(int64(e.lines()))
		return
	}
	select {
	case l.queue <- e:
	default:
		l.queued.Add(-size)
		l.dropped.Add(int64(e.lines()))
	}
}

func (l *requestLog) droppedLines() int64 { return l.dropped.Load() }

func (l *requestLog) flush(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case l.flushes <- reply:
	case <-l.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close writes what is queued. Nothing may be put afterwards.
func (l *requestLog) close() error {
	l.once.Do(func() { close(l.queue) })
	<-l.done
	return nil
}

func (l *requestLog) run() {
	defer close(l.done)
	ticker := time.NewTicker(syncEvery)
	defer ticker.Stop()
	for {
		select {
		case e, ok := <-l.queue:
			if !ok {
				l.sync(true)
				return
			}
			l.write(l.batch(e))
		case reply := <-l.flushes:
			for len(l.queue) > 0 {
				l.write(l.batch(<-l.queue))
			}
			reply <- l.sync(false)
		case <-ticker.C:
			if err := l.sync(false); err != nil {
				l.notice(err)
			}
		}
	}
}

// batch encodes e and what else waits, up to 1 MiB, by endpoint.
func (l *requestLog) batch(e logEntry) map[string]*bytes.Buffer {
	out := map[string]*bytes.Buffer{}
	for total := 0; ; {
		buf := out[e.endpoint]
		if buf == nil {
			buf = &bytes.Buffer{}
			out[e.endpoint] = buf
		}
		before := buf.Len()
		e.encode(buf)
		total += buf.Len() - before
		l.queued.Add(-e.size())
		if total > 1<<20 {
			return out
		}
		select {
		case next, ok := <-l.queue:
			if !ok {
				return out // run sees the closed queue next
			}
			e = next
		default:
			return out
		}
	}
}

// write appends whole lines with one call to each segment.
func (l *requestLog) write(batch map[string]*bytes.Buffer) {
	for endpoint, buf := range batch {
		lines := bytes.Count(buf.Bytes(), []byte("\n"))
		seg, err := l.segment(endpoint)
		if err == nil {
			var n int
			n, err = seg.f.Write(buf.Bytes())
			if err != nil && n > 0 {
				seg.f.Truncate(seg.size) // a full disk must not leave half a line behind
				seg.f.Seek(seg.size, io.SeekStart)
				n = 0
			}
			seg.size += int64(n)
			seg.dirty = true
		}
		if err != nil {
			l.dropped.Add(int64(lines))
			l.notice(err)
		}
	}
}

// notice says at most once a minute that the log cannot be kept.
func (l *requestLog) notice(err error) {
	if time.Since(l.lastNotice) > time.Minute {
		l.lastNotice = time.Now()
		l.opts.Log.Error("request log cannot be written", "dropped", l.dropped.Load(), "err", err)
	}
}

// segment returns the open segment of an endpoint, a new one when it is full or old.
func (l *requestLog) segment(endpoint string) (*segment, error) {
	seg := l.segments[endpoint]
	if seg != nil && seg.size < l.segmentBytes && time.Since(seg.born) < l.segmentAge {
		return seg, nil
	}
	dir := LogDir(l.dir, endpoint)
	if seg != nil {
		seg.f.Sync()
		seg.f.Close()
		delete(l.segments, endpoint)
	} else {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		if err := mendTail(dir); err != nil {
			return nil, err
		}
	}
	now := time.Now().UTC()
	f, err := os.OpenFile(filepath.Join(dir, now.Format("20060102T150405.000000")+".ndjson"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	seg = &segment{f: f, born: now}
	l.segments[endpoint] = seg
	return seg, nil
}

// mendTail cuts a half-written last line off the newest segment, as power loss
// or a full disk leaves it.
func mendTail(dir string) error {
	names, err := Segments(dir)
	if err != nil || len(names) == 0 {
		return err
	}
	path := filepath.Join(dir, names[len(names)-1])
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if end := bytes.LastIndexByte(text, '\n') + 1; end < len(text) {
		return os.Truncate(path, int64(end))
	}
	return nil
}

// Segments lists the segments in a LogDir, oldest first; none is no error.
func Segments(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".ndjson") {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// sync makes what was written durable; last closes the segments too.
func (l *requestLog) sync(last bool) error {
	var errs []error
	for _, seg := range l.segments {
		if seg.dirty {
			errs = append(errs, seg.f.Sync())
			seg.dirty = false
		}
		if last {
			errs = append(errs, seg.f.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0604", Msg: "the request log cannot be synced", Hint: "check the disk", Err: err}
	}
	return nil
}
