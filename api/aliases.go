// SPDX-License-Identifier: Apache-2.0

package api

import (
	"net/http"
	"slices"
	"time"

	"lastro"
	"lastro/registry"
)

// AliasMoveDocument is one move of an alias on the wire: from or to is 0 when
// it did not exist before or does not after.
type AliasMoveDocument struct {
	Alias string       `json:"alias"`
	From  int          `json:"from"`
	To    int          `json:"to"`
	At    time.Time    `json:"at"`
	By    lastro.Actor `json:"by"`
	Why   string       `json:"why,omitempty"`
}

// aliasMoves answers GET /models/{model}/aliases: the moves of ?alias= (or of
// all), newest first. With ?at=RFC 3339 it answers, for each alias that the
// model had then, the move that had put it there.
func (h *handler) aliasMoves(r *http.Request) (any, error) {
	q := r.URL.Query()
	model, alias := r.PathValue("model"), q.Get("alias")
	var moves []registry.AliasMove
	var err error
	if text := q.Get("at"); text != "" {
		at, perr := time.Parse(time.RFC3339Nano, text)
		if perr != nil {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0727", Msg: "at is no time: " + text, Hint: "use RFC 3339, such as 2026-11-01T12:00:00Z"}
		}
		if alias == "" {
			moves, err = h.Registry.AliasesAt(r.Context(), model, at)
		} else {
			var m registry.AliasMove
			m, err = h.Registry.AliasAt(r.Context(), model, alias, at)
			moves = []registry.AliasMove{m}
		}
	} else {
		moves, err = h.Registry.AliasHistory(r.Context(), model, alias)
		slices.Reverse(moves)
		moves = moves[:min(len(moves), limit(r, 100))]
	}
	if err != nil {
		return nil, err
	}
	docs := []AliasMoveDocument{}
	for _, m := range moves {
		docs = append(docs, AliasMoveDocument{m.Alias, m.From, m.To, m.At, m.By, m.Why})
	}
	return map[string]any{"model": model, "moves": docs}, nil
}
