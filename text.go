// SPDX-License-Identifier: Apache-2.0

package lastro

import "unicode/utf8"

// CheckText refuses, as EInvalid, a text that is not UTF-8 or has fewer than
// least or more than most characters; least is 0 or 1. what names it in the error.
func CheckText(what, text string, least, most int) error {
	n := utf8.RuneCountInString(text)
	switch {
	case !utf8.ValidString(text):
		return Errorf(EInvalid, "%s is not valid UTF-8", what)
	case n < least:
		return Errorf(EInvalid, "%s is empty", what)
	case n > most:
		return Errorf(EInvalid, "%s has %d characters; %d is the most", what, n, most)
	}
	return nil
}
