// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"lastro"
	"lastro/api"
)

// Client calls a living server's JSON API.
type Client struct {
	address Address
	http    *http.Client
}

// Connect returns a client of the server that holds a state directory.
// LASTRO_TOKEN, when set, says who is calling; otherwise it is the local user.
func Connect(p Paths) (*Client, bool) {
	a, ok := Living(p)
	if !ok {
		return nil, false
	}
	if t := os.Getenv("LASTRO_TOKEN"); t != "" {
		a.Token = t
	}
	return &Client{address: a, http: &http.Client{}}, true
}

// URL is the server's address.
func (c *Client) URL() string { return c.address.URL }

// Get reads a route into out.
func (c *Client) Get(ctx context.Context, path string, out any) error {
	return c.do(ctx, http.MethodGet, path, nil, out)
}

// Post sends in and reads the answer into out; both may be nil.
func (c *Client) Post(ctx context.Context, path string, in, out any) error {
	return c.do(ctx, http.MethodPost, path, in, out)
}

func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	if path != "/runs" { // a run is answered when it begins: it may wait for another, or for packages
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, 2*time.Minute, errSlow)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, c.address.URL+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+c.address.Token)
	if in != nil || method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &lastro.Error{Code: lastro.EServer, ID: "L0408", Msg: fmt.Sprintf("the server at %s does not answer", c.address.URL), Hint: "start it again: lastro up", Err: err}
	}
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		return problemError(res)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}

var errSlow = &lastro.Error{Code: lastro.EServer, ID: "L0409", Msg: "the server has not answered within two minutes", Hint: "lastro ls runs says whether it is busy; its log says with what"}

// problemError turns a problem document back into the error it was made of.
func problemError(res *http.Response) error {
	raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var p api.Problem
	if json.Unmarshal(raw, &p) == nil && p.Title != "" {
		code := p.Code
		if code == "" {
			code = codeOfStatus(res.StatusCode)
		}
		return &lastro.Error{Code: code, ID: p.ID, Msg: p.Title, Hint: p.Hint, Notes: p.Notes}
	}
	return &lastro.Error{Code: codeOfStatus(res.StatusCode), Msg: fmt.Sprintf("the server answered %s: %s", res.Status, bytes.TrimSpace(raw))}
}

func codeOfStatus(status int) lastro.Code {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return lastro.EDenied
	case http.StatusNotFound:
		return lastro.ENotFound
	case http.StatusBadRequest:
		return lastro.EInvalid
	}
	return lastro.EServer
}
