// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"
	"strings"
)

var funcShift = Function{
	Name:      "shift",
	Signature: "shift(fact) number",
	Doc:       "how far the candidate's fact lies from the champion's, either way: in points for rates, relative to the champion's for everything else",
	Example:   "shift(decision.rate) > 10% && shift(score.mean) < 60%",
	Facts: Facts{"decision.rate": 0.30, "champion.decision.rate": 0.42,
		"score.mean": 0.21, "champion.score.mean": 0.30},
	ofFact: shift,
	needs:  func(name string) []string { return []string{name, ChampionPrefix + name} },
}

// shift is |candidate − champion| for a rate, else that divided by
// |champion|; when the champion's is 0 and the candidate's is not it is +Inf.
func shift(f Facts, name string) (v float64, missing []string) {
	candidate, ok := f.number(name)
	if !ok {
		missing = append(missing, name)
	}
	champion, ok := f.number(ChampionPrefix + name)
	if !ok {
		missing = append(missing, ChampionPrefix+name)
	}
	diff := math.Abs(candidate - champion)
	if diff == 0 || isRate(name) {
		return diff, missing
	}
	return diff / math.Abs(champion), missing
}

func isRate(name string) bool { return name == "rate" || strings.HasSuffix(name, ".rate") }
