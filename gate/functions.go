// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cel.dev/cel-go/cel"
)

// Function is one function that rules can call beside CEL's own.
type Function struct {
	Name      string
	Signature string
	Doc       string
	Example   string // an expression; with Facts it gives true
	Facts     Facts

	// Of: the function takes the name of a fact, not its value.
	ofFact func(f Facts, name string) (v float64, missing []string)
	needs  func(name string) []string // the facts that ofFact reads
	// Else it is a plain function of CEL.
	option cel.EnvOption
}

// Functions are all of them; a test evaluates each example.
var Functions = []Function{funcAbs, funcShift}

func functionNamed(name string) *Function {
	for i := range Functions {
		if Functions[i].Name == name {
			return &Functions[i]
		}
	}
	return nil
}
