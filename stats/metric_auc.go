// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"fmt"
	"math"
	"slices"
)

// AUC returns the area under the ROC curve of scores against truth (0 or 1),
// ties counting half, with DeLong's 95% interval cut to [0, 1]. It fails with
// ErrTooFew unless each class has at least two rows. Sources: DeLong, DeLong
// and Clarke-Pearson 1988; Sun and Xu 2014 for the computation by midranks.
func AUC(truth, score []float64) (Estimate, error) {
	auc, variance, err := delong(truth, score)
	if err != nil {
		return Estimate{}, err
	}
	return around(auc, math.Sqrt(variance)).clamp(0, 1), nil
}

func delong(truth, score []float64) (auc, variance float64, err error) {
	if err := checkBinary(truth, score); err != nil {
		return 0, 0, err
	}
	order := ascending(score)
	all := midranks(score, order)
	var pos, neg []int // rows of each class by ascending score
	for _, i := range order {
		if truth[i] == 1 {
			pos = append(pos, i)
		} else {
			neg = append(neg, i)
		}
	}
	np, nn := float64(len(pos)), float64(len(neg))
	if np < 2 || nn < 2 {
		return 0, 0, fmt.Errorf("auc: %w: %d positive and %d negative, both must be 2 or more", ErrTooFew, len(pos), len(neg))
	}
	// A row's rank among all minus its rank within its class counts the rows of the other class below it.
	placement := func(class []int, other float64) []float64 {
		within := midranks(score, class)
		out := make([]float64, len(class))
		for k, i := range class {
			out[k] = (all[i] - within[i]) / other
		}
		return out
	}
	auc, sdPos := meanSD(placement(pos, nn), 1)
	_, sdNeg := meanSD(placement(neg, np), 1)
	return auc, sdPos*sdPos/np + sdNeg*sdNeg/nn, nil
}

// ascending returns row numbers ordered by value; equal values keep their order.
func ascending(v []float64) []int {
	order := make([]int, len(v))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case v[a] < v[b]:
			return -1
		case v[a] > v[b]:
			return 1
		}
		return 0
	})
	return order
}

// midranks returns for each row in order (ascending by v) its rank from 1;
// equal values share their mean rank. Rows not in order have rank 0.
func midranks(v []float64, order []int) []float64 {
	ranks := make([]float64, len(v))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && v[order[j]] == v[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			ranks[order[k]] = float64(i+j+1) / 2
		}
		i = j
	}
	return ranks
}

// checkBinary refuses truths other than 0 and 1 and scores that are no numbers.
func checkBinary(truth, score []float64) error {
	if err := checkPairs(truth, score); err != nil {
		return err
	}
	for i, y := range truth {
		if y != 0 && y != 1 {
			return fmt.Errorf("row %d: the truth is %g, expected 0 or 1", i, y)
		}
	}
	return nil
}

func checkPairs(truth, prediction []float64) error {
	if len(truth) != len(prediction) {
		return fmt.Errorf("%d truths and %d predictions", len(truth), len(prediction))
	}
	if len(truth) == 0 {
		return ErrTooFew
	}
	for i := range truth {
		if d := prediction[i] - truth[i]; math.IsNaN(d) || math.IsInf(d, 0) {
			return fmt.Errorf("row %d: truth %g, prediction %g: both must be finite", i, truth[i], prediction[i])
		}
	}
	return nil
}
