// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"lastro"
)

// Gateway answers inference requests over its endpoints. Make one with
// NewGateway; it is safe for concurrent use.
type Gateway struct {
	opts    Options
	log     *requestLog
	mux     *http.ServeMux
	started time.Time
	ctx     context.Context
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup // loading and retiring
	flight  chan struct{}  // one token for each request under way
	drained atomic.Bool

	mu        sync.Mutex // held by whatever changes endpoints
	endpoints map[string]*endpoint
	byName    atomic.Pointer[map[string]*endpoint] // read by requests: endpoint and model names
}

// endpoint is one stable address. table is what requests see; the rest is
// guarded by Gateway.mu.
type endpoint struct {
	routing   Routing
	champion  *revision // as told
	candidate *revision
	table     atomic.Pointer[table]
}

// table is what an endpoint serves at one moment; it never changes.
type table struct {
	routing   Routing
	champion  *revision // the one that answers: an older one while the new one loads
	candidate *revision // nil when there is none that can answer
	wanted    *revision // the champion as told, for the reason why nothing answers
}

// maxInFlight bounds the requests under way, and with them the memory of their bodies.
const maxInFlight = 512

// defaultDeadline is that of a routing without one.
const defaultDeadline = 10 * time.Second

// NewGateway opens the request log and takes up the routing found in
// opts.Dir, loading its revisions in the background. The caller closes it.
func NewGateway(opts Options) (*Gateway, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.MaxBody == 0 {
		opts.MaxBody = 32 << 20
	}
	log, err := openRequestLog(opts)
	if err != nil {
		return nil, err
	}
	g := &Gateway{opts: opts, log: log, started: time.Now().UTC(), endpoints: map[string]*endpoint{}, flight: make(chan struct{}, maxInFlight)}
	g.ctx, g.cancel = context.WithCancelCause(context.Background())
	g.byName.Store(&map[string]*endpoint{})
	g.mux = g.routes()
	saved, err := readRoutings(opts.Dir)
	if err != nil {
		log.close()
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range saved {
		g.install(r)
	}
	return g, nil
}

// ServeHTTP answers the inference port.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.mux.ServeHTTP(w, r) }

// Close ends every model and writes the rest of the request log. Requests
// must have ended before.
func (g *Gateway) Close() error {
	g.cancel(fmt.Errorf("the gateway is being closed"))
	g.mu.Lock()
	for _, ep := range g.endpoints {
		for _, r := range ep.all() {
			g.retire(r)
		}
	}
	g.endpoints = map[string]*endpoint{}
	g.mu.Unlock()
	g.wg.Wait()
	return g.log.close()
}

var endpointName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// Route tells an endpoint what to serve. It is written to disk before it takes
// effect. The same routing again changes nothing; a lower generation, or
// another routing of the same one, is EConflict.
func (g *Gateway) Route(r Routing) (EndpointStats, error) {
	if err := r.check(); err != nil {
		return EndpointStats{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if ep, ok := g.endpoints[r.Endpoint]; ok {
		have := ep.routing
		switch {
		case sameRouting(have, r):
			return ep.stats(), nil
		case r.Generation <= have.Generation:
			return ep.stats(), &lastro.Error{Code: lastro.EConflict, ID: "L0601",
				Msg:  fmt.Sprintf("endpoint %s is at generation %d; the routing sent is generation %d", r.Endpoint, have.Generation, r.Generation),
				Hint: "read GET /stats and send a higher generation"}
		}
	}
	if err := g.save(r); err != nil {
		return EndpointStats{}, err
	}
	return g.install(r).stats(), nil
}

// sameRouting compares as JSON: what comes from disk and what comes from a
// caller differ in Go's types of numbers.
func sameRouting(a, b Routing) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

func (r Routing) check() error {
	switch {
	case !endpointName.MatchString(r.Endpoint):
		return lastro.Errorf(lastro.EInvalid, "endpoint name %q: use letters, digits, dot, dash and underscore", r.Endpoint)
	case r.Share < 0 || r.Share > 1:
		return lastro.Errorf(lastro.EInvalid, "share %v is not between 0 and 1", r.Share)
	case r.Model == "":
		return lastro.Errorf(lastro.EInvalid, "the routing names no model")
	}
	for _, rev := range []*Revision{r.Champion, r.Candidate} {
		if rev == nil {
			continue
		}
		if _, err := lastro.ParseDigest(string(rev.Digest)); err != nil {
			return err
		}
	}
	return nil
}

// install makes the routing the endpoint's, loading what is new. g.mu is held.
func (g *Gateway) install(r Routing) *endpoint {
	ep := g.endpoints[r.Endpoint]
	if ep == nil {
		ep = &endpoint{}
		g.endpoints[r.Endpoint] = ep
	}
	before := ep.all()
	old := ep.candidate
	ep.routing = r
	ep.champion, ep.candidate = g.revisionFor(r, r.Champion, before), g.revisionFor(r, r.Candidate, before)
	now := time.Now().UTC()
	attached := ep.candidate != nil && ep.candidate != old
	for _, rev := range ep.all() {
		rev.counts.restart(true, attached, now)
	}
	g.rebuild(ep)
	return ep
}

// revisionFor finds the running revision that equals spec, or starts it.
func (g *Gateway) revisionFor(r Routing, spec *Revision, have []*revision) *revision {
	if spec == nil {
		return nil
	}
	for _, rev := range have {
		if rev.spec == *spec {
			return rev
		}
	}
	now := time.Now().UTC()
	rev := &revision{spec: *spec, counts: newCounters(now), started: now, state: Loading, loaded: make(chan struct{})}
	var ctx context.Context
	ctx, rev.cancel = context.WithCancelCause(g.ctx)
	workers := r.Workers
	if workers == 0 {
		workers = 2
	}
	g.wg.Go(func() {
		rev.load(ctx, g.opts, workers)
		g.mu.Lock()
		defer g.mu.Unlock()
		if ep := g.endpoints[r.Endpoint]; ep != nil {
			g.rebuild(ep)
		}
	})
	return rev
}

// rebuild makes the table that requests see from what was told and what is
// ready, and retires what neither needs. A champion that is not ready never
// takes the place of one that answers. g.mu is held.
func (g *Gateway) rebuild(ep *endpoint) {
	before := ep.all()
	t := &table{routing: ep.routing, wanted: ep.champion}
	if ep.champion != nil {
		if state, _ := ep.champion.status(); state == Ready {
			t.champion = ep.champion
		} else if old := ep.table.Load(); old != nil {
			t.champion = old.champion
		}
	}
	if ep.candidate != nil && ep.routing.Share > 0 {
		if state, _ := ep.candidate.status(); state == Ready {
			t.candidate = ep.candidate
		}
	}
	last := ep.table.Swap(t)
	if last != nil {
		before = append(before, last.champion, last.candidate)
	}
	wanted := map[*revision]bool{nil: true, ep.champion: true, ep.candidate: true, t.champion: true}
	for _, rev := range before {
		if !wanted[rev] {
			wanted[rev] = true // retired once
			g.retire(rev)
		}
	}
	g.index()
}

func (g *Gateway) retire(rev *revision) {
	g.wg.Go(rev.retire)
}

// index publishes the names under which requests find endpoints: their own and
// the model's. An endpoint's own name wins.
func (g *Gateway) index() {
	names := map[string]*endpoint{}
	for _, ep := range g.endpoints {
		names[ep.routing.Model] = ep
	}
	for name, ep := range g.endpoints {
		names[name] = ep
	}
	g.byName.Store(&names)
}

// all returns every revision of the endpoint, each once.
func (ep *endpoint) all() []*revision {
	var revs []*revision
	add := func(r *revision) {
		for _, have := range revs {
			if have == r {
				return
			}
		}
		if r != nil {
			revs = append(revs, r)
		}
	}
	add(ep.champion)
	add(ep.candidate)
	if t := ep.table.Load(); t != nil {
		add(t.champion)
		add(t.candidate)
	}
	return revs
}

func (ep *endpoint) stats() EndpointStats {
	s := EndpointStats{Routing: ep.routing}
	t := ep.table.Load()
	if t != nil && t.champion != nil {
		s.Serving = t.champion.spec.Name
	}
	for _, rev := range ep.all() {
		role := "champion"
		if rev == ep.candidate {
			role = "candidate"
		}
		if rev != ep.candidate && rev != ep.champion {
			role = "leaving"
		}
		s.Revisions = append(s.Revisions, rev.stats(role))
	}
	return s
}

// Stats says what every endpoint serves and what its revisions did.
func (g *Gateway) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Stats{StartedAt: g.started, Draining: g.drained.Load(), LogDropped: g.log.droppedLines(), Endpoints: map[string]EndpointStats{}}
	for name, ep := range g.endpoints {
		s.Endpoints[name] = ep.stats()
	}
	return s
}

// Flush returns when every line logged so far is synced to disk.
func (g *Gateway) Flush(ctx context.Context) error { return g.log.flush(ctx) }
