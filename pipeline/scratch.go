// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
)

// spares are scratch folders that a step of this run left as it found them:
// with an empty HOME and TMPDIR. To make three folders and remove them costs
// more than all else that a small step needs of a file system; to rename one
// costs next to nothing.
type spares struct {
	mu   sync.Mutex
	free []string // absolute
	made int
}

// mostSpare bounds the folders that are kept for the next steps.
const mostSpare = 64

// take makes a spare the folder at path; false when there is none.
func (s *spares) take(path string) bool {
	s.mu.Lock()
	n := len(s.free)
	if n == 0 {
		s.mu.Unlock()
		return false
	}
	spare := s.free[n-1]
	s.free = s.free[:n-1]
	s.mu.Unlock()
	return os.Rename(spare, path) == nil // else something is there, and the spare goes with the run
}

// give keeps the folder at path for another step; false when a step changed it.
func (s *spares) give(path string) bool {
	if !untouched(path) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.free) >= mostSpare {
		return false
	}
	s.made++
	spare := filepath.Join(filepath.Dir(path), ".spare-"+strconv.Itoa(s.made))
	if os.Rename(path, spare) != nil {
		return false
	}
	s.free = append(s.free, spare)
	return true
}

// untouched reports whether a scratch folder holds an empty HOME and TMPDIR,
// with the modes that they were made with, and nothing else.
func untouched(path string) bool {
	names, ok := entries(path)
	slices.Sort(names)
	if !ok || !slices.Equal(names, []string{"home", "tmp"}) {
		return false
	}
	for _, name := range names {
		if inside, ok := entries(filepath.Join(path, name)); !ok || len(inside) > 0 {
			return false
		}
	}
	return true
}

// entries lists at most three entries of a folder of this user's with mode 0700;
// a link to one does not count.
func entries(path string) ([]string, bool) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode() != os.ModeDir|0o700 {
		return nil, false
	}
	list, err := f.Readdirnames(3)
	return list, err == nil || errors.Is(err, io.EOF)
}
