// SPDX-License-Identifier: Apache-2.0

// Package examples holds whole projects that run: the templates of
// `lastro init`, the demo's two projects among them. Sources and licences of
// their data are in NOTICE.md.
package examples

import (
	"embed"
	"io/fs"
)

//go:embed all:minimal all:flights all:income
var files embed.FS

// Template is one project that `lastro init` can start from.
type Template struct {
	Name string `json:"name"`
	Doc  string `json:"doc"` // one sentence
}

// Templates lists every template, simplest first.
var Templates = []Template{
	{"minimal", "three scripts, one table, one metric: nothing but files"},
	{"flights", "will a flight be late? variants, gate, endpoint, drift, labels that arrive later, retraining"},
	{"income", "who gets an offer? data contract, sensitive columns, fairness by group"},
}

// Files returns the files of a template; ok is false for an unknown name.
func Files(name string) (fs.FS, bool) {
	for _, t := range Templates {
		if t.Name == name {
			sub, err := fs.Sub(files, name)
			return sub, err == nil
		}
	}
	return nil, false
}
