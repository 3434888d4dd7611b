// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"context"
	encoding "encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"lastro/data"
)

// handler decodes the parameters of one method and runs it.
type handler func(ctx context.Context, params encoding.RawMessage) (any, error)

func handle[Req, Res any](f func(context.Context, Req) (Res, error)) handler {
	return func(ctx context.Context, params encoding.RawMessage) (any, error) {
		var req Req
		if err := encoding.Unmarshal(params, &req); err != nil {
			return nil, fmt.Errorf("read the request: %w", err)
		}
		return f(ctx, req)
	}
}

// methods is the table of what the worker does.
func methods(e data.Engine) map[string]handler {
	return map[string]handler{
		"describe": handle(e.Describe),
		"check":    handle(e.Check),
		"split":    handle(e.Split),
		"project":  handle(e.Project),
		"columns":  handle(e.Columns),
		"scores":   handle(e.Scores),
		"groups":   handle(e.GroupCounts),
		"count":    handle(e.Count),
		"compact":  handle(e.Compact),
		"typed":    handle(e.Typed),
	}
}

// Serve answers requests read from in until it ends or ctx does: the loop of
// the hidden command data-worker. When in ends, running requests are stopped.
// Nothing but frames may be written to out.
func Serve(ctx context.Context, in io.Reader, out io.Writer, o Options) error {
	sweep(o.TempDir)
	w := &worker{methods: methods(New(o)), out: out, running: map[int64]context.CancelFunc{}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer w.wait.Wait()
	defer cancel(errors.New("the data worker ends"))
	for {
		var req request
		if err := readFrame(in, &req); errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a request: %w", err)
		}
		w.begin(ctx, req)
	}
}

type worker struct {
	methods map[string]handler
	wait    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	out     io.Writer
	running map[int64]context.CancelFunc
}

func (w *worker) begin(ctx context.Context, req request) {
	if req.Method == "cancel" {
		w.mu.Lock()
		defer w.mu.Unlock()
		if stop := w.running[req.ID]; stop != nil {
			stop()
		}
		return
	}
	ctx, stop := context.WithCancel(ctx)
	w.mu.Lock()
	w.running[req.ID] = stop
	w.mu.Unlock()
	w.wait.Go(func() {
		defer stop()
		w.answer(req.ID, w.run(ctx, req))
	})
}

func (w *worker) run(ctx context.Context, req request) response {
	res := response{ID: req.ID}
	f := w.methods[req.Method]
	if f == nil {
		res.fill(fmt.Errorf("the data worker has no method %q", req.Method))
		return res
	}
	result, err := f(ctx, req.Params)
	if err == nil {
		res.Result, err = encoding.Marshal(result)
	}
	if err != nil {
		res.Result = nil
		res.fill(err)
	}
	return res
}

func (w *worker) answer(id int64, res response) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.running, id)
	// A reader that went away ends the loop through in; there is nobody to tell.
	_ = writeFrame(w.out, res)
}
