// SPDX-License-Identifier: Apache-2.0

package python

import (
	"context"

	"lastro"
	"lastro/serve"
)

func (r Runtime) load(context.Context, serve.LoadSpec) (serve.Model, error) {
	return nil, lastro.Errorf(lastro.EUnsupported, "not built yet")
}
