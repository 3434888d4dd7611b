// SPDX-License-Identifier: Apache-2.0

package serve

// Field is one input column of a model: Type as MLflow spells it (double,
// float, long, integer, string, boolean, datetime, binary).
type Field struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
}

// Schema is what a model asks for: named columns, or one unnamed matrix, or
// nothing known (Known false), when every column that is sent goes to the model.
type Schema struct {
	Known   bool
	Named   bool
	Inputs  []Field // when Named
	Width   int     // of the matrix; 0 = any
	Outputs []Field // as far as known
}

// ReadSchema reads the signature of an MLflow model folder. A folder without
// MLmodel, or an MLmodel without signature, gives the zero Schema.
func ReadSchema(dir string) (Schema, error) { return readMLmodel(dir) }
