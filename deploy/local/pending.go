// SPDX-License-Identifier: Apache-2.0

package local

import (
	"context"

	"lastro"
	"lastro/deploy"
)

type preparation struct{}

func (d *Driver) apply(context.Context, deploy.Target) (deploy.Status, error) {
	return deploy.Status{}, lastro.Errorf(lastro.EUnsupported, "not built yet")
}
