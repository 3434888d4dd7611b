// SPDX-License-Identifier: Apache-2.0

package gate

// Facts are what rules can read, by dotted name: "metrics.auc" beside
// "metrics.auc.ci_low", "data.flights.checks.failed", "params.seed". A name
// with a segment that is no identifier is written with it as it is
// ("metrics.val/auc") and read as metrics["val/auc"]. Values are float64,
// string, bool, nil, []any, map[string]any or Ambiguous; integers of any width
// count as float64. See SEMANTICS, "Facts that rules can read".
type Facts map[string]any

// FirstFact is true when there is no champion to compare with yet. A rule
// that reads compare.* and says first: pass then passes.
const FirstFact = "compare.first"

// ChampionPrefix is put before a fact's name to give the champion's value of
// it: shift(score.mean) reads score.mean and champion.score.mean.
const ChampionPrefix = "champion."

// Ambiguous is the value of a metric that several steps wrote under one name:
// reading it is an error that names the steps; steps.NAME.metrics.KEY still
// works (SEMANTICS 17).
type Ambiguous struct {
	Steps []string `json:"ambiguous"`
}
