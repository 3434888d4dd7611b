// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bytes"
	"strings"

	"lastro"
)

// withoutZeros refuses a JSON body with a zero byte in a string: PostgreSQL has
// no text with one, and what one database keeps the other has to keep, too.
func withoutZeros(body []byte) error {
	escape := []byte(`\u0000`)
	for rest := body; ; {
		i := bytes.Index(rest, escape)
		if i < 0 {
			return nil
		}
		before := rest[:i]
		if slashes := len(before) - len(bytes.TrimRight(before, `\`)); slashes%2 == 0 {
			return zeroByte()
		}
		rest = rest[i+1:]
	}
}

// textsWithoutZeros is withoutZeros for what comes in the query or the path.
func textsWithoutZeros(values []string) error {
	for _, v := range values {
		if strings.ContainsRune(v, 0) {
			return zeroByte()
		}
	}
	return nil
}

func zeroByte() error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0708", Msg: "the request has a string with a zero byte", Hint: "text cannot have one; leave it out, or keep such data in an artifact"}
}
