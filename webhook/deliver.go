// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"lastro"
)

// How messages are sent.
const (
	lease      = 2 * time.Minute  // a message belongs so long to who claimed it; a call takes less
	giveUp     = 24 * time.Hour   // after its event a message is tried no more
	slowest    = 15 * time.Minute // between two tries
	eventsRead = 500              // at once
	sentAtOnce = 8                // messages, to as many receivers
	lookEvery  = 2 * time.Second  // for what other processes left
)

// Run sends messages until ctx ends. woken, if not nil, tells that there may be
// new events; several processes may run it over one database.
func (s *Service) Run(ctx context.Context, woken <-chan struct{}, log *slog.Logger) error {
	for {
		next, err := s.round(ctx, log)
		if err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "webhooks wait for the database", "err", err)
		}
		pause := lookEvery
		if !next.IsZero() {
			pause = max(10*time.Millisecond, min(pause, next.Sub(s.clock.Now())))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-woken:
		case <-time.After(pause):
		}
	}
}

// round makes messages of new events and sends what is due; next is when the
// next one is, the zero time if none waits.
func (s *Service) round(ctx context.Context, log *slog.Logger) (next time.Time, err error) {
	if err := s.gather(ctx); err != nil {
		return next, err
	}
	for ctx.Err() == nil {
		due, next, err := s.store.Due(ctx, s.clock.Now(), sentAtOnce)
		if err != nil || len(due) == 0 {
			return next, err
		}
		var group errgroup.Group
		for _, m := range due {
			group.Go(func() error { return s.deliver(ctx, m, log) })
		}
		if err := group.Wait(); err != nil {
			return next, err
		}
	}
	return next, nil
}

// gather makes messages of the events since the cursor. Without a webhook that
// listens the cursor stays: who is created later hears of what comes later.
func (s *Service) gather(ctx context.Context) error {
	hearings, err := s.store.Hearings(ctx)
	if err != nil || len(hearings) == 0 {
		return err
	}
	at, err := s.store.Cursor(ctx)
	if err != nil {
		return err
	}
	first := hearings[0].After
	for _, h := range hearings {
		first = min(first, h.After)
	}
	from := at
	at = max(at, first)
	for {
		events, err := s.store.EventsAfter(ctx, at, eventsRead)
		if err != nil || len(events) == 0 {
			return err
		}
		var messages []Message
		for _, ev := range events {
			list, err := s.messages(ctx, hearings, ev)
			if err != nil {
				return err
			}
			messages = append(messages, list...)
		}
		at = events[len(events)-1].Seq
		moved, err := s.store.Enqueue(ctx, from, at, messages)
		if err != nil || !moved || len(events) < eventsRead {
			return err
		}
		from = at
	}
}

// messages are those that one event makes.
func (s *Service) messages(ctx context.Context, hearings []Hearing, ev lastro.Event) ([]Message, error) {
	e, data, err := translate(ctx, ev, s.look)
	if err != nil || e == "" {
		return nil, err
	}
	var out []Message
	for _, h := range hearings {
		if ev.Seq <= h.After || !h.wants(e) {
			continue
		}
		body, err := encode(e, ev.At, data)
		if err != nil {
			return nil, err
		}
		out = append(out, Message{ID: newID(), Webhook: h.ID, Event: e, Body: body, Next: ev.At, At: ev.At})
	}
	return out, nil
}

// deliver sends one message and records how that went. A crash after the
// receiver has answered sends it again, under the same ID.
func (s *Service) deliver(ctx context.Context, m Message, log *slog.Logger) error {
	mine, err := s.store.Claim(ctx, m, s.clock.Now().Add(lease))
	if err != nil || !mine {
		return err
	}
	record := context.WithoutCancel(ctx) // else a claimed message would wait for the end of its lease
	w, err := s.store.Webhook(record, m.Webhook)
	if lastro.Is(err, lastro.ENotFound) || err == nil && w.Status != Active {
		return s.store.Delivered(record, m.ID)
	}
	if err != nil {
		return err
	}
	status, wait, err := s.send(ctx, w, m)
	if err == nil && status < 300 {
		return s.store.Delivered(record, m.ID)
	}
	if ctx.Err() != nil {
		return s.store.Retry(record, m.ID, s.clock.Now()) // the next process sends it
	}
	again := s.clock.Now().Add(max(wait, backOff(m.Attempts)))
	if !worthwhile(status, err) || again.Sub(m.At) > giveUp {
		log.WarnContext(ctx, "a webhook's message was given up", "webhook", w.Name, "event", m.Event, "message", m.ID, "attempts", m.Attempts+1, "status", status, "err", err)
		return s.store.Delivered(record, m.ID)
	}
	return s.store.Retry(record, m.ID, again)
}

// backOff is the pause after a failed try: 1 s, 2 s, 4 s and so on.
func backOff(attempts int) time.Duration {
	return min(time.Second<<min(attempts, 20), slowest)
}

// worthwhile reports whether another try may go better: nobody answered, or
// the receiver says that it cannot now. Other answers would be the same again.
func worthwhile(status int, err error) bool {
	if err != nil {
		return !lastro.Is(err, lastro.EInvalid) && !lastro.Is(err, lastro.EDenied) && !lastro.Is(err, lastro.ETampered)
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// send makes one call. The time that is signed is that of the call, so that a
// receiver may refuse what is old.
func (s *Service) send(ctx context.Context, w Webhook, m Message) (status int, wait time.Duration, err error) {
	at := strconv.FormatInt(s.clock.Now().Unix(), 10)
	header := http.Header{"Content-Type": {"application/json"}}
	header["X-MLflow-Delivery-Id"] = []string{m.ID} // spelled as MLflow does, which Go's form of names is not
	header["X-MLflow-Timestamp"] = []string{at}
	if len(w.Secret) > 0 {
		secret, err := s.seal.Unseal(ctx, string(w.Ref()), w.Secret)
		if err != nil {
			return 0, 0, err
		}
		header["X-MLflow-Signature"] = []string{sign(secret, m.ID, at, m.Body)}
	}
	return s.caller.Post(ctx, w.URL, header, []byte(m.Body))
}

// sign is MLflow's signature: HMAC-SHA256 over ID, time and body, in base64.
func sign(secret, id, at, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(id + "." + at + "." + body))
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
