// SPDX-License-Identifier: Apache-2.0

package data

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"lastro"
)

// Duration is a time.Duration that lastro.yaml spells 90d, 36h, 15m or 30s
// (d is 24 hours, w is 7 days); in JSON it is text.
type Duration time.Duration

// ParseDuration reads 90d, 2w, 36h, 1h30m; it must be positive.
func ParseDuration(s string) (Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil && len(s) > 1 {
		unit := map[byte]time.Duration{'d': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[s[len(s)-1]]
		n, numErr := strconv.ParseFloat(s[:len(s)-1], 64)
		if unit > 0 && numErr == nil && math.Abs(n) < 1e5 {
			d, err = time.Duration(n*float64(unit)), nil
		}
	}
	if err != nil || d <= 0 {
		return 0, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%q is not a span of time", s), Hint: "write 90d, 36h or 15m"}
	}
	return Duration(d), nil
}

// String spells whole days as days.
func (d Duration) String() string {
	if t := time.Duration(d); t%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", t/(24*time.Hour))
	}
	return time.Duration(d).String()
}

// MarshalJSON writes text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads text; "0d" and "" are zero.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s == "" || s == "0d" {
		*d = 0
		return nil
	}
	v, err := ParseDuration(s)
	*d = v
	return err
}
