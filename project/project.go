// SPDX-License-Identifier: Apache-2.0

// Package project reads lastro.yaml: the Go types of the whole file, every
// problem at once with its place and what was probably meant, and the
// translation into the declarations of each capability. It runs nothing and
// opens no data; what a declaration does lives in its capability.
package project

import (
	"io"
	"io/fs"

	"lastro"
	"lastro/data"
	"lastro/deploy"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/registry"
	"lastro/trigger"
)

// FileName is the pipeline file at the root of a project.
const FileName = "lastro.yaml"

// Project is a lastro.yaml without problems, translated.
type Project struct {
	Dir          string // absolute path of the root
	Name         string
	Description  string
	Owners       []string
	Pipeline     pipeline.Spec
	Datasets     []data.Spec    // in the order of the file
	Model        *registry.Spec // nil = nothing is registered
	Rules        []gate.Rule    // what Model needs to be promoted
	Environments []deploy.Spec  // as declared; see Environment
	Monitors     []monitor.Spec
	Trigger      trigger.Spec
}

// Environment returns a declared environment; "local" exists for every
// project with a model: it follows the champion, all at once.
func (p *Project) Environment(name string) (deploy.Spec, bool) { return deploy.Spec{}, false }

// Dataset returns a declared dataset.
func (p *Project) Dataset(name string) (data.Spec, bool) { return data.Spec{}, false }

// Load reads and checks the project in dir. The error is lastro.Problems,
// sorted by position, with everything that is wrong; Pos.File is relative to dir.
func Load(dir string) (*Project, error) { return nil, nil }

// Parse is Load of a text that stands for dir's lastro.yaml.
func Parse(dir string, src []byte) (*Project, error) { return nil, nil }

// Schema returns the JSON Schema (draft 2020-12) of lastro.yaml, generated
// from the Go types.
func Schema() []byte { return nil }

// Render writes problems for a person: excerpt, caret, help (design CLI 3).
// Excerpts are read from files (os.DirFS of the project); color adds ANSI.
func Render(w io.Writer, problems lastro.Problems, files fs.FS, color bool) error { return nil }

// Section is one part of Explain: a heading and its lines.
type Section struct {
	Heading string   `json:"heading"` // "When", "What happens" ...
	Items   []Item   `json:"items"`
	Notes   []string `json:"notes,omitempty"`
}

// Item is one line of a section; Numbered items are steps of the way.
type Item struct {
	Name string   `json:"name,omitempty"`
	Text string   `json:"text"`
	More []string `json:"more,omitempty"`
}

// Explain says in plain words what a project does (design CLI 6).
func Explain(p *Project) []Section { return nil }
