// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"lastro"
)

// PoolSpec says how the workers of one revision are started.
type PoolSpec struct {
	Argv         []string
	Env          []string
	Dir          string     // working directory
	Preamble     []byte     // sent as the first frame, as it is; nil = none
	Load         WorkerLoad // sent next
	Size         int
	StartTimeout time.Duration
	Hint         string // what to do about a model that does not load
	Log          *slog.Logger
}

// lateGrace is how long a worker may go on with a request that nobody waits
// for any more before it is killed.
const lateGrace = 30 * time.Second

// Pool keeps Size workers of one revision alive. Safe for concurrent use.
type Pool struct {
	spec   PoolSpec
	idle   chan *worker
	stop   chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
	nextID atomic.Int64

	mu       sync.Mutex
	alive    map[*worker]bool
	starting int
	lastErr  error // of the newest start that failed, nil after one that did not
	hello    WorkerHello
}

// StartPool returns when the first worker has loaded the model; the others
// follow. The caller closes the pool.
func StartPool(ctx context.Context, spec PoolSpec) (*Pool, error) {
	p := &Pool{spec: spec, idle: make(chan *worker, 4*spec.Size), stop: make(chan struct{}), alive: map[*worker]bool{}}
	first := make(chan error, 1)
	p.wg.Add(1)
	go p.keep(first)
	select {
	case err := <-first:
		if err != nil {
			p.Close()
			return nil, err
		}
	case <-ctx.Done():
		p.Close()
		return nil, context.Cause(ctx)
	}
	for range spec.Size - 1 {
		p.wg.Add(1)
		go p.keep(nil)
	}
	return p, nil
}

// keep is one slot of the pool: it starts a worker and, when that dies,
// another. Its thread is the workers' parent, see startWorker.
func (p *Pool) keep(first chan<- error) {
	defer p.wg.Done()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for wait := time.Duration(0); ; {
		select {
		case <-p.stop:
			return
		case <-time.After(wait):
		}
		w, err := p.start()
		if first != nil {
			first <- err
			if err != nil {
				return
			}
			first = nil
		}
		if err != nil {
			p.spec.Log.Error("model worker does not start", "revision", p.spec.Load.Name, "err", err)
			wait = min(max(2*wait, 500*time.Millisecond), 30*time.Second)
			continue
		}
		born := time.Now()
		p.idle <- w
		p.attend(w)
		if wait = 0; time.Since(born) < 5*time.Second {
			wait = 200 * time.Millisecond // one that dies young must not be a busy loop
		}
	}
}

func (p *Pool) start() (*worker, error) {
	p.mu.Lock()
	p.starting++
	p.mu.Unlock()
	w, err := startWorker(p.spec, p.stop)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting--
	p.lastErr = err
	if err == nil {
		p.alive[w] = true
		p.hello = w.hello
	}
	return w, err
}

// attend waits for a worker's end, or ends it when the pool closes.
func (p *Pool) attend(w *worker) {
	exited := make(chan error, 1)
	go func() {
		state, err := w.cmd.Process.Wait()
		if err == nil && !state.Success() {
			err = errors.New(state.String())
		}
		exited <- err
	}()
	var err error
	select {
	case err = <-exited:
		p.spec.Log.Warn("model worker ended", "revision", p.spec.Load.Name, "pid", w.cmd.Process.Pid, "err", err, "last", w.stderr.lines())
	case <-p.stop:
		w.in.Close()
		select {
		case <-exited:
		case <-time.After(stopGrace):
			w.kill()
			<-exited
		}
	}
	w.kill() // what the worker itself had started
	p.mu.Lock()
	delete(p.alive, w)
	p.mu.Unlock()
	close(w.dead)
	p.purge()
	w.in.Close()
	w.cmd.Wait() // frees the pipes; the process is gone already
}

// purge takes dead workers out of the queue, so that it never fills up.
func (p *Pool) purge() {
	for range len(p.idle) {
		select {
		case w := <-p.idle:
			if w.alive() {
				p.idle <- w
			}
		default:
			return
		}
	}
}

// errWorkerDied tells a request that its worker ended before it answered.
var errWorkerDied = errors.New("the model's process ended before it answered")

// Predict asks a free worker. A request whose worker dies is asked once more
// of another one. Errors are as Model.Predict describes them.
func (p *Pool) Predict(ctx context.Context, b Batch) (Answer, error) {
	req := WorkerRequest{Rows: b.Rows, Matrix: b.Matrix}
	for _, c := range b.Columns {
		req.Columns = append(req.Columns, c.Name)
		req.Data = append(req.Data, c.Values)
	}
	answer, err := p.try(ctx, req)
	if errors.Is(err, errWorkerDied) {
		answer, err = p.try(ctx, req)
	}
	return answer, err
}

func (p *Pool) try(ctx context.Context, req WorkerRequest) (Answer, error) {
	w, err := p.take(ctx)
	if err != nil {
		return Answer{}, err
	}
	req.ID = p.nextID.Add(1)
	type result struct {
		reply WorkerReply
		err   error
	}
	done := make(chan result, 1)
	go func() {
		timer := time.AfterFunc(lateGrace, w.kill)
		reply, err := w.ask(req)
		timer.Stop()
		if err != nil {
			w.kill()
		} else {
			p.idle <- w
		}
		done <- result{reply, err}
	}()
	select {
	case r := <-done:
		switch {
		case r.err != nil:
			return Answer{}, fmt.Errorf("%w (%v)", errWorkerDied, r.err)
		case r.reply.Error != "" && r.reply.Kind == "input":
			return Answer{}, lastro.Errorf(lastro.EInvalid, "%s", r.reply.Error)
		case r.reply.Error != "":
			return Answer{}, lastro.Errorf(lastro.EFailed, "%s", r.reply.Error)
		}
		return r.reply.Answer, nil
	case <-ctx.Done():
		return Answer{}, context.Cause(ctx)
	}
}

// take waits for a free worker; without one alive, nor one on its way, it says why at once.
func (p *Pool) take(ctx context.Context) (*worker, error) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case w := <-p.idle:
			if w.alive() {
				return w, nil
			}
			continue
		default:
		}
		if err := p.hopeless(); err != nil {
			return nil, err
		}
		select {
		case w := <-p.idle:
			if w.alive() {
				return w, nil
			}
		case <-tick.C:
		case <-p.stop:
			return nil, lastro.Errorf(lastro.EErrored, "%s is being closed", p.spec.Load.Name)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (p *Pool) hopeless() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.alive) == 0 && p.starting == 0 {
		return p.lastErr
	}
	return nil
}

// Hello is what the newest worker said when it had loaded the model.
func (p *Pool) Hello() WorkerHello {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hello
}

// Pids are the processes that are ready now.
func (p *Pool) Pids() []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	pids := make([]int, 0, len(p.alive))
	for w := range p.alive {
		pids = append(pids, w.cmd.Process.Pid)
	}
	return pids
}

// Close ends every worker and waits for them.
func (p *Pool) Close() error {
	p.once.Do(func() { close(p.stop) })
	p.wg.Wait()
	return nil
}
