// SPDX-License-Identifier: Apache-2.0

package outbound

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lastro"
)

// canary is a server on loopback that nothing may reach unless it is allowed.
func canary(t *testing.T, h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var hits atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if h != nil {
			h(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s, &hits
}

func loopback(t *testing.T) []netip.Prefix {
	t.Helper()
	list, err := ParseAllow([]string{"127.0.0.1", "::1"})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestAddresses: what is public may be called, what is inside may not, however
// it is written. The special blocks are those of IANA's registries (RFC 6890).
func TestAddresses(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "2606:4700:4700::1111": true, "2a00:1450:4001:800::200e": true, "172.32.0.1": true, "100.63.255.255": true,
		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "100.127.255.255": false, "192.0.0.8": false, "192.0.2.1": false,
		"198.18.0.1": false, "198.51.100.7": false, "203.0.113.9": false, "224.0.0.1": false, "239.1.1.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::1": false, "::": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:8.8.8.8": true, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2001::7f00:1": false, "2001:db8::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "fc00::1": false, "fd12:3456::1": false, "ff02::1": false, "100::1": false, "4000::1": false,
		"fd00:ec2::254": false, // a metadata service
	} {
		if err := check(netip.MustParseAddr(text), nil); (err == nil) != want {
			t.Errorf("check(%s) = %v, want allowed %v", text, err, want)
		}
	}
	allow, err := ParseAllow([]string{"10.1.0.0/16", " fd00::/8 ", "::ffff:192.168.7.7"})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "fd12::1": true, "192.168.7.7": true, "192.168.7.8": false} {
		if err := check(netip.MustParseAddr(text), allow); (err == nil) != want {
			t.Errorf("with an allow-list check(%s) = %v, want allowed %v", text, err, want)
		}
	}
	for _, text := range []string{"", "localhost", "10.0.0.0/33", "10.0.0", "*"} {
		if _, err := ParseAllow([]string{text}); !lastro.Is(err, lastro.EInvalid) {
			t.Errorf("ParseAllow(%q) = %v, want invalid", text, err)
		}
	}
}

// TestURLs: no other scheme, no credentials, no way to write loopback.
func TestURLs(t *testing.T) {
	s, hits := canary(t, nil)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	c := New(Options{Timeout: 3 * time.Second})
	for _, to := range []string{
		"", "nonsense", "/path", "//host/x", "file:///etc/passwd", "gopher://127.0.0.1:" + port, "ftp://127.0.0.1/", "HTTP//x", "unix:///var/run/docker.sock",
		"http://user:pass@127.0.0.1:" + port, "http://:" + port, "http://.:" + port, "http://127.0.0.1:0", "http://127.0.0.1:99999", "http://exa mple.com", "http://example.com\\@127.0.0.1:" + port,
		"http://example.com/\r\nX: y", "http://" + strings.Repeat("a", 3000) + ".example",
		"http://127.0.0.1:" + port, "http://[::1]:" + port, "http://[::ffff:127.0.0.1]:" + port, "http://[::ffff:7f00:1]:" + port, "http://[0:0:0:0:0:ffff:127.0.0.1]:" + port,
		"http://localhost:" + port, "http://LOCALHOST.:" + port, "http://2130706433:" + port, "http://0x7f000001:" + port, "http://0177.0.0.1:" + port, "http://127.1:" + port,
		"http://0:" + port, "http://0.0.0.0:" + port, "http://[::]:" + port, "http://127.0.0.1.:" + port, "http://169.254.169.254/latest/meta-data/", "https://127.0.0.1:" + port,
		"http://[fe80::1%25lo]:" + port, "http://[64:ff9b::7f00:1]:" + port, "http://%31%32%37.0.0.1:" + port,
	} {
		if _, _, err := c.Post(t.Context(), to, nil, []byte("x")); err == nil {
			t.Errorf("Post(%q) was sent", to)
		}
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("%d of these calls reached a server on loopback", n)
	}
}

// TestRedirects: an answer that points elsewhere is an answer, not a way.
func TestRedirects(t *testing.T) {
	inside, hits := canary(t, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		outside, _ := canary(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, inside.URL, status) })
		got, _, err := New(Options{Allow: loopback(t)}).Post(t.Context(), outside.URL, nil, []byte("x"))
		if err != nil || got != status {
			t.Errorf("Post to a redirect of %d = %d, %v", status, got, err)
		}
	}
	if hits.Load() > 0 {
		t.Error("a redirect was followed")
	}
}

