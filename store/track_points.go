// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"

	"lastro/track"
)

// point is one value of a metric as it is kept. Times are milliseconds.
type point struct {
	at, step int64
	value    float64
	where    place
}

// place is where a point was measured; mostly nowhere in particular.
type place struct{ model, dataset, digest string }

// pointPos is the place of a point in its history: time, step, value, NaN, so
// that its bytes compare as the points do. MLflow's server has the same order;
// it keeps NaN as the value 0 with a mark. Points of one run and key with the
// same position are the same point.
type pointPos [25]byte

func (p point) pos() (out pointPos) {
	binary.BigEndian.PutUint64(out[0:], uint64(p.at)^1<<63)
	binary.BigEndian.PutUint64(out[8:], uint64(p.step)^1<<63)
	value := p.value
	if math.IsNaN(value) {
		value, out[24] = 0, 1
	}
	if value == 0 {
		value = 0 // -0 is the same value
	}
	b := math.Float64bits(value)
	if b>>63 == 1 {
		b = ^b
	} else {
		b ^= 1 << 63
	}
	binary.BigEndian.PutUint64(out[16:], b)
	return out
}

// compare is the order of pos without making it.
func (p point) compare(o point) int {
	switch {
	case p.at != o.at:
		return sign(p.at < o.at)
	case p.step != o.step:
		return sign(p.step < o.step)
	}
	a, b, nanA, nanB := p.value, o.value, math.IsNaN(p.value), math.IsNaN(o.value)
	if nanA {
		a = 0
	}
	if nanB {
		b = 0
	}
	switch {
	case a != b:
		return sign(a < b)
	case nanA != nanB:
		return sign(nanB)
	}
	return 0
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// inOrder sorts points and keeps the first of those that are the same.
func inOrder(points []point) []point {
	if !slices.IsSortedFunc(points, point.compare) {
		slices.SortStableFunc(points, point.compare)
	}
	return slices.CompactFunc(points, func(a, b point) bool { return a.compare(b) == 0 })
}

func (p point) metric(key string) track.Metric {
	return track.Metric{Key: key, Value: p.value, Step: p.step, At: fromMillis(p.at),
		LoggedModel: p.where.model, DatasetName: p.where.dataset, DatasetDigest: p.where.digest}
}

// pointsVersion is the first byte of encoded points.
const pointsVersion = 1

// appendPoints appends a group: the points of one key. A group is
//
//	key, texts of the place, number of points, length of the rest (all uvarint)
//	for each point: time and step less those of the one before (varint),
//	                a byte 16*leading + trailing zero bytes of its bits XOR those of the one before,
//	                and the bytes between, highest first
//
// Points of several places make several groups. The caller begins the data
// with pointsVersion.
func appendPoints(data []byte, key int64, points []point) []byte {
	for len(points) > 0 {
		where := points[0].where
		n := 1
		same := true
		for _, p := range points[1:] {
			if p.where == where {
				n++
			} else {
				same = false
			}
		}
		group, rest := points, []point(nil)
		if !same {
			group = make([]point, 0, n)
			for _, p := range points {
				if p.where == where {
					group = append(group, p)
				} else {
					rest = append(rest, p)
				}
			}
		}
		data = appendGroup(data, key, where, group)
		points = rest
	}
	return data
}

func appendGroup(data []byte, key int64, where place, points []point) []byte {
	data = binary.AppendUvarint(data, uint64(key))
	for _, text := range []string{where.model, where.dataset, where.digest} {
		data = append(binary.AppendUvarint(data, uint64(len(text))), text...)
	}
	data = binary.AppendUvarint(data, uint64(len(points)))
	var few [64]byte
	body := few[:0]
	if len(points) > 2 {
		body = make([]byte, 0, 12*len(points))
	}
	var at, step int64
	var last uint64
	for _, p := range points {
		body = binary.AppendVarint(body, p.at-at)
		body = binary.AppendVarint(body, p.step-step)
		b := math.Float64bits(p.value)
		body = appendXOR(body, b^last)
		at, step, last = p.at, p.step, b
	}
	return append(binary.AppendUvarint(data, uint64(len(body))), body...)
}

func appendXOR(body []byte, x uint64) []byte {
	if x == 0 {
		return append(body, 8<<4)
	}
	lead, trail := bits.LeadingZeros64(x)/8, bits.TrailingZeros64(x)/8
	body = append(body, byte(lead<<4|trail))
	for i := 7 - lead; i >= trail; i-- {
		body = append(body, byte(x>>(8*i)))
	}
	return body
}

var errPoints = errors.New("stored metric points are damaged")

// eachGroup calls fn for the groups of encoded points whose key is wanted; 0
// means every key. What decode returns may be kept.
func eachGroup(data []byte, want int64, fn func(key int64, points []point) error) error {
	if len(data) == 0 || data[0] != pointsVersion {
		return errPoints
	}
	r := pointReader{rest: data[1:]}
	for len(r.rest) > 0 && !r.bad {
		key := int64(r.uvarint())
		var texts [3][]byte
		for i := range texts {
			texts[i] = r.bytes(r.uvarint())
		}
		n := r.uvarint()
		body := r.bytes(r.uvarint())
		if r.bad || key <= 0 || n > uint64(len(body))/3 {
			return errPoints
		}
		if want != 0 && key != want {
			continue
		}
		points, err := decodeBody(body, int(n), place{string(texts[0]), string(texts[1]), string(texts[2])})
		if err == nil {
			err = fn(key, points)
		}
		if err != nil {
			return err
		}
	}
	if r.bad {
		return errPoints
	}
	return nil
}

func decodeBody(body []byte, n int, where place) ([]point, error) {
	points := make([]point, n)
	r := pointReader{rest: body}
	var at, step int64
	var last uint64
	for i := range points {
		at += r.varint()
		step += r.varint()
		last ^= r.xor()
		points[i] = point{at, step, math.Float64frombits(last), where}
	}
	if r.bad || len(r.rest) > 0 {
		return nil, errPoints
	}
	return points, nil
}

// decodePoints returns the points of one key, or of all when want is 0.
func decodePoints(data []byte, want int64) (points []point, err error) {
	err = eachGroup(data, want, func(_ int64, part []point) error {
		if points == nil {
			points = part
		} else {
			points = append(points, part...)
		}
		return nil
	})
	return points, err
}

// pointReader reads numbers off encoded points; bad stays set after the first
// that is cut short.
type pointReader struct {
	rest []byte
	bad  bool
}

func (r *pointReader) took(n int) {
	if n <= 0 {
		r.bad, r.rest = true, nil
		return
	}
	r.rest = r.rest[n:]
}

func (r *pointReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.took(n)
	return v
}

func (r *pointReader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.took(n)
	return v
}

func (r *pointReader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *pointReader) xor() (x uint64) {
	head := r.bytes(1)
	if r.bad {
		return 0
	}
	lead, trail := int(head[0]>>4), int(head[0]&15)
	if lead+trail > 8 {
		r.bad = true
		return 0
	}
	for _, b := range r.bytes(uint64(8 - lead - trail)) {
		x = x<<8 | uint64(b)
	}
	return x << (8 * trail)
}
