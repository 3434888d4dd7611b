// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"encoding/json"

	"lastro"
)

// readMetrics turns a metrics file into facts: {"auc": 0.7} is metrics.auc,
// nested objects are dotted, and {"auc": {"value", "ci_low", "ci_high"}} is
// metrics.auc with metrics.auc.ci_low and metrics.auc.ci_high. What is no
// number or boolean is left out.
func readMetrics(raw []byte, into map[string]float64) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var v any
	if err := dec.Decode(&v); err != nil {
		e := lastro.Errorf(lastro.EFailed, "it is not JSON: %v", err)
		e.Hint = `write {"auc": 0.71}`
		if bytes.Contains(raw, []byte("NaN")) || bytes.Contains(raw, []byte("Infinity")) {
			e.Hint = "Python's json.dump wrote NaN or Infinity, which JSON does not have: leave such a metric out"
		}
		return e
	}
	m, ok := v.(map[string]any)
	if !ok {
		return &lastro.Error{Code: lastro.EFailed, Msg: "it is not a JSON object", Hint: `write {"auc": 0.71}`}
	}
	metricFacts(into, "metrics", m)
	return nil
}

func metricFacts(into map[string]float64, name string, v any) {
	switch v := v.(type) {
	case float64:
		into[name] = v
	case bool:
		into[name] = 0
		if v {
			into[name] = 1
		}
	case map[string]any:
		for k, inner := range v {
			if _, isNumber := inner.(float64); k == "value" && isNumber && name != "metrics" {
				metricFacts(into, name, inner)
				continue
			}
			metricFacts(into, name+"."+k, inner)
		}
	}
}
