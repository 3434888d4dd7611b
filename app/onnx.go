// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"os"
	"path/filepath"

	"lastro"
	"lastro/python"
)

// onnxRequirement pins the package that carries ONNX Runtime's library.
const onnxRequirement = "onnxruntime==1.32.0\n"

// onnxLibrary finds ONNX Runtime's shared library in an environment that
// lastro owns, never in a project's (SEMANTICS 3), and builds that environment
// when a model first needs it.
func onnxLibrary(ctx context.Context) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "lastro", "onnxruntime-env")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", diskError(err)
	}
	wanted := python.Wanted{Requirements: filepath.Join(dir, "requirements.txt"), Lock: filepath.Join(dir, "lastro.lock")}
	if err := os.WriteFile(wanted.Requirements, []byte(onnxRequirement), 0o600); err != nil {
		return "", diskError(err)
	}
	env, err := (&python.Resolver{}).Ensure(ctx, wanted)
	if err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(env.Dir, "lib", "python*", "site-packages", "onnxruntime", "capi", "libonnxruntime.so*"))
	if err != nil || len(found) == 0 {
		return "", &lastro.Error{Code: lastro.EErrored, ID: "L0822", Msg: "ONNX Runtime's library is not where its package should have put it: " + env.Dir,
			Hint: "name the library yourself: LASTRO_ONNXRUNTIME=/path/to/libonnxruntime.so", Err: err}
	}
	return found[0], nil
}
