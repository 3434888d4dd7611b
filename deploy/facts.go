// SPDX-License-Identifier: Apache-2.0

package deploy

// leastBaseline is how many requests the champion must have answered since
// the rollout began to be compared with over that span; below it, what it did
// since it was loaded is the better measure.
const leastBaseline = 20

// Facts are what rollback_if may read: the candidate in this step and, with
// the prefix "champion.", the champion since the rollout began, so that both
// saw the same days. What was not seen is not there (SEMANTICS, table of facts).
func Facts(candidate Counts, champion Counts) map[string]any {
	facts := map[string]any{}
	addFacts(facts, "", candidate)
	addFacts(facts, "champion.", champion)
	return facts
}

// Baseline is the span of the champion that the candidate is compared with.
func Baseline(champion RevisionState) Counts {
	if champion.Rollout.Requests >= leastBaseline {
		return champion.Rollout
	}
	return champion.Total
}

func addFacts(facts map[string]any, prefix string, c Counts) {
	if c.Requests > 0 {
		facts[prefix+"errors.rate"] = float64(c.Errors) / float64(c.Requests)
		facts[prefix+"latency.p50"] = c.P50
		facts[prefix+"latency.p95"] = c.P95
		facts[prefix+"latency.p99"] = c.P99
	}
	if c.Scored > 0 {
		facts[prefix+"score.mean"] = c.ScoreMean
	}
	if c.Scored > 1 {
		facts[prefix+"score.sd"] = c.ScoreSD
	}
	if c.Decided > 0 {
		facts[prefix+"decision.rate"] = float64(c.Favoured) / float64(c.Decided)
	}
}
