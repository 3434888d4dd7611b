// SPDX-License-Identifier: Apache-2.0

package store

// SetFindLimits sets where searches of runs change their ways; it returns what
// sets them back.
func SetFindLimits(smallSet, largeTie, capacity, patience, portion int) (restore func()) {
	usual := limitsFor
	limitsFor = func(int) findLimits { return findLimits{smallSet, largeTie, capacity, patience, portion} }
	return func() { limitsFor = usual }
}
