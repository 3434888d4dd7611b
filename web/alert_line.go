// SPDX-License-Identifier: Apache-2.0

package web

import (
	"regexp"
	"strconv"
	"strings"

	"lastro/monitor"
)

// limitOf matches the right side of a comparison that can be drawn: a number,
// or best or baseline with a number added or taken away.
var limitOf = regexp.MustCompile(`^\s*[\w.]+\s*[<>]=?\s*(best|baseline)?\s*([-+])?\s*([0-9.]+%?)?\s*$`)

// alertLine returns what an alert rule compares the metric with in a window;
// false when the rule has another form or the window lacks the value.
func alertLine(rule string) func(monitor.Measurement) (float64, bool) {
	m := limitOf.FindStringSubmatch(rule)
	if m == nil || m[1] == "" && m[3] == "" {
		return func(monitor.Measurement) (float64, bool) { return 0, false }
	}
	delta, ok := number(m[3])
	if m[2] == "-" {
		delta = -delta
	}
	return func(w monitor.Measurement) (float64, bool) {
		base := new(float64)
		switch m[1] {
		case "best":
			base = w.Best
		case "baseline":
			base = w.Baseline
		}
		if base == nil || !ok {
			return 0, false
		}
		return *base + delta, true
	}
}

// number reads 0.02 and 2%; "" is 0.
func number(text string) (float64, bool) {
	if text == "" {
		return 0, true
	}
	digits, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(digits, 64)
	if percent {
		v /= 100
	}
	return v, err == nil
}
