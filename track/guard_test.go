// SPDX-License-Identifier: Apache-2.0

package track_test

import (
	"slices"
	"testing"

	"lastro/track"
)

// The first characters are those of OWASP's page on CSV injection.
func TestGuardFormula(t *testing.T) {
	for text, want := range map[string]string{"": "", "plain": "plain", "=1+1": "'=1+1", "@SUM(A1)": "'@SUM(A1)", "+cmd|' /C calc'!A0": "'+cmd|' /C calc'!A0", "-1": "-1", "+0.5": "+0.5", "-1e-3": "-1e-3",
		"-x": "'-x", "\t=1": "'\t=1", "\r=1": "'\r=1", "a=b": "a=b", "-Inf": "-Inf"} {
		if got := track.GuardFormula(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// TestColumns: the metrics that most runs have come first, and of the params
// those that differ.
func TestColumns(t *testing.T) {
	runs := []track.Run{
		{Metrics: []track.Metric{{Key: "auc"}, {Key: "loss"}}, Params: []track.Param{{Key: "depth", Value: "4"}, {Key: "lr", Value: "0.1"}}},
		{Metrics: []track.Metric{{Key: "loss"}}, Params: []track.Param{{Key: "depth", Value: "6"}, {Key: "extra", Value: ""}, {Key: "lr", Value: "0.1"}}},
	}
	metrics, params := track.Columns(runs, 5)
	if !slices.Equal(metrics, []string{"loss", "auc"}) || !slices.Equal(params, []string{"depth", "extra"}) {
		t.Errorf("%v %v", metrics, params)
	}
	if metrics, params = track.Columns(runs, 1); len(metrics) != 1 || len(params) != 1 {
		t.Errorf("%v %v", metrics, params)
	}
	if v, ok := runs[1].Param("extra"); v != "" || !ok {
		t.Error("a param with an empty text is there")
	}
	if _, ok := runs[0].Metric("nothing"); ok {
		t.Error("a metric that is not there is found")
	}
}
