// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"fmt"
	"strings"

	"lastro/track"
)

// safeName is the name that a file gets here. MLflow takes any name; lastro
// takes letters, digits, space and . _ - / only. What it does not take is
// written as _ and the hexadecimal number of the byte, so that no two names
// become one by chance, and the name can be read still.
func safeName(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		var b strings.Builder
		for j := range len(part) {
			c := part[j]
			plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' ||
				c == ' ' && j > 0 && j < len(part)-1
			if plain {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "_%02x", c)
			}
		}
		parts[i] = b.String()
	}
	return strings.Join(parts, "/")
}

// nameHere returns the path of a file below a root of this lastro, and whether
// its name had to change. A name that cannot be kept at all is an error.
func nameHere(root, name string) (path string, changed bool, err error) {
	safe := safeName(name)
	path = root + "/" + safe
	return path, safe != name, track.CheckPath(path)
}
