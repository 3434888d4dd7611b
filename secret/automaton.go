// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"maps"
	"slices"
)

// anchorBytes is how much of a pattern the automaton knows. What follows is
// compared byte by byte, so that its size depends little on the length of values.
const anchorBytes = 24

// automaton finds the first anchorBytes bytes of many patterns in one pass
// (Aho and Corasick, 1975), as a table of transitions over the classes of bytes
// that patterns hold.
type automaton struct {
	class   [256]uint16 // 0 = in no pattern; lineEnd = not looked at
	classes int
	next    []int32 // state*classes + class -> state*classes, its complement when something ends there
	held    []uint8 // of a state: how many bytes seen last may begin a pattern that is not complete
	hit     []int32 // of a state: index of hits, 0 = none
	hits    []hit
}

// lineEnd is the class of CR and LF.
const lineEnd = 1 << 15

// hit is what ends in a state.
type hit struct {
	length int      // of the longest anchor that ends here
	rests  []string // of longer patterns, what has to follow
}

func newAutomaton(patterns []string) *automaton {
	a := &automaton{hits: make([]hit, 1)}
	seen, states := map[byte]bool{}, 1
	for _, p := range patterns {
		states += len(anchor(p))
		for _, c := range []byte(anchor(p)) {
			seen[c] = true
		}
	}
	for i, c := range slices.Sorted(maps.Keys(seen)) {
		a.class[c] = uint16(i + 1)
	}
	a.classes = len(seen) + 1
	a.next = make([]int32, 0, states*a.classes) // an upper bound: patterns share beginnings
	a.state(0)
	for _, p := range patterns {
		a.add(p)
	}
	a.link()
	for i, s := range a.next {
		if a.next[i] = s * int32(a.classes); a.hit[s] != 0 {
			a.next[i] = ^a.next[i]
		}
	}
	a.class['\n'], a.class['\r'] = lineEnd, lineEnd
	return a
}

func anchor(p string) string { return p[:min(len(p), anchorBytes)] }

// state makes a new one.
func (a *automaton) state(depth int) int32 {
	a.next = a.next[:len(a.next)+a.classes]
	a.held = append(a.held, uint8(depth))
	a.hit = append(a.hit, 0)
	return int32(len(a.held) - 1)
}

// add enters one pattern into the trie; 0 means no child until link.
func (a *automaton) add(p string) {
	s := int32(0)
	for i, c := range []byte(anchor(p)) {
		at := int(s)*a.classes + int(a.class[c])
		if a.next[at] == 0 {
			a.next[at] = a.state(i + 1)
		}
		s = a.next[at]
	}
	if a.hit[s] == 0 {
		a.hits = append(a.hits, hit{length: len(anchor(p))})
		a.hit[s] = int32(len(a.hits) - 1)
	}
	if rest := p[len(anchor(p)):]; rest != "" {
		h := &a.hits[a.hit[s]]
		h.rests = append(h.rests, rest)
	}
}

// link turns the trie into the automaton, states in order of depth.
func (a *automaton) link() {
	fail := make([]int32, len(a.held))
	var queue []int32
	for _, s := range a.next[:a.classes] {
		if s != 0 {
			queue = append(queue, s)
		}
	}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		a.inherit(s, fail[s])
		leaf := true
		for c := range a.classes {
			at := int(s)*a.classes + c
			back := a.next[int(fail[s])*a.classes+c]
			if child := a.next[at]; child != 0 {
				fail[child] = back
				queue = append(queue, child)
				leaf = false
			} else {
				a.next[at] = back
			}
		}
		if leaf {
			a.held[s] = a.held[fail[s]]
		}
	}
}

// inherit adds what ends in the longest proper suffix of a state.
func (a *automaton) inherit(s, suffix int32) {
	h := a.hit[suffix]
	switch {
	case h == 0:
	case a.hit[s] == 0:
		a.hit[s] = h
	default:
		own := &a.hits[a.hit[s]]
		own.rests = slices.Concat(own.rests, a.hits[h].rests)
	}
}
