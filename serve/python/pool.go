// SPDX-License-Identifier: Apache-2.0

package python

import (
	"context"
	_ "embed"
	"log/slog"
	"os"
	"time"

	"lastro"
	"lastro/serve"
)

//go:embed worker.py
var workerScript []byte

// bootstrap reads the script from the first frame: nothing lies on the disk
// that could be changed, and the process list stays readable.
const bootstrap = "import sys;f=sys.stdin.buffer.raw;n=int.from_bytes(f.read(4),'big');s=b''\n" +
	"while len(s)<n:\n c=f.read(n-len(s))\n if not c:sys.exit(1)\n s+=c\n" +
	"exec(compile(s,'lastro-worker.py','exec'))"

func (r Runtime) load(ctx context.Context, spec serve.LoadSpec) (serve.Model, error) {
	python := spec.Revision.Python
	if python == "" {
		python = r.Python
	}
	if python == "" {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0614", Msg: "no Python environment is known for " + spec.Revision.Name,
			Hint: "the environment of a version comes from its lastro.lock; register the model from a run, or commit lastro.lock"}
	}
	timeout := r.StartTimeout
	if timeout == 0 {
		timeout = 2 * time.Minute
	}
	log := spec.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	pool, err := serve.StartPool(ctx, serve.PoolSpec{
		// -I: no PYTHON* variables, no user packages, no current folder in the
		// path; -B: no bytecode written into the model's verified folder.
		Argv:         []string{python, "-I", "-B", "-u", "-c", bootstrap, "lastro-model", spec.Revision.Name},
		Env:          environ(os.Getenv),
		Dir:          os.TempDir(),
		Preamble:     workerScript,
		Load:         serve.WorkerLoad{Dir: spec.Dir, Name: spec.Revision.Name},
		Size:         max(1, spec.Workers),
		StartTimeout: timeout,
		Hint:         "it was started with " + python + "; load the folder there with mlflow.pyfunc.load_model to see more",
		Log:          log,
	})
	if err != nil {
		return nil, err
	}
	return &model{Pool: pool, schema: spec.Schema}, nil
}

// environ is what a model's process sees: enough to find libraries and a home,
// none of the secrets that this process may hold. One thread a process, since
// the pool is what uses the cores.
func environ(get func(string) string) []string {
	env := []string{"OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1", "MKL_NUM_THREADS=1",
		"MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "PYTHONDONTWRITEBYTECODE=1"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH"} {
		if v := get(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

type model struct {
	*serve.Pool
	schema serve.Schema
}

func (m *model) Schema() serve.Schema { return m.schema }
