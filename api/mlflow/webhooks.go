// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"lastro"
	"lastro/auth"
	"lastro/webhook"
)

// webhookEndpoints is the part of the table about webhooks. A webhook sends
// what happens here to an address of somebody's choice, and its URL is often a
// credential: so only who administers the server makes or sees one.
func (h *handler) webhookEndpoints() []endpoint {
	if h.Webhooks == nil {
		return nil
	}
	const w = "/2.0/mlflow/webhooks"
	return []endpoint{
		{"POST", w, auth.Administer, serve(h, h.createWebhook), false},
		{"GET", w, auth.Administer, serve(h, h.listWebhooks), false},
		{"GET", w + "/{webhook_id}", auth.Administer, serve(h, h.getWebhook), false},
		{"PATCH", w + "/{webhook_id}", auth.Administer, serve(h, h.updateWebhook), false},
		{"DELETE", w + "/{webhook_id}", auth.Administer, serve(h, h.deleteWebhook), false},
		{"POST", w + "/{webhook_id}/test", auth.Administer, serve(h, h.testWebhook), false},
	}
}

// webhookEvent is an event on the wire: {"entity": "MODEL_VERSION", "action": "CREATED"}.
type webhookEvent struct {
	Entity string `json:"entity"`
	Action string `json:"action"`
}

func (e webhookEvent) event() webhook.Event {
	return webhook.Event(strings.ToLower(e.Entity) + "." + strings.ToLower(e.Action))
}

type webhookRequest struct {
	ID          string         `json:"webhook_id"`
	Name        *string        `json:"name"`
	Description *string        `json:"description"`
	URL         *string        `json:"url"`
	Events      []webhookEvent `json:"events"`
	Secret      *string        `json:"secret"`
	Status      *string        `json:"status"`
	Event       *webhookEvent  `json:"event"`
	MaxResults  int64s         `json:"max_results"`
	PageToken   string         `json:"page_token"`
}

func (r webhookRequest) events() []webhook.Event {
	var out []webhook.Event
	for _, e := range r.Events {
		out = append(out, e.event())
	}
	return out
}

// webhookWire is a webhook as clients read it: without its secret.
type webhookWire struct {
	ID          string         `json:"webhook_id"`
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	URL         string         `json:"url"`
	Events      []webhookEvent `json:"events"`
	Status      string         `json:"status"`
	CreatedAt   int64s         `json:"creation_timestamp"`
	UpdatedAt   int64s         `json:"last_updated_timestamp"`
}

type webhookAnswer struct {
	Webhook webhookWire `json:"webhook"`
}

func toWebhook(w webhook.Webhook) webhookWire {
	out := webhookWire{ID: w.ID, Name: w.Name, Description: w.Description, URL: w.URL, Status: string(w.Status), CreatedAt: millis(w.CreatedAt), UpdatedAt: millis(w.UpdatedAt)}
	for _, e := range w.Events {
		entity, action, _ := strings.Cut(strings.ToUpper(string(e)), ".")
		out.Events = append(out.Events, webhookEvent{entity, action})
	}
	return out
}

// textOf is the text of a field that may be missing.
func textOf(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func (h *handler) createWebhook(ctx context.Context, req webhookRequest) (any, error) {
	if err := required("name", textOf(req.Name), "url", textOf(req.URL)); err != nil {
		return nil, err
	}
	w, err := h.Webhooks.Create(ctx, actor(ctx), webhook.Webhook{Name: *req.Name, URL: *req.URL, Description: textOf(req.Description),
		Events: req.events(), Status: webhook.Status(textOf(req.Status))}, textOf(req.Secret))
	return webhookAnswer{toWebhook(w)}, err
}

// webhookToken is where the next page begins.
type webhookToken struct {
	After string `json:"a"`
}

func (h *handler) listWebhooks(ctx context.Context, req webhookRequest) (any, error) {
	limit := int(req.MaxResults)
	if limit == 0 {
		limit = 100
	}
	if limit < 1 || limit > 1000 {
		return nil, lastro.Errorf(lastro.EInvalid, "max_results is %d; it must be between 1 and 1000", req.MaxResults)
	}
	var at webhookToken
	if req.PageToken != "" {
		raw, err := base64.RawURLEncoding.DecodeString(req.PageToken)
		if err != nil || json.Unmarshal(raw, &at) != nil || at.After == "" {
			return nil, &lastro.Error{Code: lastro.EInvalid, Msg: "page_token does not belong to this list", Hint: "start again without it"}
		}
	}
	list, err := h.Webhooks.List(ctx, at.After, limit+1)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Webhooks []webhookWire `json:"webhooks"`
		Next     string        `json:"next_page_token,omitempty"`
	}{Webhooks: []webhookWire{}}
	if len(list) > limit {
		list = list[:limit]
		raw, err := json.Marshal(webhookToken{list[limit-1].ID})
		if err != nil {
			return nil, err
		}
		answer.Next = base64.RawURLEncoding.EncodeToString(raw)
	}
	for _, w := range list {
		answer.Webhooks = append(answer.Webhooks, toWebhook(w))
	}
	return answer, nil
}

func (h *handler) getWebhook(ctx context.Context, req webhookRequest) (any, error) {
	w, err := h.Webhooks.Get(ctx, req.ID)
	return webhookAnswer{toWebhook(w)}, err
}

func (h *handler) updateWebhook(ctx context.Context, req webhookRequest) (any, error) {
	c := webhook.Change{Description: req.Description, Secret: req.Secret, Events: req.events()}
	if textOf(req.Name) != "" { // an empty one leaves the name, as with MLflow
		c.Name = req.Name
	}
	if textOf(req.URL) != "" {
		c.URL = req.URL
	}
	if req.Status != nil {
		c.Status = new(webhook.Status(*req.Status))
	}
	w, err := h.Webhooks.Update(ctx, actor(ctx), req.ID, c)
	return webhookAnswer{toWebhook(w)}, err
}

func (h *handler) deleteWebhook(ctx context.Context, req webhookRequest) (any, error) {
	return empty{}, h.Webhooks.Delete(ctx, actor(ctx), req.ID)
}

// testWebhook tells how a receiver answered, and not what: a URL may name
// something that only the server reaches (CVE-2026-64849).
func (h *handler) testWebhook(ctx context.Context, req webhookRequest) (any, error) {
	var e webhook.Event
	if req.Event != nil {
		e = req.Event.event()
	}
	trial, err := h.Webhooks.Try(ctx, req.ID, e)
	if err != nil {
		return nil, err
	}
	type result struct {
		Success bool   `json:"success"`
		Status  int    `json:"response_status,omitempty"`
		Error   string `json:"error_message,omitempty"`
	}
	out := result{Success: trial.OK, Status: trial.Status, Error: trial.Why}
	if !trial.OK && out.Error == "" {
		out.Error = fmt.Sprintf("the receiver answered %d", trial.Status)
	}
	return map[string]result{"result": out}, nil
}
