// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// CBPE estimates the performance of a binary classifier from its scores alone
// (confidence-based performance estimation): if scores are calibrated, a row
// of score 0.3 is positive three times in ten. It sees a change in what the
// rows are (covariate shift), never a change in what they mean (concept
// drift): then labels alone tell. Source: NannyML's documentation and the
// paper of Białek et al. 2024. It is safe for concurrent use.
type CBPE struct {
	calibrate  *Isotonic // nil when the scores are well calibrated as they are
	prevalence float64
	placement  float64            // standard deviation over positives of the share of negatives below them
	reference  map[string]float64 // realised metrics of the reference rows
	lossSD     map[string]float64 // standard deviation of one row's loss
}

// cbpeLosses are the metrics that are means over rows.
var cbpeLosses = map[string]func(y, p float64) float64{
	"brier": squaredError, "log_loss": negativeLogLikelihood, "accuracy": hit,
}

// FitCBPE learns from reference rows with truth, which the model must not have
// been trained on: whether isotonic calibration lowers the expected
// calibration error on rows held out of its fit, and how much metrics vary.
// It fails with ErrTooFew under 100 rows or without both classes.
func FitCBPE(truth, score []float64) (*CBPE, error) {
	if len(truth) < 100 {
		return nil, fmt.Errorf("%w: %d reference rows with truth, 100 are needed", ErrTooFew, len(truth))
	}
	auc, _, err := delong(truth, score)
	if err != nil {
		return nil, err
	}
	c := &CBPE{reference: map[string]float64{"auc": auc}, lossSD: map[string]float64{}}
	c.prevalence, c.placement = positivePlacement(truth, score)
	for name, loss := range cbpeLosses {
		c.reference[name], c.lossSD[name] = meanSD(rowLosses(truth, score, loss), 1)
	}
	// A model that separates the classes has nothing to calibrate.
	if auc <= 0.999 && needsCalibration(truth, score) {
		f := FitIsotonic(truth, score)
		c.calibrate = &f
	}
	return c, nil
}

// Calibrated reports whether scores are mapped before use.
func (c *CBPE) Calibrated() bool { return c.calibrate != nil }

// Reference returns the realised metric on the reference rows; false for a
// metric that CBPE cannot estimate. It knows auc, brier, log_loss and accuracy.
func (c *CBPE) Reference(metric string) (float64, bool) {
	v, ok := c.reference[metric]
	return v, ok
}

// Probability returns the calibrated probability of a score.
func (c *CBPE) Probability(score float64) float64 {
	if c.calibrate != nil {
		return c.calibrate.At(score)
	}
	return score
}

// Estimate returns the metric to be expected of a window's scores. The
// interval is the value plus and minus 3 standard errors of sampling, as
// NannyML states it; it says nothing of concept drift.
func (c *CBPE) Estimate(metric string, score []float64) (Estimate, error) {
	if len(score) == 0 {
		return Estimate{}, ErrTooFew
	}
	if metric == "auc" {
		return c.auc(score)
	}
	loss, ok := cbpeLosses[metric]
	if !ok {
		return Estimate{}, fmt.Errorf("%s cannot be estimated from scores; auc, brier, log_loss and accuracy can", metric)
	}
	sum := 0.0
	for _, s := range score {
		p := c.Probability(s)
		sum += p*loss(1, s) + (1-p)*loss(0, s)
	}
	v, margin := sum/float64(len(score)), 3*c.lossSD[metric]/math.Sqrt(float64(len(score)))
	return Estimate{v, v - margin, v + margin}, nil
}

func (c *CBPE) auc(score []float64) (Estimate, error) {
	order := ascending(score)
	var area, below, positives float64 // expected Mann–Whitney U, negatives below, positives
	for i := 0; i < len(order); {
		var pos, neg float64
		j := i
		for ; j < len(order) && score[order[j]] == score[order[i]]; j++ {
			p := c.Probability(score[order[j]])
			pos += p
			neg += 1 - p
		}
		area += pos * (below + neg/2)
		below += neg
		positives += pos
		i = j
	}
	if positives <= 0 || below <= 0 {
		return Estimate{}, fmt.Errorf("auc: %w: the scores expect one class only", ErrTooFew)
	}
	v := area / positives / below
	margin := 3 * c.placement / math.Sqrt(float64(len(score))*c.prevalence)
	return Estimate{v, v - margin, v + margin}, nil
}

// positivePlacement returns the share of the rarer class, and the standard
// deviation over its rows of the share of the other class scored below: AUC is
// the mean of those shares.
func positivePlacement(truth, score []float64) (prevalence, sd float64) {
	mean, _ := meanSD(truth, 0)
	rare, sign := 1.0, 1.0
	if mean > 0.5 {
		rare, sign, mean = 0, -1, 1-mean
	}
	flipped := make([]float64, len(score))
	for i, s := range score {
		flipped[i] = sign * s
	}
	order := ascending(flipped)
	var shares []float64
	others := 0.0
	for _, i := range order {
		if truth[i] == rare {
			shares = append(shares, others)
		} else {
			others++
		}
	}
	for i := range shares {
		shares[i] /= others
	}
	_, sd = meanSD(shares, 0)
	return mean, sd
}

// needsCalibration asks on three random tenths, held out of the fit and
// stratified by class, whether calibration lowers the expected calibration
// error over ten bins of equal size.
func needsCalibration(truth, score []float64) bool {
	rng := rand.New(rand.NewPCG(42, 3))
	var y, before, after []float64
	for range 3 {
		held := stratifiedTenth(truth, rng)
		var ty, ts []float64
		for i := range truth {
			if !held[i] {
				ty, ts = append(ty, truth[i]), append(ts, score[i])
			}
		}
		f := FitIsotonic(ty, ts)
		for i := range truth {
			if held[i] {
				y, before, after = append(y, truth[i]), append(before, score[i]), append(after, f.At(score[i]))
			}
		}
	}
	return calibrationError(y, before) > calibrationError(y, after)
}

func stratifiedTenth(truth []float64, rng *rand.Rand) []bool {
	held := make([]bool, len(truth))
	for _, class := range []float64{0, 1} {
		var rows []int
		for i, y := range truth {
			if y == class {
				rows = append(rows, i)
			}
		}
		rng.Shuffle(len(rows), func(a, b int) { rows[a], rows[b] = rows[b], rows[a] })
		for _, i := range rows[:len(rows)/10] {
			held[i] = true
		}
	}
	return held
}

// calibrationError is the mean over ten bins of equal size, by ascending
// score, of |mean truth − mean score|.
func calibrationError(truth, p []float64) float64 {
	order := ascending(p)
	bins := min(10, len(order))
	sum := 0.0
	for b := range bins {
		rows := order[b*len(order)/bins : (b+1)*len(order)/bins]
		d := 0.0
		for _, i := range rows {
			d += truth[i] - p[i]
		}
		sum += math.Abs(d)
	}
	return sum / float64(len(order))
}
