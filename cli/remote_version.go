// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"lastro"
	"lastro/gate"
	"lastro/registry"
)

// remoteVersion is a model version as the server shows it.
type remoteVersion struct {
	Model    string         `json:"model"`
	Version  int            `json:"version"`
	Digest   lastro.Digest  `json:"digest"`
	Aliases  []string       `json:"aliases"`
	Run      string         `json:"run"` // that made it
	Decision *gate.Decision `json:"decision"`
}

func (v remoteVersion) version() *registry.Version {
	return &registry.Version{Model: v.Model, Number: v.Version, Digest: v.Digest, Aliases: v.Aliases}
}
