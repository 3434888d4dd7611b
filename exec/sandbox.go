// SPDX-License-Identifier: Apache-2.0

package exec

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Limits are what all processes of a task together may use. Zero fields are
// not limited.
type Limits struct {
	CPU    float64 // processors: 0.5 is half of the time of one
	Memory int64   // bytes; who needs more is killed, and its Exit has reason OOM
}

func (l Limits) check() error {
	switch {
	case !(l.CPU >= 0) || l.CPU > 1e6:
		return fmt.Errorf("limit of %v processors is not a number of processors", l.CPU)
	case l.Memory < 0:
		return fmt.Errorf("limit of %d bytes of memory is negative", l.Memory)
	}
	return nil
}

// Network is what a task may reach.
type Network string

// The networks. Under none a task has a loopback of its own, on which nobody
// but itself and tracking listens.
const (
	NetworkFull Network = "full"
	NetworkNone Network = "none"
)

// Sandbox is what a task may read, write and reach. The zero value restricts
// nothing. All paths are absolute; one that does not exist is no error.
type Sandbox struct {
	// ReadOnly can be read and not written, with or without Strict: the blob
	// store. An executor that cannot keep this without Strict says so in
	// Exit.Isolation and goes on.
	ReadOnly []string

	// Binds shows files and folders of the machine at other paths, read-only.
	// Their To must exist as a file or a folder like From.
	Binds []Bind

	// Strict refuses every write but to Writable, Task.Dir and Task.MakeDirs, and
	// every read but of these, of Binds and ReadOnly, and of the machine's own
	// programs, libraries and settings; of these none that is in Hidden. An executor that cannot keep it starts nothing:
	// the Exit has reason StartFailed.
	Strict   bool
	Writable []string
	Hidden   []string // but for what Writable, Task.Dir, Task.MakeDirs, Binds and ReadOnly name below it: the project's root, wherever it lies

	// Network is full when empty. As with Strict, none is kept or nothing starts.
	Network Network
}

// Bind shows From at To.
type Bind struct{ From, To string }

func (s Sandbox) check() error {
	if s.Network != "" && s.Network != NetworkFull && s.Network != NetworkNone {
		return fmt.Errorf("network %q is neither full nor none", s.Network)
	}
	var all []string
	all = append(append(append(all, s.ReadOnly...), s.Writable...), s.Hidden...)
	for _, b := range s.Binds {
		all = append(all, b.From, b.To)
	}
	for _, p := range all {
		switch {
		case strings.ContainsRune(p, 0):
			return fmt.Errorf("sandbox path %q has a NUL byte", p)
		case !filepath.IsAbs(p) || filepath.Clean(p) != p:
			return fmt.Errorf("sandbox path %q is not absolute and clean", p)
		case p == "/":
			return errors.New("a sandbox path without a name: the root of the machine cannot be hidden, bound or made writable")
		}
	}
	return nil
}
