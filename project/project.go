// SPDX-License-Identifier: Apache-2.0

// Package project reads lastro.yaml: the Go types of the whole file, every
// problem at once with its place and what was probably meant, and the
// translation into the declarations of each capability. It runs nothing and
// opens no data; what a declaration does lives in its capability.
package project

import (
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
	Secrets      []string // names that steps may ask for
	Pipeline     pipeline.Spec
	Datasets     []data.Spec    // in the order of the file
	Model        *registry.Spec // nil = nothing is registered
	Rules        []gate.Rule    // what Model needs to be promoted
	Environments []deploy.Spec  // as declared; see Environment
	Monitors     []monitor.Spec
	Trigger      trigger.Spec

	file *File // as it was read; see Expanded
}

// Dataset returns a declared dataset.
func (p *Project) Dataset(name string) (data.Spec, bool) {
	for _, d := range p.Datasets {
		if d.Name == name {
			return d, true
		}
	}
	return data.Spec{}, false
}
