// SPDX-License-Identifier: Apache-2.0

package track

import (
	"strconv"
	"strings"
)

// GuardFormula puts an apostrophe before a text that a spreadsheet would carry
// out instead of showing it (OWASP, CSV injection). Numbers stay as they are.
func GuardFormula(text string) string {
	if text == "" || !strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return text
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return text
	}
	return "'" + text
}
