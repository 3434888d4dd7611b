// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lastro"
)

// stepPrefix begins the token of a step, which is signed instead of stored: a
// run of a thousand steps writes no thousand tokens.
const stepPrefix = secretPrefix + "step_"

// maxStepToken bounds a token's length: names of steps are at most 63 bytes.
const maxStepToken = 1000

// StepID names one attempt at one step or matrix cell of one run.
type StepID struct {
	Run, Step, Cell string // Cell is "" outside a matrix
	Attempt         int    // from 1
}

// Steps decides which steps' tokens are good.
type Steps struct {
	// Key signs them, 32 bytes or more. It stays the same while a step may be at
	// work, also over a restart.
	Key []byte
	// Running reports whether an attempt is at work: the token of one that has
	// ended is no good, however long it would have lasted, and nor is that of an
	// attempt before, which may live on somewhere.
	Running func(ctx context.Context, id StepID) (bool, error)
}

// AdmitSteps lets the tokens of steps in that st says are good. Without it they
// are good until they expire or the process ends.
func (s *Service) AdmitSteps(st Steps) { s.steps.Store(&st) }

func anyStep() Steps {
	key := make([]byte, 32)
	rand.Read(key) // never fails
	return Steps{Key: key, Running: func(context.Context, StepID) (bool, error) { return true, nil }}
}

// stepClaim is what a step's token says.
type stepClaim struct {
	Run     string `json:"r"`
	Step    string `json:"s"`
	Cell    string `json:"c,omitempty"`
	Attempt int    `json:"a"`
	Expires int64  `json:"e"` // Unix seconds
}

// IssueStepToken makes the token of one attempt at a step. Give it the step's
// timeout and five minutes.
func (s *Service) IssueStepToken(id StepID, ttl time.Duration) (secret string, err error) {
	claim, err := json.Marshal(stepClaim{id.Run, id.Step, id.Cell, id.Attempt, s.clock.Now().Add(ttl).Unix()})
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(claim)
	return stepPrefix + text + "." + s.signature(text), nil
}

func (s *Service) signature(text string) string {
	mac := hmac.New(sha256.New, s.steps.Load().Key)
	mac.Write([]byte("lastro step token\x00" + text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// authenticateStep returns the identity that a step's token stands for.
func (s *Service) authenticateStep(ctx context.Context, secret string) (Identity, error) {
	text, signature, ok := strings.Cut(strings.TrimPrefix(secret, stepPrefix), ".")
	if !ok || len(secret) > maxStepToken || !hmac.Equal([]byte(signature), []byte(s.signature(text))) {
		return Identity{}, unknown()
	}
	var claim stepClaim
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &claim) != nil || s.clock.Now().Unix() >= claim.Expires {
		return Identity{}, unknown()
	}
	running, err := s.steps.Load().Running(ctx, StepID{claim.Run, claim.Step, claim.Cell, claim.Attempt})
	if err != nil {
		return Identity{}, err
	}
	if !running {
		return Identity{}, unknown()
	}
	return Identity{Actor: lastro.Actor("step:" + claim.Run + "/" + claim.Step), Permissions: slices.Clone(stepPermissions),
		Run: claim.Run, Step: claim.Step, Cell: claim.Cell, Attempt: claim.Attempt}, nil
}
