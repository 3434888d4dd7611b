// SPDX-License-Identifier: Apache-2.0

package python

import "strings"

// Packages returns the versions that a lock pins, by package name in lower
// case; of a line without "==" all that follows the name.
func Packages(lock []byte) map[string]string {
	out := map[string]string{}
	for _, pin := range parseLock(lock).pins {
		pin, _, _ = strings.Cut(pin, ";") // an environment marker
		name, version, ok := strings.Cut(pin, "==")
		if !ok {
			name, version, _ = strings.Cut(strings.TrimSpace(pin), " ")
		}
		name, _, _ = strings.Cut(name, "[") // extras
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			out[name] = strings.TrimSpace(version)
		}
	}
	return out
}
