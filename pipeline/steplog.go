// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// stepLog is the file of an attempt's log. It is made with the first line that
// is written here: an executor writes what a program says by itself.
type stepLog struct {
	path string

	mu sync.Mutex
	f  *os.File
}

// Write implements io.Writer.
func (l *stepLog) Write(b []byte) (int, error) {
	if err := l.open(); err != nil {
		return 0, err
	}
	return l.f.Write(b)
}

// open makes the file, once.
func (l *stepLog) open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		return nil
	}
	const appending = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	f, err := os.OpenFile(l.path, appending, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(l.path), 0o700); err == nil {
			f, err = os.OpenFile(l.path, appending, 0o600)
		}
	}
	if err != nil {
		return diskFull(err)
	}
	l.f = f
	return nil
}

// Close closes the file if there is one.
func (l *stepLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	return l.f.Close()
}
