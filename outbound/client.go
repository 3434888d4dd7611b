// SPDX-License-Identifier: Apache-2.0

// Package outbound is the one way to call an address that a person typed in:
// a webhook's receiver, a chat. It looks at the address that is dialled, after
// the name was resolved, so that neither a name nor a redirect reaches what is
// inside (SECURITY B2). What is sent, and when again, is up to the caller.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"lastro"
)

// Bounds of one call.
const (
	defaultTimeout = 30 * time.Second
	maxHeader      = 64 << 10 // of the answer, in bytes
	maxAnswer      = 64 << 10 // bytes of the answer's body that are read, and thrown away
)

// Options configure a Client.
type Options struct {
	// Allow are networks that may be called although they are not public.
	Allow []netip.Prefix
	// Timeout bounds a whole call; 0 = 30 s.
	Timeout time.Duration
	// Resolver looks names up; nil = the system's.
	Resolver *net.Resolver
	// Roots verify servers; nil = the system's.
	Roots *x509.CertPool
}

// Client calls. It is safe for concurrent use. It follows no redirect, uses no
// proxy and keeps no cookie.
type Client struct {
	allow []netip.Prefix
	http  http.Client
}

// New returns a client.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	c := &Client{allow: o.Allow}
	dialer := &net.Dialer{Timeout: 10 * time.Second, Resolver: o.Resolver, Control: c.control}
	c.http = http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: o.Timeout, MaxResponseHeaderBytes: maxHeader,
			DisableCompression: true, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		},
	}
	return c
}

// control sees the very address that the socket is about to connect to: no
// later look-up can change it.
func (c *Client) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("read the address %q: %w", address, err)
	}
	return check(at.Addr(), c.allow)
}

// Post sends body to a URL and returns the status of the answer and how long
// the receiver asks to wait before the next call (0 = it does not; at most a
// day). It fails with lastro.EDenied (L0732) when the host's address may not be
// called, and with lastro.EServer (L0734) when nobody answers; any answer, an
// error status too, is no error. The answer's body is not given to anybody:
// who may choose the address could read with it what only the server reaches.
func (c *Client) Post(ctx context.Context, to string, header http.Header, body []byte) (status int, wait time.Duration, err error) {
	if err := c.Check(to); err != nil {
		return 0, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return 0, 0, err
	}
	for name, values := range header {
		req.Header[name] = values // spelled as the caller does
	}
	req.Header.Set("User-Agent", "lastro")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, 0, unreachable(ctx, err)
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer) // so that the connection serves again
	return resp.StatusCode, retryAfter(resp.Header.Get("Retry-After")), nil
}

// unreachable says why nothing was answered without the address that was typed
// in, which often holds a credential.
func unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if refused, ok := errors.AsType[*lastro.Error](err); ok {
		return refused
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return &lastro.Error{Code: lastro.EServer, ID: "L0734", Msg: "the receiver does not answer: " + err.Error(), Hint: "see that it is up and can be reached from this server"}
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(text string) time.Duration {
	var d time.Duration
	if n, err := strconv.Atoi(text); err == nil {
		d = time.Duration(min(n, 86400)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		d = time.Until(at)
	}
	return max(0, min(d, 24*time.Hour))
}
