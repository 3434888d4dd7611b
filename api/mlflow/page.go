// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"lastro"
)

// pageOf reads what a request says about its page: the token and the size. A
// size of 0 means usual; more than most is refused, as the protocol's own server
// does. Tokens are the store's.
func pageOf(token string, size int64s, usual, most int) (string, int, error) {
	switch {
	case size < 0 || int64(size) > int64(most):
		return "", 0, &lastro.Error{Code: lastro.EInvalid, ID: "L0703", Msg: fmt.Sprintf("max_results is %d; it must be between 1 and %d", size, most),
			Hint: "ask for smaller pages, and go on with next_page_token"}
	case size == 0:
		return token, usual, nil
	}
	return token, int(size), nil
}

// page is one portion of a list. Its token holds the offset and a fingerprint
// of the question, so that a token of another search is refused and not
// answered with nonsense.
type page struct {
	offset, limit int
	question      string
}

type pageToken struct {
	Offset   int    `json:"o"`
	Question string `json:"q"`
}

// newPage reads a token ("" = the first page). A size of 0 means usual; more than
// most is refused, as the protocol's own server does.
func newPage(token string, size int64s, usual, most int, question ...any) (page, error) {
	sum := sha256.Sum256(fmt.Append(nil, question...))
	p := page{limit: int(size), question: base64.RawURLEncoding.EncodeToString(sum[:6])}
	if size == 0 {
		p.limit = usual
	}
	if size < 0 || int64(size) > int64(most) {
		return p, lastro.Errorf(lastro.EInvalid, "max_results is %d; it must be between 1 and %d", size, most)
	}
	if token == "" {
		return p, nil
	}
	var t pageToken
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || json.Unmarshal(raw, &t) != nil || t.Offset < 0 || t.Question != p.question {
		return p, &lastro.Error{Code: lastro.EInvalid, Msg: "page_token does not belong to this search", Hint: "start again without it"}
	}
	p.offset = t.Offset
	return p, nil
}

// cut takes a list that was asked for with one entry too many, and returns the
// page and the token of the next one, "" at the end.
func cut[T any](p page, list []T) ([]T, string) {
	if len(list) <= p.limit {
		return list, ""
	}
	raw, _ := json.Marshal(pageToken{p.offset + p.limit, p.question}) // a struct of int and string always encodes
	return list[:p.limit], base64.RawURLEncoding.EncodeToString(raw)
}
