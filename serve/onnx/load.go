// SPDX-License-Identifier: Apache-2.0

package onnx

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sort"
	"time"

	"lastro"
	"lastro/serve"
)

// findModel returns the one *.onnx file of a folder or of its first level.
func findModel(dir string) (string, error) {
	var found []string
	for _, pattern := range []string{"*.onnx", "*/*.onnx"} {
		names, err := filepath.Glob(filepath.Join(globEscape(dir), pattern))
		if err != nil {
			return "", err
		}
		found = append(found, names...)
	}
	if len(found) != 1 {
		return "", lastro.Errorf(lastro.EInvalid, "the folder has %d *.onnx files; there must be one", len(found))
	}
	return found[0], nil
}

// globEscape keeps a folder's own name from being read as a pattern.
func globEscape(dir string) string {
	var out []rune
	for _, r := range dir {
		if r == '*' || r == '?' || r == '[' || r == '\\' {
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

func (r Runtime) load(ctx context.Context, spec serve.LoadSpec) (serve.Model, error) {
	library, err := r.library(ctx, spec.Revision.Name)
	if err != nil {
		return nil, err
	}
	timeout := r.StartTimeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	log := spec.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if len(r.Command) == 0 {
		return nil, lastro.Errorf(lastro.EErrored, "the ONNX runtime has no worker command")
	}
	pool, err := serve.StartPool(ctx, serve.PoolSpec{
		Argv:         append(append([]string(nil), r.Command...), spec.Dir, library),
		Env:          append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, r.Env...),
		Dir:          os.TempDir(),
		Load:         serve.WorkerLoad{Dir: spec.Dir, Name: spec.Revision.Name},
		Size:         max(1, spec.Workers),
		StartTimeout: timeout,
		Hint:         "the library is " + library + "; a newer operator set wants a newer onnxruntime",
		Log:          log,
	})
	if err != nil {
		return nil, err
	}
	schema := spec.Schema
	if own := pool.Hello().Schema; own != nil && (!schema.Known || own.Named) {
		schema = *own // the folder's schema only names the columns of a matrix
	}
	return &model{Pool: pool, schema: schema}, nil
}

type model struct {
	*serve.Pool
	schema serve.Schema
}

func (m *model) Schema() serve.Schema { return m.schema }

// library finds the shared library: LASTRO_ONNXRUNTIME, a file or an
// environment that has the onnxruntime package, and then what the app offers.
func (r Runtime) library(ctx context.Context, name string) (string, error) {
	missing := &lastro.Error{Code: lastro.EErrored, ID: "L0615", Msg: fmt.Sprintf("%s is an ONNX model, and ONNX Runtime is not there", name),
		Hint: "python3 -m venv ~/.cache/lastro/onnxruntime && ~/.cache/lastro/onnxruntime/bin/pip install onnxruntime, then start with LASTRO_ONNXRUNTIME=~/.cache/lastro/onnxruntime"}
	if set := os.Getenv("LASTRO_ONNXRUNTIME"); set != "" {
		if lib, ok := libraryIn(set); ok {
			return lib, nil
		}
		missing.Notes = []string{"LASTRO_ONNXRUNTIME=" + set + " is neither the library nor an environment with the onnxruntime package"}
		return "", missing
	}
	if r.Library != nil {
		lib, err := r.Library(ctx)
		if err != nil {
			missing.Err = err
			return "", missing
		}
		return lib, nil
	}
	if cache, err := os.UserCacheDir(); err == nil {
		if lib, ok := libraryIn(filepath.Join(cache, "lastro", "onnxruntime")); ok {
			return lib, nil
		}
	}
	return "", missing
}

func libraryIn(path string) (string, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return "", false
	}
	if !info.IsDir() {
		return path, true
	}
	libs, err := filepath.Glob(filepath.Join(globEscape(path), "lib", "python3*", "site-packages", "onnxruntime", "capi", "libonnxruntime.*"))
	if err != nil || len(libs) == 0 {
		return "", false
	}
	sort.Strings(libs)
	return libs[len(libs)-1], true
}
