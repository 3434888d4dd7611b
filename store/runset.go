// SPDX-License-Identifier: Apache-2.0

package store

import "math/bits"

// runSet is a set of numbers of tracked runs: one bit a run, in portions of
// 4,096 numbers. The runs of one experiment lie close together, so a million
// of them take about 130 kB, however many other runs there are.
type runSet struct {
	portions map[int64]*[64]uint64
	count    int
}

func newRunSet() *runSet { return &runSet{portions: map[int64]*[64]uint64{}} }

func (s *runSet) add(run int64) {
	p := s.portions[run>>12]
	if p == nil {
		p = new([64]uint64)
		s.portions[run>>12] = p
	}
	word, bit := &p[run>>6&63], uint64(1)<<(run&63)
	if *word&bit == 0 {
		*word |= bit
		s.count++
	}
}

func (s *runSet) has(run int64) bool {
	p := s.portions[run>>12]
	return p != nil && p[run>>6&63]&(1<<(run&63)) != 0
}

// list returns the numbers in no order.
func (s *runSet) list() []int64 {
	out := make([]int64, 0, s.count)
	for high, p := range s.portions {
		for i, word := range p {
			for ; word != 0; word &= word - 1 {
				out = append(out, high<<12|int64(i)<<6|int64(bits.TrailingZeros64(word)))
			}
		}
	}
	return out
}
