// SPDX-License-Identifier: Apache-2.0

package serve

import "context"

// DefaultListen is the inference port's address.
const DefaultListen = "127.0.0.1:7071"

// Run is the process `lastro serve`: it listens on the inference port and the
// admin socket, takes up the routing that it finds on disk, and answers until
// ctx ends or it is drained. A port in use, or another serve on the same Dir,
// is a *lastro.Error of code EErrored.
func Run(ctx context.Context, opts Options) error { return run(ctx, opts) }