// dns is a name server that answers with the next of its addresses each time.
func dns(t *testing.T, addresses ...string) (*net.Resolver, *atomic.Int64) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var asked atomic.Int64
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			question := buf[12:n]
			end := 0
			for question[end] != 0 {
				end += int(question[end]) + 1
			}
			kind := binary.BigEndian.Uint16(question[end+1:])
			answer := append([]byte{}, buf[:2]...)
			answer = append(answer, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
			answer = append(answer, question[:end+5]...)
			if kind == 1 { // A; there is no AAAA
				a := netip.MustParseAddr(addresses[min(int(asked.Add(1))-1, len(addresses)-1)]).As4()
				answer[7] = 1
				answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4) // lives 0 s
				answer = append(answer, a[:]...)
			}
			conn.WriteTo(answer, from)
		}
	}()
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	return r, &asked
}

// TestRebinding: a name that is public when somebody looks, and inside when the
// call is made, reaches nothing: the check is on the address that is dialled.
func TestRebinding(t *testing.T) {
	inside, hits := canary(t, nil)
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	to := "http://rebind.example.com:" + port + "/hook"

	resolver, asked := dns(t, "93.184.216.34", "127.0.0.1")
	// Somebody looks first, as a check before the call would.
	if ips, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.example.com"); err != nil || ips[0].String() != "93.184.216.34" {
		t.Fatalf("the first answer = %v, %v", ips, err)
	}
	c := New(Options{Resolver: resolver, Timeout: 5 * time.Second})
	for range 3 {
		if _, _, err := c.Post(t.Context(), to, nil, []byte("x")); !lastro.Is(err, lastro.EDenied) {
			t.Errorf("Post to a name that now points inside = %v, want denied", err)
		}
	}
	if asked.Load() < 2 || hits.Load() > 0 {
		t.Errorf("the name was looked up %d times, and %d calls came through", asked.Load(), hits.Load())
	}

	// With loopback allowed the same name works, so the test could have failed.
	resolver, _ = dns(t, "127.0.0.1")
	if status, _, err := New(Options{Resolver: resolver, Allow: loopback(t)}).Post(t.Context(), to, nil, []byte("x")); err != nil || status != 200 || hits.Load() != 1 {
		t.Errorf("allowed: %d, %v, %d hits", status, err, hits.Load())
	}
}

// TestAnswers: statuses come back, what the receiver says does not, and a
// receiver that never ends its answer holds nobody.
func TestAnswers(t *testing.T) {
	s, _ := canary(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Mine") != "1" || r.Header.Get("User-Agent") != "lastro" {
			t.Errorf("headers = %v", r.Header)
		}
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
		w.Write([]byte("secret of the inside"))
	})
	c := New(Options{Allow: loopback(t), Timeout: 2 * time.Second})
	status, wait, err := c.Post(t.Context(), s.URL, http.Header{"X-Mine": {"1"}}, []byte("x"))
	if err != nil || status != 503 || wait != 7*time.Second {
		t.Errorf("Post = %d, %s, %v", status, wait, err)
	}

	stop := make(chan struct{})
	endless, _ := canary(t, func(w http.ResponseWriter, r *http.Request) {
		for {
			select {
			case <-stop:
				return
			case <-r.Context().Done():
				return
			default:
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}
	})
	began := time.Now()
	if status, _, err := c.Post(t.Context(), endless.URL, nil, nil); err != nil || status != 200 || time.Since(began) > 5*time.Second {
		t.Errorf("an endless answer: %d, %v after %s", status, err, time.Since(began))
	}
	close(stop)

	silent, _ := canary(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	c = New(Options{Allow: loopback(t), Timeout: 200 * time.Millisecond})
	_, _, err = c.Post(t.Context(), silent.URL+"/path?token=hidden", nil, nil)
	if !lastro.Is(err, lastro.EServer) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("a receiver that does not answer = %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	mine := errors.New("mine")
	cancel(mine)
	if _, _, err := c.Post(ctx, silent.URL, nil, nil); !errors.Is(err, mine) {
		t.Errorf("with a context that ended = %v", err)
	}
	if _, _, err := c.Post(t.Context(), (&url.URL{Scheme: "http", Host: "127.0.0.1:1"}).String(), nil, nil); !lastro.Is(err, lastro.EServer) {
		t.Errorf("nobody listens = %v", err)
	}
}
