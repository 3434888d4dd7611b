// SPDX-License-Identifier: Apache-2.0

package store

import "strings"

// where collects conditions and their arguments. Only fixed text goes into the
// SQL; whatever came from outside is an argument.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	w.conditions = append(w.conditions, condition)
	w.args = append(w.args, args...)
}

// sql returns "WHERE ..." or "".
func (w *where) sql() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// marks returns n placeholders: "?, ?, ?".
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

func anys[T any](in []T) []any {
	out := make([]any, len(in))
	for i, v := range in {
		out[i] = v
	}
	return out
}

// compareText returns "column op ?" and its arguments for a text column; ok is
// false for an operator that text does not have.
func compareText(d dialect, column, op, text string, values []string) (sql string, args []any, ok bool) {
	switch op {
	case "=":
		return column + " = ?", []any{text}, true
	case "!=":
		return column + " <> ?", []any{text}, true
	case "LIKE":
		sql, arg := d.like(column, text)
		return sql, []any{arg}, true
	case "ILIKE":
		sql, arg := d.ilike(column, text)
		return sql, []any{arg}, true
	case "IN", "NOT IN":
		if len(values) == 0 {
			return map[string]string{"IN": "1 = 0", "NOT IN": "1 = 1"}[op], nil, true
		}
		return column + " " + op + " (" + marks(len(values)) + ")", anys(values), true
	}
	return "", nil, false
}

// numberOps are the comparisons of numbers, as SQL.
var numberOps = map[string]string{"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}

// flag is a bool as both databases keep it: 0 or 1.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}
