// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"lastro"
)

// maxURL bounds a URL in bytes.
const maxURL = 2048

// closed are networks that no public server has, beside those that netip knows
// (loopback, private, link-local, multicast). Source: the special-purpose
// address registries of IANA (RFC 6890), and the ways to write an IPv4 address
// inside an IPv6 one: NAT64 (RFC 6052, 8215), 6to4 (RFC 3056), Teredo
// (RFC 4380), IPv4-compatible (RFC 4291).
var closed = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

// open6 is all of IPv6 that is given out to the public internet; every other
// one, such as NAT64's 64:ff9b::/96, is closed.
var open6 = netip.MustParsePrefix("2000::/3")

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// public reports whether an address belongs to the public internet.
func public(a netip.Addr) bool {
	switch {
	case !a.IsGlobalUnicast() || a.IsPrivate():
		return false
	case a.Is6() && !open6.Contains(a):
		return false
	}
	return !contains(closed, a)
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// check refuses an address that is neither public nor allowed. An IPv4 address
// that is written as an IPv6 one counts as the IPv4 address.
func check(a netip.Addr, allow []netip.Prefix) error {
	a = a.Unmap().WithZone("")
	if a.IsValid() && (public(a) || contains(allow, a)) {
		return nil
	}
	return &lastro.Error{Code: lastro.EDenied, ID: "L0732", Msg: fmt.Sprintf("%s is not a public address, so nothing is sent there", a),
		Hint: "who runs the server can allow it: lastro up --outbound-allow " + a.String()}
}

// ParseAllow reads networks and addresses that may be called although they are
// not public: "10.1.0.0/16", "127.0.0.1", "fd00::/8".
func ParseAllow(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range list {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if a, aerr := netip.ParseAddr(text); aerr == nil {
			p, err = a.Unmap().WithZone("").Prefix(a.Unmap().BitLen())
		}
		if err != nil {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0733", Msg: fmt.Sprintf("%q is not a network", text),
				Hint: "use an address or a network such as 10.1.0.0/16; a name would allow whatever it points at"}
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// Check refuses what can never be called: another scheme than http and https,
// credentials in the URL, no host, a port that is none, an address that is
// neither public nor allowed. What a name points at is found out by each call.
func (c *Client) Check(raw string) error {
	u, err := checkURL(raw)
	if err != nil {
		return err
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		return check(a, c.allow)
	}
	return nil
}

func checkURL(raw string) (*url.URL, error) {
	bad := func(why, hint string) (*url.URL, error) {
		return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0731", Msg: fmt.Sprintf("%.200q cannot be called: %s", raw, why), Hint: hint}
	}
	if len(raw) > maxURL {
		return bad(fmt.Sprintf("it has %d bytes", len(raw)), fmt.Sprintf("use at most %d", maxURL))
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return bad("it has spaces, control characters or backslashes", "encode them: %20")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return bad("it is not a URL", "use https://HOST/PATH")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return bad(fmt.Sprintf("its scheme is %q", u.Scheme), "use https://HOST/PATH")
	case u.User != nil:
		return bad("it has a user name", "put a credential into the path that the receiver gave you, or check the signature")
	case u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "."):
		return bad("it has no host", "use https://HOST/PATH")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return bad("its port is "+p, "use 1 to 65535")
		}
	}
	return u, nil
}
