// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"sync"

	"lastro"
)

// recent keeps small contents that were just read: what one step wrote the
// next ones read.
type recent struct {
	mu   sync.Mutex
	all  map[lastro.Digest][]byte
	size int // bytes
}

// Contents larger than recentEach are not kept; of the others, recentAll bytes.
const (
	recentEach = 4 << 10
	recentAll  = 1 << 20
)

// get returns a copy of what is kept.
func (r *recent) get(d lastro.Digest) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.all[d]
	return bytes.Clone(b), ok
}

// put keeps a copy. When there is no room all the others are let go: they cost
// one read each.
func (r *recent) put(d lastro.Digest, b []byte) {
	if len(b) > recentEach {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil || r.size+len(b) > recentAll {
		r.all, r.size = map[lastro.Digest][]byte{}, 0
	}
	if _, known := r.all[d]; !known {
		r.all[d] = append([]byte{}, b...)
		r.size += len(b)
	}
}

// drop lets go of a content.
func (r *recent) drop(d lastro.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.size -= len(r.all[d])
	delete(r.all, d)
}
