// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"lastro"
)

// The pages of a search go on after the last row that was shown, not after a
// number of rows: what is inserted between two pages moves nothing. A token
// holds that row's values of everything that the search is ordered by, and a
// fingerprint of the question, so that the token of another search is refused
// and not answered with nonsense.

// term is one expression that a search is ordered by; never NULL.
type term struct {
	expr string
	kind kind
	args []any
	desc bool
}

// kind is the type of a term, as a token spells it.
type kind byte

const (
	isInteger kind = 'i'
	isFloat   kind = 'f'
	isText    kind = 's'
	isRank    kind = 'r' // 0, 1 or 2
)

// none is what stands for no value among values of a kind.
func (k kind) none() string {
	if k == isText {
		return "''"
	}
	return "0"
}

// nullable returns the terms of an expression that may be NULL: what has a
// value comes first, whichever the direction.
func nullable(expr string, k kind, args []any, desc bool) []term {
	return []term{
		{expr: "CASE WHEN " + expr + " IS NULL THEN 1 ELSE 0 END", kind: isRank, args: args},
		{expr: "COALESCE(" + expr + ", " + k.none() + ")", kind: k, args: args, desc: desc},
	}
}

// search is one page of a question to one table.
type search struct {
	columns string // of the result
	from    string // tables, with joins
	where   where
	terms   []term // the last of them make every row different
	token   string // "" = the first page
	limit   int
	asked   string // fingerprint of the question
}

// fingerprint is short: it tells questions apart, it protects nothing.
func fingerprint(question ...any) string {
	text, err := json.Marshal(question)
	if err != nil { // NaN: no query has one, and this one still has a fingerprint
		text = []byte(err.Error())
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

// position is where a page ended: a value for each term.
type position struct {
	Asked  string   `json:"q"`
	Values []string `json:"v"` // a letter for the kind, then the value
}

func badToken() error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0700", Msg: "page_token does not belong to this search", Hint: "start again without it, with the same filter and order for all pages"}
}

// readToken returns the values of a token, of the kinds of the terms.
func readToken(token, asked string, terms []term) ([]any, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	var p position
	if err != nil || json.Unmarshal(raw, &p) != nil || p.Asked != asked || len(p.Values) != len(terms) {
		return nil, badToken()
	}
	out := make([]any, len(p.Values))
	for i, v := range p.Values {
		ok := false
		if v != "" && kind(v[0]) == terms[i].kind {
			out[i], ok = kind(v[0]).read(v[1:])
		}
		if !ok {
			return nil, badToken()
		}
	}
	return out, nil
}

// read takes only what write has written, so that no token makes a statement
// fail: PostgreSQL has no text with a zero byte.
func (k kind) read(text string) (any, bool) {
	switch k {
	case isInteger, isRank:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err == nil && (k == isInteger || 0 <= n && n <= 2)
	case isFloat:
		f, err := strconv.ParseFloat(text, 64)
		return f, !math.IsNaN(f) && (err == nil || math.IsInf(f, 0))
	}
	return text, utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

func (k kind) write(v any) string {
	text := ""
	switch v := v.(type) {
	case int64:
		text = strconv.FormatInt(v, 10)
	case float64:
		text = strconv.FormatFloat(v, 'g', -1, 64)
	case []byte:
		text = string(v)
	case string:
		text = v
	}
	return string(k) + text
}

func writeToken(asked string, terms []term, values []any) string {
	p := position{Asked: asked, Values: make([]string, len(values))}
	for i, v := range values {
		p.Values[i] = terms[i].kind.write(v)
	}
	raw, _ := json.Marshal(p) // strings always encode
	return base64.RawURLEncoding.EncodeToString(raw)
}

// after is the condition that a row comes after a position.
func after(terms []term, values []any) (string, []any) {
	var b strings.Builder
	var args []any
	for i, t := range terms {
		op := " > ?"
		if t.desc {
			op = " < ?"
		}
		b.WriteString("(" + t.expr + op)
		args = append(append(args, t.args...), values[i])
		if i+1 < len(terms) {
			b.WriteString(" OR " + t.expr + " = ? AND ")
			args = append(append(args, t.args...), values[i])
		}
	}
	return b.String() + strings.Repeat(")", len(terms)), args
}

// sql is the statement that reads the page and one row more: the columns, then
// the terms.
func (s *search) sql() (string, []any, error) {
	var args []any
	columns, order := s.columns, make([]string, len(s.terms))
	first := strings.Count(s.columns, ", ") + 2
	for i, t := range s.terms {
		columns += ", " + t.expr
		args = append(args, t.args...)
		order[i] = strconv.Itoa(first + i)
		if t.desc {
			order[i] += " DESC"
		}
	}
	w := where{conditions: append([]string(nil), s.where.conditions...), args: append([]any(nil), s.where.args...)}
	if s.token != "" {
		values, err := readToken(s.token, s.asked, s.terms)
		if err != nil {
			return "", nil, err
		}
		cond, more := after(s.terms, values)
		w.add(cond, more...)
	}
	return "SELECT " + columns + " FROM " + s.from + w.sql() + " ORDER BY " + strings.Join(order, ", ") + " LIMIT ?",
		append(append(args, w.args...), s.size()+1), nil
}

func (s *search) size() int { return max(1, s.limit) }

// scanner is a row, or a row of which somebody else takes the last columns.
type scanner interface{ Scan(...any) error }

type withTerms struct {
	rows  *sql.Rows
	terms []any
}

func (w withTerms) Scan(dst ...any) error { return w.rows.Scan(append(dst, w.terms...)...) }

// page reads one page, and the token of the next one, "" at the end.
func page[T any](ctx context.Context, db *DB, s search, scan func(scanner) (T, error)) ([]T, string, error) {
	query, args, err := s.sql()
	if err != nil {
		return nil, "", err
	}
	last, values := make([]any, len(s.terms)), make([]any, len(s.terms))
	into := make([]any, len(s.terms))
	for i := range into {
		into[i] = &values[i]
	}
	n := 0
	rows, err := db.Query(ctx, query, args...)
	list, err := collect(rows, err, func(r *sql.Rows) (T, error) {
		v, err := scan(withTerms{r, into})
		if n++; n == s.size() {
			copy(last, values)
		}
		return v, err
	})
	if err != nil || len(list) <= s.size() {
		return list, "", err
	}
	return list[:s.size()], writeToken(s.asked, s.terms, last), nil
}
