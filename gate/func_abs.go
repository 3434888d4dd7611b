// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

var funcAbs = Function{
	Name:      "abs",
	Signature: "abs(number) number",
	Doc:       "the number without its sign",
	Example:   "abs(metrics.calibration_slope - 1) <= 0.1",
	Facts:     Facts{"metrics.calibration_slope": 0.95},
	option: cel.Function("abs", cel.Overload("abs_double", []*cel.Type{cel.DoubleType}, cel.DoubleType,
		cel.UnaryBinding(func(v ref.Val) ref.Val {
			d, ok := v.(types.Double)
			if !ok {
				return types.MaybeNoSuchOverloadErr(v)
			}
			return types.Double(math.Abs(float64(d)))
		}))),
}
