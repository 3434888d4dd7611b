// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	encoding "encoding/json"
	"fmt"

	"lastro"
)

// readOnly refuses everything but one SELECT. It must come before any
// statement of a person is prepared: preparing several runs all but the last.
// DuckDB's own parser decides; json_serialize_sql takes the text as a value
// and accepts nothing that is not a SELECT.
func (s *session) readOnly(query string) error {
	var raw string
	if err := s.conn.QueryRowContext(s.ctx, "SELECT CAST(json_serialize_sql(?::VARCHAR) AS VARCHAR)", query).Scan(&raw); err != nil {
		return fmt.Errorf("parse a query: %w", err)
	}
	var parsed struct {
		Error      bool                  `json:"error"`
		Type       string                `json:"error_type"`
		Message    string                `json:"error_message"`
		Statements []encoding.RawMessage `json:"statements"`
	}
	if err := encoding.Unmarshal([]byte(raw), &parsed); err != nil {
		return fmt.Errorf("read the parsed query: %w", err)
	}
	switch {
	case parsed.Error && parsed.Type == "not implemented", !parsed.Error && len(parsed.Statements) != 1:
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0540", Msg: "the SQL is not a single SELECT, so it was not run", Hint: "a rule may read data and change nothing: one SELECT that returns one number"}
	case parsed.Error:
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0541", Msg: "the SQL does not parse: " + tidy(parsed.Message)}
	}
	return nil
}
