// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"context"

	"lastro/stats"
)

// estimated says what the scores of a window let one expect of the metric
// before labels come (CBPE). It sees the harm that other rows do, not the harm
// of a changed world; only labels see that.
func (e *evaluation) estimated(ctx context.Context, q WindowQuery, w span, ref *reference, answers int) ([]Measurement, error) {
	metric := "auc"
	if e.spec.Performance != nil {
		metric = e.spec.Performance.Metric
	}
	row, known := stats.LookupMetric(metric)
	if !known || row.Problem != stats.Binary {
		return nil, nil // nothing to estimate it from
	}
	m := e.new(Estimated, row.Name, q.Release, w)
	m.Answers, m.Test = answers, "cbpe"
	if ref.cbpe == nil {
		m.State, m.Note = Unknown, ref.noCBPE
		return []Measurement{m}, nil
	}
	scores, err := e.Source.Scores(ctx, q)
	if err != nil {
		return nil, err
	}
	m.Rows = len(scores)
	v, err := ref.cbpe.Estimate(row.Name, scores)
	if err != nil {
		m.State, m.Note = Unknown, err.Error()
		return []Measurement{m}, nil
	}
	was, _ := ref.cbpe.Reference(row.Name)
	harm := was - v.Value
	worse := v.CIHigh < was
	if !row.Higher {
		harm, worse = -harm, v.CILow > was
	}
	m.Value, m.CILow, m.CIHigh, m.Baseline, m.Harm = v.Value, &v.CILow, &v.CIHigh, &was, &harm
	if worse && harm >= notableHarm {
		m.State = Warn
	}
	return []Measurement{m}, nil
}

// notableHarm is the least expected loss that is worth a pending alert. With
// many rows an interval is narrow enough to tell losses that matter to nobody.
const notableHarm = 0.02
