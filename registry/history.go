// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"lastro"
)

// maxMoves bounds a list of moves.
const maxMoves = 10_000

// AliasHistory lists the moves of one alias, or of all aliases of the model
// when name is "", oldest first; of very many the newest 10,000. It is there
// for models that were deleted too.
func (s *Service) AliasHistory(ctx context.Context, model, name string) ([]AliasMove, error) {
	moves, err := s.store.AliasHistory(ctx, model, name, time.Time{}, maxMoves)
	slices.Reverse(moves)
	return moves, err
}

// AliasAt returns the move that made an alias point where it pointed at a time:
// its To is the version, and it says who moved it, when and why. It fails with
// lastro.ENotFound when the alias pointed nowhere then.
func (s *Service) AliasAt(ctx context.Context, model, alias string, at time.Time) (AliasMove, error) {
	moves, err := s.store.AliasHistory(ctx, model, alias, at, 1)
	if err != nil {
		return AliasMove{}, err
	}
	if len(moves) == 0 || moves[0].To == 0 {
		return AliasMove{}, &lastro.Error{Code: lastro.ENotFound, ID: "L0724",
			Msg:  fmt.Sprintf("%s@%s pointed at no version at %s", model, alias, at.UTC().Format(time.RFC3339)),
			Hint: "lastro model history " + model + " lists its moves"}
	}
	return moves[0], nil
}

// AliasesAt returns, for each alias that a model had at a time, the move that
// made it point where it pointed, sorted by alias.
func (s *Service) AliasesAt(ctx context.Context, model string, at time.Time) ([]AliasMove, error) {
	moves, err := s.store.AliasHistory(ctx, model, "", at, maxMoves)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var out []AliasMove
	for _, m := range moves { // newest first
		if !seen[m.Alias] && m.To != 0 {
			out = append(out, m)
		}
		seen[m.Alias] = true
	}
	slices.SortFunc(out, func(a, b AliasMove) int { return strings.Compare(a.Alias, b.Alias) })
	return out, nil
}
