// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"

	"lastro"
)

func run(context.Context, Options) error { return lastro.Errorf(lastro.EUnsupported, "not built yet") }

func (a Admin) call(context.Context, string, string, any, any) error {
	return lastro.Errorf(lastro.EUnsupported, "not built yet")
}
