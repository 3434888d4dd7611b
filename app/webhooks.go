// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"

	"lastro"
	"lastro/outbound"
	"lastro/registry"
	"lastro/store"
	"lastro/webhook"
)

// newWebhooks returns the webhooks of this state directory. Their calls leave
// through the one outbound client.
func (h *House) newWebhooks(o OpenOptions) (*webhook.Service, error) {
	allow, err := outbound.ParseAllow(o.OutboundAllow)
	if err != nil {
		return nil, err
	}
	return webhook.NewService(store.NewWebhooks(h.DB), h.Secrets, outbound.New(outbound.Options{Allow: allow}), h.cardOf, h.Clock), nil
}

// cardOf is what receivers are told of a model or a version.
func (h *House) cardOf(ctx context.Context, model string, number int) (card webhook.Card, err error) {
	if number == 0 {
		var m registry.Model
		m, err = h.Registry.Model(ctx, model)
		card = webhook.Card{Tags: m.Tags, Description: m.Description}
	} else {
		var v registry.Version
		v, err = h.Registry.Version(ctx, model, number)
		card = webhook.Card{Tags: v.Tags, Description: v.Description}
	}
	if lastro.Is(err, lastro.ENotFound) {
		return webhook.Card{}, nil
	}
	return card, err
}

// webhookLoop sends messages: at once after an event of this process that
// somebody may hear of, and soon after one of another.
func (s *server) webhookLoop(ctx context.Context) error {
	events, end := s.house.DB.Subscribe(1)
	defer end()
	woken := make(chan struct{}, 1)
	go func() { // ends with the subscription
		for ev := range events {
			if !webhook.Concerns(ev) {
				continue
			}
			select {
			case woken <- struct{}{}:
			default:
			}
		}
	}()
	return s.house.Webhooks.Run(ctx, woken, s.house.Log)
}
