// SPDX-License-Identifier: Apache-2.0

// Package python is the serving runtime for MLflow models: a pool of Python
// processes, run by the interpreter of the model version's own environment,
// that load the folder with mlflow.pyfunc. It builds no environments and
// unpickles nothing in this process.
package python

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"lastro/serve"
)

// Runtime loads MLflow folders. The zero value is ready to use.
type Runtime struct {
	// StartTimeout is how long a model may take to load; 0 = 2 minutes.
	StartTimeout time.Duration
	// Python is the interpreter for revisions that name none; "" = refuse those.
	Python string
}

// Name returns "python".
func (Runtime) Name() string { return "python" }

// Accepts says whether the folder has an MLmodel file.
func (Runtime) Accepts(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "MLmodel"))
	return err == nil
}

// Load starts the worker processes.
func (r Runtime) Load(ctx context.Context, spec serve.LoadSpec) (serve.Model, error) {
	return r.load(ctx, spec)
}
