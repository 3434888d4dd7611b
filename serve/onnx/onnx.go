// SPDX-License-Identifier: Apache-2.0

// Package onnx is the serving runtime for ONNX models: ONNX Runtime in a
// hidden child process `lastro onnx-worker`, so that a native crash takes a
// worker and not the gateway. The shared library comes from an environment
// that lastro owns, never from a project's.
package onnx

import (
	"context"
	"io"
	"time"

	"lastro/serve"
)

// Runtime loads folders with exactly one *.onnx file.
type Runtime struct {
	// Command starts the worker; the model's folder and the library's path are
	// appended: lastro onnx-worker DIR LIBRARY.
	Command []string
	// Library finds the shared library; LASTRO_ONNXRUNTIME comes first. nil = only that.
	Library func(ctx context.Context) (string, error)
	// Env is what the worker sees beside PATH and HOME.
	Env []string
	// StartTimeout is how long a model may take to load; 0 = 30 s.
	StartTimeout time.Duration
}

// Name returns "onnx".
func (Runtime) Name() string { return "onnx" }

// Accepts says whether the folder, or its first level, has one *.onnx file.
func (Runtime) Accepts(dir string) bool { _, err := findModel(dir); return err == nil }

// Load starts the worker processes.
func (r Runtime) Load(ctx context.Context, spec serve.LoadSpec) (serve.Model, error) {
	return r.load(ctx, spec)
}

// RunWorker is the hidden command: it loads the model with the library at
// libPath and answers frames from in on out until in ends.
func RunWorker(in io.Reader, out io.Writer, modelDir, libPath string) error {
	return runWorker(in, out, modelDir, libPath)
}
