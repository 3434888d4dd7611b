// SPDX-License-Identifier: Apache-2.0

package data

import "lastro"

// Spec is a dataset as lastro.yaml declares it.
type Spec struct {
	Name      string
	Source    string   // file or folder, relative to the repository root
	Path      string   // where steps find it; "" = Source
	Contract  string   // ODCS file, "" = none
	OnFail    string   // block (default), quarantine, warn
	Key       []string // columns that identify a row
	EventTime string   // column, "" = none
	Sensitive []string // columns that only built-in checks and steps with sees: may read (SEMANTICS 19)
	Pos       lastro.Pos
}
