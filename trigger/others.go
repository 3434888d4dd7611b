// SPDX-License-Identifier: Apache-2.0

package trigger

import (
	"context"
	"fmt"

	"lastro"
)

// Saw records the version that a dataset of on.data has now. The first one that
// is seen starts nothing: it was there before anybody watched. readBy is the
// number of a run that has read the version already, 0 = none; such a version
// is recorded and starts no second run.
func (s *Service) Saw(ctx context.Context, dataset string, version lastro.Digest, readBy int64) (started bool, err error) {
	name := "data " + dataset
	mark, err := s.store.Mark(ctx, s.project, name)
	if err != nil || mark == string(version) {
		return false, err
	}
	now := s.clock.Now()
	c := Cause{Project: s.project, Key: fmt.Sprintf("data %s %s", dataset, version), Kind: KindData, State: Pending, At: now, SeenAt: now, Actor: lastro.System("data"),
		Detail: detail("dataset", dataset, "version", string(version), "before", mark)}
	if readBy != 0 {
		c.State, c.Reason = Skipped, fmt.Sprintf("run #%d has read this version already", readBy)
	}
	causes := []Cause{c}
	if mark == "" {
		causes = nil
	}
	done, err := s.store.Advance(ctx, s.project, name, mark, string(version), causes)
	return done && mark != "" && readBy == 0, err
}

// Alerted records what an alert asks for: request is its ID.
func (s *Service) Alerted(ctx context.Context, request string, alert lastro.Ref, reason, commit string) (Cause, error) {
	c, _, err := s.Record(ctx, Cause{Key: "alert " + request, Kind: KindAlert, Actor: lastro.System("monitor"), Commit: commit,
		Detail: detail("alert", string(alert), "reason", reason, "request", request)})
	return c, err
}

// Asked records a run that a program asked for with a key of its own: asking
// again with the key gives the same cause.
func (s *Service) Asked(ctx context.Context, who lastro.Actor, key string, request map[string]any) (c Cause, added bool, err error) {
	if len(key) == 0 || len(key) > 255 {
		return c, false, &lastro.Error{Code: lastro.EInvalid, ID: "L0238", Msg: fmt.Sprintf("the Idempotency-Key has %d bytes", len(key)), Hint: "send 1 to 255 bytes, such as a UUID"}
	}
	return s.Record(ctx, Cause{Key: fmt.Sprintf("api %s %s", who, key), Kind: KindAPI, Actor: who, Detail: request})
}
