// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
)

// Losses of one row; metrics that are means of them share one interval and one
// bootstrap.
func squaredError(y, p float64) float64  { return (y - p) * (y - p) }
func absoluteError(y, p float64) float64 { return math.Abs(y - p) }

// negativeLogLikelihood keeps p off 0 and 1 by the machine's epsilon, as
// scikit-learn does.
func negativeLogLikelihood(y, p float64) float64 {
	const eps = 2.220446049250313e-16
	p = math.Min(math.Max(p, eps), 1-eps)
	if y == 1 {
		return -math.Log(p)
	}
	return -math.Log1p(-p)
}

// hit is 1 when p on the side of 0.5 says what happened; 0.5 itself says yes.
func hit(y, p float64) float64 {
	if (p >= 0.5) == (y == 1) {
		return 1
	}
	return 0
}

func rowLosses(truth, prediction []float64, loss func(y, p float64) float64) []float64 {
	out := make([]float64, len(truth))
	for i := range truth {
		out[i] = loss(truth[i], prediction[i])
	}
	return out
}

// meanLoss is the mean of a loss with its normal interval.
func meanLoss(truth, prediction []float64, loss func(y, p float64) float64) (Estimate, error) {
	if len(truth) < 2 {
		return Estimate{}, fmt.Errorf("%w: %d rows", ErrTooFew, len(truth))
	}
	mean, sd := meanSD(rowLosses(truth, prediction, loss), 1)
	return around(mean, sd/math.Sqrt(float64(len(truth)))).clamp(0, math.Inf(1)), nil
}

// Brier returns the mean squared error of probabilities against truth (0 or 1),
// with the normal interval of a mean.
func Brier(truth, p []float64) (Estimate, error) {
	if err := checkBinary(truth, p); err != nil {
		return Estimate{}, err
	}
	return meanLoss(truth, p, squaredError)
}

// LogLoss returns the mean negative log-likelihood in nats, with the normal
// interval of a mean.
func LogLoss(truth, p []float64) (Estimate, error) {
	if err := checkBinary(truth, p); err != nil {
		return Estimate{}, err
	}
	return meanLoss(truth, p, negativeLogLikelihood)
}

// Accuracy returns the share of right answers at a threshold of 0.5, with
// Wilson's interval.
func Accuracy(truth, p []float64) (Estimate, error) {
	if err := checkBinary(truth, p); err != nil {
		return Estimate{}, err
	}
	hits := 0
	for i := range truth {
		hits += int(hit(truth[i], p[i]))
	}
	w := Wilson(hits, len(truth), Z95)
	return Estimate{float64(hits) / float64(len(truth)), w.Low, w.High}, nil
}

// MAE returns the mean absolute error, with the normal interval of a mean.
func MAE(truth, prediction []float64) (Estimate, error) {
	if err := checkPairs(truth, prediction); err != nil {
		return Estimate{}, err
	}
	return meanLoss(truth, prediction, absoluteError)
}

// RMSE returns the root mean squared error; its interval is the root of the
// mean squared error's.
func RMSE(truth, prediction []float64) (Estimate, error) {
	if err := checkPairs(truth, prediction); err != nil {
		return Estimate{}, err
	}
	mse, err := meanLoss(truth, prediction, squaredError)
	if err != nil {
		return Estimate{}, err
	}
	return Estimate{math.Sqrt(mse.Value), math.Sqrt(mse.CILow), math.Sqrt(mse.CIHigh)}, nil
}

// R2 returns the coefficient of determination, at most 1 and below 0 when the
// mean of the truth would do better; interval by the delta method for a ratio
// of means. It fails with ErrTooFew when the truth does not vary.
func R2(truth, prediction []float64) (Estimate, error) {
	if err := checkPairs(truth, prediction); err != nil {
		return Estimate{}, err
	}
	if len(truth) < 3 {
		return Estimate{}, fmt.Errorf("%w: %d rows", ErrTooFew, len(truth))
	}
	mean, sd := meanSD(truth, 0)
	if sd == 0 {
		return Estimate{}, fmt.Errorf("%w: the truth is the same in every row", ErrTooFew)
	}
	spread := sd * sd
	mse, _ := meanSD(rowLosses(truth, prediction, squaredError), 0)
	ratio := mse / spread
	influence := make([]float64, len(truth))
	for i, y := range truth {
		influence[i] = (squaredError(y, prediction[i]) - ratio*(y-mean)*(y-mean)) / spread
	}
	_, se := meanSD(influence, 1)
	return around(1-ratio, se/math.Sqrt(float64(len(truth)))).clamp(math.Inf(-1), 1), nil
}
