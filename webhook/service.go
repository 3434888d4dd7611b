// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"lastro"
)

// Bounds of what a webhook says of itself.
const (
	maxDescription = 2000 // bytes
	maxSecret      = 1000 // bytes
)

// Service makes, changes and tries webhooks, and sends their messages. It is
// safe for concurrent use.
type Service struct {
	store  Store
	seal   Sealer
	caller Caller
	look   Lookup
	clock  lastro.Clock
}

// NewService returns the webhooks over s.
func NewService(s Store, seal Sealer, caller Caller, look Lookup, clock lastro.Clock) *Service {
	return &Service{store: s, seal: seal, caller: caller, look: look, clock: clock}
}

// Create makes a webhook of Name, Description, URL, Events and Status ("" =
// Active). secret signs its messages, "" = they are not signed.
func (s *Service) Create(ctx context.Context, by lastro.Actor, w Webhook, secret string) (Webhook, error) {
	w.ID, w.By, w.CreatedAt = newID(), by, s.clock.Now()
	w.UpdatedAt = w.CreatedAt
	if w.Status == "" {
		w.Status = Active
	}
	err := s.complete(ctx, &w, secret)
	if err != nil {
		return w, err
	}
	return w, s.store.CreateWebhook(ctx, w, lastro.NewEvent(w.CreatedAt, by, "webhook.created", w.Ref(), about(w)))
}

// about is what the record keeps of a webhook. The URL often holds a
// credential, so it is not part of it.
func about(w Webhook) map[string]any {
	return map[string]any{"name": w.Name, "events": w.Events, "status": w.Status}
}

// complete checks a webhook and seals its secret.
func (s *Service) complete(ctx context.Context, w *Webhook, secret string) (err error) {
	if err := checkName(w.Name); err != nil {
		return err
	}
	if err := s.caller.Check(w.URL); err != nil {
		if e, ok := errors.AsType[*lastro.Error](err); ok && e.Code == lastro.EDenied { // who asks may do it, the URL may not be
			e.Code = lastro.EInvalid
		}
		return err
	}
	if len(w.Description) > maxDescription || strings.ContainsRune(w.Description, 0) {
		return bad("description has %d bytes, or a NUL byte; %d is the most", len(w.Description), maxDescription)
	}
	if w.Status != Active && w.Status != Disabled {
		return bad("status is %q; use ACTIVE or DISABLED", w.Status)
	}
	if w.Events, err = checkEvents(w.Events); err != nil || secret == "" {
		return err
	}
	if len(secret) > maxSecret {
		return bad("secret has %d bytes; %d is the most", len(secret), maxSecret)
	}
	w.Secret, err = s.seal.Seal(ctx, string(w.Ref()), secret)
	return err
}

func bad(format string, args ...any) error {
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0735", Msg: fmt.Sprintf(format, args...), Hint: "see docs/reference/webhooks.md"}
}

// names as MLflow's clients may choose them: 1 to 63 letters, digits and . _ -
var webhookName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)

func checkName(name string) error {
	if webhookName.MatchString(name) {
		return nil
	}
	return bad("name is %.100q; use 1 to 63 letters, digits and . _ - that begin and end with a letter or a digit", name)
}

// checkEvents sorts events and drops what comes twice.
func checkEvents(list []Event) ([]Event, error) {
	if len(list) == 0 {
		return nil, bad("events is empty; name at least one, such as registered_model.created")
	}
	for _, e := range list {
		if !slices.Contains(Events, e) {
			return nil, bad("events has %.100q, which never happens here; the events are %s", e, join(Events))
		}
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list), nil
}

func join(list []Event) string {
	out := make([]string, len(list))
	for i, e := range list {
		out[i] = string(e)
	}
	return strings.Join(out, ", ")
}

// Change is what Update changes; nil leaves a thing as it is.
type Change struct {
	Name, Description, URL *string
	Events                 []Event // nil = as they are
	Secret                 *string // "" = messages are not signed any more
	Status                 *Status
}

// Update changes a webhook.
func (s *Service) Update(ctx context.Context, by lastro.Actor, id string, c Change) (Webhook, error) {
	w, err := s.Get(ctx, id)
	if err != nil {
		return w, err
	}
	for _, f := range []struct{ to, from *string }{{&w.Name, c.Name}, {&w.Description, c.Description}, {&w.URL, c.URL}} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if c.Events != nil {
		w.Events = c.Events
	}
	if c.Status != nil {
		w.Status = *c.Status
	}
	secret := ""
	if c.Secret != nil {
		secret, w.Secret = *c.Secret, nil
	}
	w.UpdatedAt = s.clock.Now()
	if err := s.complete(ctx, &w, secret); err != nil {
		return w, err
	}
	return w, s.store.UpdateWebhook(ctx, w, lastro.NewEvent(w.UpdatedAt, by, "webhook.changed", w.Ref(), about(w)))
}

// Get returns one webhook.
func (s *Service) Get(ctx context.Context, id string) (Webhook, error) {
	return s.store.Webhook(ctx, id)
}

// List returns a page of webhooks, newest first. before is the ID of the last
// one of the page before, "" for the first page.
func (s *Service) List(ctx context.Context, before string, limit int) ([]Webhook, error) {
	if before == "" {
		return s.store.Webhooks(ctx, nil, limit)
	}
	last, err := s.store.Webhook(ctx, before)
	if err != nil {
		return nil, err
	}
	return s.store.Webhooks(ctx, &last, limit)
}

// Delete removes a webhook; messages that wait for it are not sent.
func (s *Service) Delete(ctx context.Context, by lastro.Actor, id string) error {
	w, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	return s.store.DeleteWebhook(ctx, id, lastro.NewEvent(s.clock.Now(), by, "webhook.deleted", w.Ref(), map[string]any{"name": w.Name}))
}

// newID returns a random UUID (RFC 9562, version 4).
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Trial is how a receiver answered to an example.
type Trial struct {
	OK     bool
	Status int    // of the answer; 0 = there was none
	Why    string // of what failed, "" when the receiver answered
}

// Try sends an example of an event at once ("" = the first one that the webhook
// wants to hear of), whether it is active or not.
func (s *Service) Try(ctx context.Context, id string, e Event) (Trial, error) {
	w, err := s.Get(ctx, id)
	if err != nil {
		return Trial{}, err
	}
	if e == "" {
		e = w.Events[0]
	}
	if _, err := checkEvents([]Event{e}); err != nil {
		return Trial{}, err
	}
	body, err := encode(e, s.clock.Now(), example(e))
	if err != nil {
		return Trial{}, err
	}
	status, _, err := s.send(ctx, w, Message{ID: newID(), Webhook: w.ID, Event: e, Body: body})
	if err != nil {
		return Trial{Why: err.Error()}, nil
	}
	return Trial{OK: status < 400, Status: status}, nil
}
