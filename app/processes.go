// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"lastro"
	"lastro/data/duckdb"
	"lastro/exec/process"
	"lastro/secret"
	"lastro/serve"
	"lastro/serve/onnx"
	"lastro/serve/python"
	beside "lastro/step/service"
)

// Serve is the data plane's process.
func Serve(ctx context.Context, p Paths, listen string, log *slog.Logger) error {
	if err := os.MkdirAll(p.Serve(), 0o700); err != nil {
		return diskError(err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return serve.Run(ctx, serve.Options{Dir: p.Serve(), Socket: p.serveSocket(), Listen: listen, Log: log,
		Runtimes: []serve.Runtime{&onnx.Runtime{Command: []string{self, "onnx-worker"}, Library: onnxLibrary}, &python.Runtime{}}})
}

// StopServing ends the data plane of a state directory once the requests under
// way are answered. A living server would start it again: it has to go first.
func StopServing(ctx context.Context, p Paths) error {
	if a, ok := Living(p); ok {
		return &lastro.Error{Code: lastro.EConflict, ID: "L0823", Msg: "the server at " + a.URL + " keeps its endpoints answering", Hint: "stop it first: ctrl-C where it runs"}
	}
	if !serve.Alive(p.Serve()) {
		return &lastro.Error{Code: lastro.ENotFound, ID: "L0824", Msg: "no endpoint of this project answers now"}
	}
	return serve.Admin{Socket: p.serveSocket()}.Drain(ctx)
}

func (p Paths) serveSocket() string { return filepath.Join(p.Run(), "serve.sock") }

// Supervise is the process that starts and watches the steps of an engine.
func Supervise(ctx context.Context, control string) error {
	return process.RunSupervisor(ctx, process.SupervisorOptions{Dir: control, Mask: secret.Mask})
}

// Beside runs a step's command with its services and returns its exit status.
func Beside(dir string, out io.Writer) int { return beside.Main(dir, out) }

// besideProgram is how this program is called for that.
func besideProgram() []string {
	self, err := os.Executable()
	if err != nil {
		self = os.Args[0]
	}
	return []string{self, "beside"}
}

// WorkData is the process that holds the data engine.
func WorkData(ctx context.Context, in io.Reader, out io.Writer) error {
	return duckdb.Serve(ctx, in, out, duckdb.Options{})
}

// WorkONNX is the process that holds one ONNX model.
func WorkONNX(in io.Reader, out io.Writer, model, library string) error {
	return onnx.RunWorker(in, out, model, library)
}
