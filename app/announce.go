// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"lastro"
	"lastro/auth"
)

// localUser is who commands of the server's own account act as.
const localUser = "local"

// announce writes where the server is, for commands on this machine, and makes
// the one-time link for a browser.
func (h *House) announce(ctx context.Context, url string, none bool) (Address, error) {
	a := Address{URL: url, PID: os.Getpid()}
	by := lastro.System("server")
	if _, err := h.Auth.User(ctx, localUser); lastro.Is(err, lastro.ENotFound) {
		if _, err := h.Auth.CreateUser(ctx, by, localUser, auth.Admin); err != nil {
			return a, err
		}
	} else if err != nil {
		return a, err
	}
	secret, _, err := h.Auth.CreateToken(ctx, by, localUser, announced, nil)
	if err != nil {
		return a, err
	}
	a.Token = secret
	if !none {
		code, err := h.Auth.CreateLogin(ctx, by, localUser)
		if err != nil {
			return a, err
		}
		a.Login = url + "/login?code=" + code
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return a, err
	}
	tmp := h.Paths.Server() + ".new"
	if err := os.WriteFile(tmp, raw, 0o600); err != nil {
		return a, diskError(err)
	}
	return a, diskError(os.Rename(tmp, h.Paths.Server()))
}

// announced is how long the token in the server's address is good for.
const announced = 30 * 24 * time.Hour

// keepAnnouncing renews the token long before it ends: a server may live for
// years, and commands on its machine must reach it.
func (h *House) keepAnnouncing(ctx context.Context, url string) error {
	t := time.NewTicker(announced / 4)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if _, err := h.announce(ctx, url, true); err != nil {
				h.Log.Error("the server's address could not be renewed", "err", err)
			}
		}
	}
}

func (h *House) withdraw() { _ = os.Remove(h.Paths.Server()) }

// Living returns the address of the server that holds a state directory.
func Living(p Paths) (Address, bool) {
	var a Address
	raw, err := os.ReadFile(p.Server())
	if err != nil || !held(p) || json.Unmarshal(raw, &a) != nil {
		return Address{}, false
	}
	return a, a.URL != ""
}
