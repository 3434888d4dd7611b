// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// samePoint compares the bits of the values: NaN is NaN.
func samePoint(a, b point) bool {
	return a.at == b.at && a.step == b.step && a.where == b.where && math.Float64bits(a.value) == math.Float64bits(b.value)
}

var extremes = []point{
	{}, {at: math.MinInt64, step: math.MaxInt64, value: math.Inf(1)}, {at: math.MaxInt64, step: math.MinInt64, value: math.Inf(-1)},
	{value: math.NaN()}, {value: math.Copysign(0, -1)}, {value: math.MaxFloat64}, {value: math.SmallestNonzeroFloat64},
	{step: 3, value: 0.1, where: place{"m-1", "train", "abc"}}, {step: 4, value: 0.1}, {at: 1, step: -5, value: -1e-300},
}

func TestPointsAreKeptAsTheyAre(t *testing.T) {
	data := appendPoints(appendPoints([]byte{pointsVersion}, 7, extremes), 9, extremes[:1])
	got, err := decodePoints(data, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range extremes {
		if !slices.ContainsFunc(got, func(p point) bool { return samePoint(p, want) }) {
			t.Errorf("%v is gone", want)
		}
	}
	if one, err := decodePoints(data, 9); err != nil || len(one) != 1 || len(got) != len(extremes) {
		t.Errorf("%d and %d points, %v", len(got), len(one), err)
	}
}

// The bytes of positions compare as the points do.
func TestPositionsAreInOrder(t *testing.T) {
	points := slices.Clone(extremes)
	for range 300 {
		points = append(points, point{at: rand.Int64N(5) - 2, step: rand.Int64N(5) - 2, value: float64(rand.IntN(5) - 2)})
	}
	for _, a := range points {
		for _, b := range points {
			x, y := a.pos(), b.pos()
			if a.compare(b) != bytes.Compare(x[:], y[:]) {
				t.Fatalf("%v and %v: %d, their positions %d", a, b, a.compare(b), bytes.Compare(x[:], y[:]))
			}
		}
	}
}

func FuzzDecodePoints(f *testing.F) {
	f.Add(appendPoints([]byte{pointsVersion}, 7, extremes))
	f.Add([]byte{pointsVersion, 1, 0, 0, 0, 200, 1, 3, 0, 0, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		points, err := decodePoints(data, 0)
		if err != nil {
			return
		}
		again, err := decodePoints(appendPoints([]byte{pointsVersion}, 1, points), 0)
		if err != nil || len(again) != len(points) {
			t.Fatalf("%d points became %d: %v", len(points), len(again), err)
		}
	})
}
