// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"os"
	"strconv"
	"testing"
)

// near fails unless got is within tolerance of want.
func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s = %.12g, want %.12g (±%g)", what, got, want, tolerance)
	}
}

func readJSON[T any](t *testing.T, file string) T {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// readCSV returns the rows of a file below its header.
func readCSV(t *testing.T, file string) [][]string {
	t.Helper()
	f, err := os.Open("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if len(file) > 3 && file[len(file)-3:] == ".gz" {
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// extra is testdata/expected.json, written by testdata/export.py.
type extra struct {
	AUC         float64   `json:"auc"`
	AUCSE       float64   `json:"auc_se_by_definition"`
	Brier       float64   `json:"brier"`
	BrierSE     float64   `json:"brier_se"`
	LogLoss     float64   `json:"log_loss"`
	Accuracy    float64   `json:"accuracy"`
	Candidate   []float64 `json:"candidate"`
	AUCDiff     float64   `json:"auc_diff"`
	AUCDiffSE   float64   `json:"auc_diff_se"`
	BrierDiff   float64   `json:"brier_diff"`
	BrierDiffSE float64   `json:"brier_diff_se"`
	Isotonic    []float64 `json:"isotonic"`
	Regression  map[string]float64
	KSExact     []struct {
		A, B    []float64
		Stat, P float64
	} `json:"ks_exact"`
	KSLarge []struct {
		N, M    int
		Stat, P float64
	} `json:"ks_large"`
	Chi2Quantile  map[string]float64 `json:"chi2_quantile_95"`
	WilsonExample []struct {
		Count, N  int
		Low, High float64
	} `json:"wilson"`
}
