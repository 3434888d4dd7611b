// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"

	"lastro"
)

type serviceState struct{}

func (s *Service) deploy(context.Context, Request) (Release, Rollout, error) {
	return Release{}, Rollout{}, lastro.Errorf(lastro.EUnsupported, "not built yet")
}
func (s *Service) rollback(context.Context, string, string, lastro.Actor) (Release, error) {
	return Release{}, lastro.Errorf(lastro.EUnsupported, "not built yet")
}
func (s *Service) tick(context.Context) error { return nil }
func (s *Service) current(context.Context, string) (View, error) {
	return View{}, lastro.Errorf(lastro.EUnsupported, "not built yet")
}
