// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"errors"
	"fmt"
	"math"
	"math/big"

	duck "github.com/duckdb/duckdb-go/v2"

	"lastro"
)

// asFloat is the number that an SQL rule answered, or why there is none.
func asFloat(v any) (float64, string) {
	switch v := v.(type) {
	case nil:
		return 0, "the query returned no value"
	case bool:
		if v {
			return 1, ""
		}
		return 0, ""
	case int8:
		return float64(v), ""
	case int16:
		return float64(v), ""
	case int32:
		return float64(v), ""
	case int64:
		return float64(v), ""
	case uint8:
		return float64(v), ""
	case uint16:
		return float64(v), ""
	case uint32:
		return float64(v), ""
	case uint64:
		return float64(v), ""
	case float32:
		return asFloat(float64(v))
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, fmt.Sprintf("the query returned %v", v)
		}
		return v, ""
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, ""
	case duck.Decimal:
		return v.Float64(), ""
	}
	return 0, fmt.Sprintf("the query returned %T and not a number", v)
}

func asOurs(err error, into **lastro.Error) bool { return errors.As(err, into) }
