// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"io"
	"os"
	"runtime"

	"lastro"
)

const (
	// chunk is how much of a large file is read, written and hashed at a time.
	chunk = 1 << 20
	// overlapFrom is the size from which hashing in a second goroutine pays.
	overlapFrom = 4 << 20
	// startEvery is how much of a large file is written before the disk is told
	// to begin, so that little is left for the sync at the end.
	startEvery = 16 << 20
)

func cores() int { return runtime.GOMAXPROCS(0) }

// copyHashed copies from to out (nil: nowhere) while another goroutine hashes
// what was read.
func copyHashed(ctx context.Context, out *os.File, from io.Reader) (lastro.Digest, int64, error) {
	free, full := make(chan []byte, 4), make(chan []byte, 4)
	for range cap(free) {
		free <- make([]byte, chunk)
	}
	h := lastro.NewHasher()
	hashed := make(chan struct{})
	go func() {
		defer close(hashed)
		for b := range full {
			_, _ = h.Write(b)
			free <- b[:chunk]
		}
	}()
	n, err := copyChunks(ctx, out, from, free, full)
	close(full)
	<-hashed
	return h.Digest(), n, err
}

func copyChunks(ctx context.Context, out *os.File, from io.Reader, free, full chan []byte) (n int64, err error) {
	for {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		b := <-free
		read, err := io.ReadFull(from, b)
		if read > 0 && out != nil {
			if _, werr := out.Write(b[:read]); werr != nil {
				return n, werr
			}
			if before := n / startEvery; (n+int64(read))/startEvery > before {
				startWriting(out, before*startEvery, startEvery)
			}
		}
		n += int64(read)
		full <- b[:read]
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// ctxReader ends a long copy when ctx ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}
