// SPDX-License-Identifier: Apache-2.0

// Package servetest is the contract that every serve.Runtime passes. A runtime
// is done when Run is green on it.
package servetest

import (
	"lastro/serve"
)

// Case is a runtime with a real model and what that model must answer.
type Case struct {
	Runtime  serve.Runtime
	Spec     serve.LoadSpec
	Broken   serve.LoadSpec // a folder that the runtime accepts and cannot load
	BrokenIn string         // text that the error about Broken contains
	Input    serve.Batch
	Scores   []float64 // of Input's rows, from an independent source
	Within   float64   // tolerance on Scores
}
