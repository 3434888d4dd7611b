// SPDX-License-Identifier: Apache-2.0

package api

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"lastro"
	"lastro/trigger"
)

// Webhooks is what the routes of webhooks need.
type Webhooks interface {
	// WebhookSecret returns the secret that a provider signs with; ENotFound
	// when none is set.
	WebhookSecret(ctx context.Context, provider string) (string, error)
	// Delivered reports whether a delivery, or its body, was taken before.
	Delivered(ctx context.Context, d trigger.Delivery) (bool, error)
	// Deliver records that a delivery was taken.
	Deliver(ctx context.Context, d trigger.Delivery) error
	Changed(ctx context.Context, c trigger.Change) (Taken, error)
	Proposed(ctx context.Context, p trigger.Proposal) (Taken, error)
}

// Taken is what became of something that may start a run.
type Taken struct {
	Cause *trigger.Cause `json:"cause,omitempty"`
	// Again is true when the cause was known before.
	Again bool `json:"again,omitempty"`
	// Ignored says why nothing starts.
	Ignored string `json:"ignored,omitempty"`
}

// provider is a forge: how it signs, and what its payloads say.
type provider struct {
	name string
	// signs are the headers of which one must be there; without it a body is not even read.
	signs []string
	// verify checks the signature and returns the ID of the delivery.
	verify func(head http.Header, body []byte, secret string, now time.Time) (id string, ok bool)
	// read translates a payload; nothing means that it is of no concern.
	read func(event string, body []byte) (heard, error)
	// event is the header that names the kind of payload.
	event string
}

// heard is what a payload says.
type heard struct {
	change   *trigger.Change
	proposal *trigger.Proposal
	nothing  string // why neither
}

// providers is the table of forges whose webhooks are understood.
var providers = []provider{github, gitlab, gitea}

// maxWebhook bounds a payload in bytes; larger ones are refused unread.
const maxWebhook = 10 << 20

// webhook takes the deliveries of one provider. The signature is the only
// identity of its sender, so nothing of the body is read before it fits.
func (h *handler) webhook(p provider) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		secret, err := h.Triggers.WebhookSecret(r.Context(), p.name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(p.signs, func(name string) bool { return r.Header.Get(name) != "" }) {
			return nil, h.unsigned(r, p)
		}
		body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxWebhook))
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0245", Msg: fmt.Sprintf("the delivery is larger than %d bytes", maxWebhook)}
		}
		if err != nil {
			return nil, lastro.Errorf(lastro.EInvalid, "the delivery was cut short: %v", err)
		}
		d := trigger.Delivery{Provider: p.name, Digest: lastro.DigestOf(body), At: time.Now().UTC()}
		var ok bool
		if d.ID, ok = p.verify(r.Header, body, secret, d.At); !ok {
			return nil, h.unsigned(r, p)
		}
		if d.ID == "" || len(d.ID) > 200 {
			d.ID = string(d.Digest)
		}
		if again, err := h.Triggers.Delivered(r.Context(), d); err != nil || again {
			return map[string]any{"ignored": "this delivery was taken before"}, err
		}
		told, err := p.read(r.Header.Get(p.event), body)
		if err != nil {
			return nil, err
		}
		taken, err := h.take(r.Context(), told)
		if err != nil {
			return nil, err
		}
		// Recorded last: a delivery that failed half-way may come again, and its causes are the same.
		return taken, h.Triggers.Deliver(r.Context(), d)
	}
}

// unsigned refuses a delivery of nobody knows whom.
func (h *handler) unsigned(r *http.Request, p provider) error {
	h.Log.WarnContext(r.Context(), "a webhook whose signature does not fit", "provider", p.name, "from", r.RemoteAddr)
	return &lastro.Error{Code: lastro.EDenied, ID: "L0243", Msg: "the signature of this delivery does not fit",
		Hint: "both sides must have the same secret: lastro secret set " + SecretOf(p.name)}
}

func (h *handler) take(ctx context.Context, told heard) (Taken, error) {
	switch {
	case told.change != nil:
		return h.Triggers.Changed(ctx, *told.change)
	case told.proposal != nil:
		return h.Triggers.Proposed(ctx, *told.proposal)
	}
	return Taken{Ignored: told.nothing}, nil
}

// SecretOf is the name of the secret that a provider's webhooks are signed with.
func SecretOf(provider string) string { return "WEBHOOK_" + strings.ToUpper(provider) }

// signed reports whether signature is the hex HMAC-SHA256 of the body. The
// comparison takes as long for every wrong signature.
func signed(signature string, body []byte, secret string) bool {
	got, err := hex.DecodeString(signature)
	if err != nil || secret == "" {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// noCommit is how forges spell "there is none".
func noCommit(s string) string {
	if strings.Trim(s, "0") == "" {
		return ""
	}
	return s
}

// person makes an actor of a forge's account name, which is no user here.
func person(provider, name string) lastro.Actor {
	if name == "" {
		return lastro.System(provider)
	}
	if len(name) > 100 {
		name = name[:100]
	}
	return lastro.Actor(provider + ":" + strings.ToValidUTF8(name, "?"))
}

// changeOf checks what a payload says of a ref.
func changeOf(ref, before, after string, by lastro.Actor, author string) (heard, error) {
	c := trigger.Change{Ref: ref, Before: noCommit(before), After: noCommit(after), Actor: by, Author: author}
	return heard{change: &c}, CheckChange(c)
}

// CheckChange refuses names that no repository has, before git ever sees them.
func CheckChange(c trigger.Change) error {
	switch {
	case !lastro.IsRef(c.Ref):
		return lastro.Errorf(lastro.EInvalid, "%.100q is not the full name of a branch or tag", c.Ref)
	case c.After != "" && !lastro.IsCommit(c.After), c.Before != "" && !lastro.IsCommit(c.Before):
		return lastro.Errorf(lastro.EInvalid, "%.100q or %.100q is not a commit", c.Before, c.After)
	}
	return nil
}

// checkProposal is CheckChange for a pull request.
func checkProposal(p trigger.Proposal) (heard, error) {
	switch {
	case p.Number < 1:
		return heard{}, lastro.Errorf(lastro.EInvalid, "the pull request has no number")
	case !lastro.IsCommit(p.Head):
		return heard{}, lastro.Errorf(lastro.EInvalid, "%.100q is not a commit", p.Head)
	case !lastro.IsRef("refs/heads/" + p.Base):
		return heard{}, lastro.Errorf(lastro.EInvalid, "%.100q is not the name of a branch", p.Base)
	}
	return heard{proposal: &p}, nil
}
