// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"log/slog"
	"time"
)

// Options configure a gateway and the process around it.
type Options struct {
	// Dir holds what survives the process: routing.json, models/ and log/.
	Dir string
	// Socket is the path of the admin socket; "" = Dir/admin.sock.
	Socket string
	// Listen is host:port of the inference port; "" = 127.0.0.1:7071.
	Listen string
	// Runtimes in order of preference.
	Runtimes []Runtime
	// MaxBody is the largest request body in bytes; 0 = 32 MiB.
	MaxBody int64
	// SegmentBytes and SegmentAge rotate the request log; 0 = 64 MiB and 1 h.
	SegmentBytes int64
	SegmentAge   time.Duration
	Log          *slog.Logger // nil = discarded
	// Version of lastro, for GET /v2; "" = dev.
	Version string
	// Listening, when set, is called once with the address of the inference port.
	Listening func(address string)
}
