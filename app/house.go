// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"lastro"
	"lastro/auth"
	"lastro/blob/file"
	"lastro/data"
	"lastro/data/duckdb"
	"lastro/deploy"
	"lastro/gate"
	"lastro/monitor"
	"lastro/pipeline"
	"lastro/project"
	"lastro/registry"
	"lastro/secret"
	"lastro/source"
	"lastro/store"
	"lastro/trace"
	"lastro/track"
	"lastro/trigger"
	"lastro/webhook"
)

// House is a state directory with everything that works on it.
type House struct {
	Paths Paths
	Clock lastro.Clock
	Log   *slog.Logger

	DB        *store.DB
	Blobs     *file.Store
	Runs      pipeline.Store
	DataStore data.Store
	Data      data.Engine
	Checker   *data.Checker
	Track     *track.Service
	Registry  *registry.Service
	Gates     *gate.Service
	Auth      *auth.Service
	Deploys   *deploy.Service
	Monitors  *monitor.Service
	Secrets   *secret.Service
	Webhooks  *webhook.Service
	Traces    *trace.Service

	inForce atomic.Pointer[project.Project]
	known   *source.StatCache
	closing sync.Mutex
	cleanup []func() error // run in reverse order by Close
	// trackOnce starts the door through which steps reach tracking.
	trackOnce sync.Once
	trackErr  error
	maskers   sync.Map     // of steps that hold secrets now: tracker -> *secret.Masker
	silent    sync.Map     // steps that were begun here and have not called tracking: tracker -> true
	madeFor   atomic.Int64 // the newest run for which the experiment was seen to be there
	running   sync.Mutex   // one run is planned, or decided on, at a time

	engineOnce sync.Once
	pipelines  *pipeline.Engine
	observer   pipeline.Observer // of runs that this process only goes on with
	// submit queues a run in a living server; nil in other commands.
	submit    func(context.Context, RunRequest) (int64, error)
	execOnce  sync.Once
	exec      *lateExecutor
	endpoints string // host:port of the data plane
	// segments is held for writing while a segment of a request log is replaced
	// by its Parquet, for reading while segments are read.
	segments sync.RWMutex
	caching  sync.Mutex // one copy into the cache at a time
	// unpacking is held while a commit is unpacked into the cache.
	unpacking sync.Mutex
	watching  Watching
	// start starts the run of a cause in a living server; nil in other commands.
	start  func(context.Context, *project.Project, trigger.Cause) (int64, error)
	beside bool // another process holds the state
}

// Project is the lastro.yaml in force; nil for a server without one. The next
// call may return a newer one: what must see one state calls it once.
func (h *House) Project() *project.Project { return h.inForce.Load() }

// OpenOptions say how to open a state directory.
type OpenOptions struct {
	Project  *project.Project // nil = none
	Paths    Paths
	Command  string // run, up: recorded as the holder
	ReadOnly bool   // for commands that only look; no lock is taken
	DB       string // where the state is, as openDatabase takes it; "" = where it was last
	Beside   bool   // for commands that may write while another process holds the state
	// Endpoints is host:port where the data plane that up starts answers; "" = its default.
	Endpoints string
	Log       *slog.Logger
	// SecretKey is a file with the key that opens secrets; "" = LASTRO_AGE_KEY_FILE, or the directory's own.
	SecretKey string
	AgeKey    string // the key itself, which counts before a file
	// OutboundAllow are networks that webhooks may call although they are not public.
	OutboundAllow []string
}

// Open opens a state directory. It fails with EConflict when another process
// holds it, unless it is opened for reading only.
func Open(ctx context.Context, o OpenOptions) (h *House, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h = &House{Paths: o.Paths, endpoints: o.Endpoints, Clock: lastro.SystemClock{}, Log: o.Log}
	h.inForce.Store(o.Project)
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if o.ReadOnly {
		h.DB, err = openDatabase(ctx, o)
	} else {
		err = h.openForWriting(ctx, o)
	}
	if err != nil {
		return h, err
	}
	h.onClose(h.DB.Close)
	h.Secrets = h.newSecrets(o)
	if err := h.openCapabilities(); err != nil {
		return h, err
	}
	if h.Webhooks, err = h.newWebhooks(o); err != nil {
		return h, err
	}
	if !o.ReadOnly && h.Project() != nil && h.Project().Model != nil {
		return h, h.Registry.Declare(ctx, lastro.System("project"), []registry.Spec{*h.Project().Model})
	}
	return h, nil
}

func (h *House) openForWriting(ctx context.Context, o OpenOptions) error {
	if err := h.Paths.make(); err != nil {
		return err
	}
	l, err := takeLock(h.Paths, o.Command)
	if h.beside = o.Beside && lastro.Is(err, lastro.EConflict); err != nil && !h.beside {
		return err
	}
	if l != nil {
		h.onClose(func() error { l.release(); return nil })
	}
	h.DB, err = openDatabase(ctx, o)
	return err
}

func (h *House) openCapabilities() error {
	var err error
	if h.Blobs, err = file.OpenWith(h.Paths.Blobs(), store.NewBlobs(h.DB)); err != nil {
		return err
	}
	h.Runs = store.NewPipeline(h.DB)
	h.DataStore = store.NewData(h.DB)
	h.Gates = gate.NewService(store.NewGate(h.DB), h.Clock)
	h.Track = track.NewService(store.NewTrack(h.DB), h.Clock)
	h.Traces = trace.NewService(store.NewTrace(h.DB), h.Blobs, h.Clock)
	h.Registry = registry.NewService(store.NewRegistry(h.DB), guard{h}, h.Clock)
	h.Auth = auth.NewService(store.NewAuth(h.DB), h.Clock)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	worker := duckdb.NewClient(duckdb.ClientOptions{Program: self, Args: []string{"data-worker"}})
	h.onClose(worker.Close)
	h.Data = worker
	h.Checker = &data.Checker{Store: h.DataStore, Engine: h.Data, Clock: h.Clock}
	h.known = source.OpenStatCache(filepath.Join(h.Paths.State, "stat-cache"))
	h.Deploys = h.newDeploys(self)
	h.Monitors = monitor.New(monitor.Options{Source: watch{h}, Store: store.NewMonitor(h.DB),
		Eval: evalNumbers, Trigger: retrainer{h}, Log: h.Log})
	return nil
}

func (h *House) onClose(f func() error) {
	h.closing.Lock()
	defer h.closing.Unlock()
	h.cleanup = append(h.cleanup, f)
}

// Close lets go of everything; steps and endpoints go on.
func (h *House) Close() error {
	h.closing.Lock()
	cleanup := h.cleanup
	h.cleanup = nil
	h.closing.Unlock()
	var errs []error
	for i := len(cleanup) - 1; i >= 0; i-- {
		errs = append(errs, cleanup[i]())
	}
	return errors.Join(errs...)
}

// evalNumbers evaluates a monitor's rule with the gates' language.
func evalNumbers(expr string, facts map[string]float64) (bool, error) {
	all := gate.Facts{}
	for k, v := range facts {
		all[k] = v
	}
	return gate.EvalBool(expr, all)
}
