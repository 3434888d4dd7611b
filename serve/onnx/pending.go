// SPDX-License-Identifier: Apache-2.0

package onnx

import (
	"context"
	"io"

	"lastro"
	"lastro/serve"
)

func (r Runtime) load(context.Context, serve.LoadSpec) (serve.Model, error) {
	return nil, lastro.Errorf(lastro.EUnsupported, "not built yet")
}

func findModel(string) (string, error) {
	return "", lastro.Errorf(lastro.EUnsupported, "not built yet")
}

func runWorker(io.Reader, io.Writer, string, string) error {
	return lastro.Errorf(lastro.EUnsupported, "not built yet")
}
