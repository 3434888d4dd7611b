// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"encoding/json"
	"testing"
)

// Whatever the fast reading takes, encoding/json takes with the same result.
func FuzzBatchPoint(f *testing.F) {
	for _, s := range []string{
		`{"key":"loss","value":0.5,"timestamp":1700000000000,"step":3}`, `{ "key" : "a" , "value" : -1e-3 , "timestamp" : 1 }`,
		`{"key":"a\u0041","value":"NaN","timestamp":"12","step":1.0}`, `{"KEY":"a","value":null}`, `{"key":"a","key":"b","value":1,"value":2}`,
		`{"key":"a","extra":{"b":[1]},"value":1e400}`, `{}`, `[]`, `null`, `{"key":1}`, `{"step":-0,"value":-0,"timestamp":01}`, `{"model_id":"m-1","dataset_name":"d","dataset_digest":"x"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var list []batchPoint
		body := []byte(`[` + text + `]`)
		if !json.Valid(body) {
			return
		}
		err := json.Unmarshal(body, &list)
		var want []point
		wantErr := json.Unmarshal(body, &want)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%s: %v, encoding/json says %v", text, err, wantErr)
		}
		for i := range want {
			a, _ := json.Marshal(list[i].point) // pointers are followed, and NaN is equal to itself
			b, _ := json.Marshal(want[i])
			if err == nil && string(a) != string(b) {
				t.Fatalf("%s: %s, encoding/json says %s", text, a, b)
			}
		}
	})
}
