// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// logSync makes what tasks wrote durable within 200 ms, also against a loss of
// power, without a task ever waiting for a disk.
type logSync struct {
	mu   sync.Mutex
	logs map[*os.File]*logState
}

type logState struct {
	synced int64 // size when it was last synced
	over   bool  // nobody writes to it any more: sync once more and close
}

const syncEvery = 200 * time.Millisecond

// manyLogs is from how many changed logs on one sync of the file system is
// cheaper than one of each.
const manyLogs = 8

// begins watches a log that begins at its present size.
func (l *logSync) begins(f *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.logs[f] = &logState{synced: size(f)}
}

// ended hands a log over: it is closed once it is synced.
func (l *logSync) ended(f *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.logs[f]
	if st == nil || size(f) == st.synced {
		delete(l.logs, f)
		f.Close()
		return
	}
	st.over = true
}

// run syncs until ctx ends, and then once more.
func (l *logSync) run(ctx context.Context) {
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.sync()
		case <-ctx.Done():
			l.sync()
			return
		}
	}
}

func (l *logSync) sync() {
	l.mu.Lock()
	var changed, over []*os.File
	for f, st := range l.logs {
		if n := size(f); n != st.synced {
			st.synced = n
			changed = append(changed, f)
		}
		if st.over {
			over = append(over, f)
			delete(l.logs, f)
		}
	}
	l.mu.Unlock()
	if len(changed) > manyLogs {
		devices := map[uint64]bool{}
		for _, f := range changed {
			var st unix.Stat_t
			if unix.Fstat(int(f.Fd()), &st) == nil && !devices[uint64(st.Dev)] {
				devices[uint64(st.Dev)] = true
				_ = unix.Syncfs(int(f.Fd()))
			}
		}
	} else {
		for _, f := range changed {
			_ = unix.Fdatasync(int(f.Fd()))
		}
	}
	for _, f := range over {
		f.Close()
	}
}

func size(f *os.File) int64 {
	fi, err := f.Stat()
	if err != nil {
		return 0
	}
	return fi.Size()
}
