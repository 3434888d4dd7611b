// SPDX-License-Identifier: Apache-2.0

// Package webhook tells other programs what happens in the registry: who asked
// for it keeps a URL here, and gets a signed message for each event of the kinds
// that it chose. Events come from the store, once they are committed; a message
// is sent at least once, also after a restart. The words of the messages are
// those of MLflow, whose clients make and read them.
package webhook

import (
	"context"
	"net/http"
	"slices"
	"time"

	"lastro"
)

// Event is a kind of what happens: "model_version.created".
type Event string

// The kinds of events.
const (
	ModelCreated        Event = "registered_model.created"
	VersionCreated      Event = "model_version.created"
	VersionTagSet       Event = "model_version_tag.set"
	VersionTagDeleted   Event = "model_version_tag.deleted"
	AliasCreated        Event = "model_version_alias.created"
	AliasDeleted        Event = "model_version_alias.deleted"
	PromptCreated       Event = "prompt.created"
	PromptVersion       Event = "prompt_version.created"
	PromptTagSet        Event = "prompt_tag.set"
	PromptTagDeleted    Event = "prompt_tag.deleted"
	PromptVersionTagSet Event = "prompt_version_tag.set"
	PromptVersionTagDel Event = "prompt_version_tag.deleted"
	PromptAliasCreated  Event = "prompt_alias.created"
	PromptAliasDeleted  Event = "prompt_alias.deleted"
)

// Events lists all kinds.
var Events = []Event{ModelCreated, VersionCreated, VersionTagSet, VersionTagDeleted, AliasCreated, AliasDeleted, PromptCreated, PromptVersion,
	PromptTagSet, PromptTagDeleted, PromptVersionTagSet, PromptVersionTagDel, PromptAliasCreated, PromptAliasDeleted}

// Status says whether messages are sent.
type Status string

// The statuses.
const (
	Active   Status = "ACTIVE"
	Disabled Status = "DISABLED"
)

// Webhook is one receiver.
type Webhook struct {
	ID          string // a UUID
	Name        string
	Description string
	URL         string
	Events      []Event // what it wants to hear, sorted
	Status      Status
	Secret      []byte // signs its messages; sealed, never shown; empty = not signed
	CreatedAt   time.Time
	UpdatedAt   time.Time
	By          lastro.Actor
}

// Ref returns "webhook:ID".
func (w Webhook) Ref() lastro.Ref { return lastro.NewRef("webhook", w.ID, "") }

// wants reports whether a webhook is to hear of an event.
func (w Webhook) wants(e Event) bool { return w.Status == Active && slices.Contains(w.Events, e) }

// Message is one message on its way to one webhook.
type Message struct {
	ID       string // a UUID, the same for each time that it is sent
	Webhook  string
	Event    Event
	Body     string // JSON
	Attempts int    // that failed
	Next     time.Time
	At       time.Time // of what it tells
}

// Hearing is a webhook with the first event that it may hear.
type Hearing struct {
	Webhook
	After int64 // number of the last event before it was created or switched on
}

// Store keeps webhooks and the messages that were not delivered yet. Errors
// carry lastro.ENotFound for what does not exist.
type Store interface {
	CreateWebhook(ctx context.Context, w Webhook, events ...lastro.Event) error
	Webhook(ctx context.Context, id string) (Webhook, error)
	// Webhooks lists them, newest first; before is the last one of the page before, nil for the first page.
	Webhooks(ctx context.Context, before *Webhook, limit int) ([]Webhook, error)
	// UpdateWebhook writes everything but ID, CreatedAt and By. One that was switched on hears of what comes from now on.
	UpdateWebhook(ctx context.Context, w Webhook, events ...lastro.Event) error
	// DeleteWebhook removes it with its messages.
	DeleteWebhook(ctx context.Context, id string, events ...lastro.Event) error

	// Hearings lists the active webhooks.
	Hearings(ctx context.Context) ([]Hearing, error)
	// Cursor returns the number of the last event of which messages were made.
	Cursor(ctx context.Context) (int64, error)
	// EventsAfter returns events in order of their numbers.
	EventsAfter(ctx context.Context, after int64, limit int) ([]lastro.Event, error)
	// Enqueue keeps messages and moves the cursor from one event to another; moved is false
	// when another process has moved it, and then nothing is kept.
	Enqueue(ctx context.Context, from, to int64, messages []Message) (moved bool, err error)

	// Due returns the messages to be sent now, in order, and when the next one is due ("" never: the zero time).
	Due(ctx context.Context, now time.Time, limit int) (due []Message, next time.Time, err error)
	// Claim gives a message to the caller until then, unless somebody else took it or it has gone.
	Claim(ctx context.Context, m Message, until time.Time) (bool, error)
	// Delivered drops a message.
	Delivered(ctx context.Context, id string) error
	// Retry keeps a message for later, with one attempt more.
	Retry(ctx context.Context, id string, next time.Time) error
}

// Sealer encrypts the secrets of webhooks at rest.
type Sealer interface {
	Seal(ctx context.Context, purpose, value string) ([]byte, error)
	Unseal(ctx context.Context, purpose string, box []byte) (string, error)
}

// Caller calls receivers. It refuses addresses that may not be called.
type Caller interface {
	Check(url string) error
	// Post returns the status of the answer, and how long the receiver asks to wait.
	Post(ctx context.Context, url string, header http.Header, body []byte) (status int, wait time.Duration, err error)
}
