// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestWebhookDoor: webhooks are the administrator's, their secrets come back
// nowhere, and no address inside is called, also not by way of a redirect (the
// probe webhook-ssrf of CVE-2026-2393 and CVE-2026-64849).
func TestWebhookDoor(t *testing.T) {
	f := newFolder(t, protectedProject)
	h := f.open()
	door, as := protectedDoor(t, h)
	send := func(who, method, path, body string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://127.0.0.1/api/2.0/mlflow/webhooks"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+as[who])
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const events = `"events":[{"entity":"REGISTERED_MODEL","action":"CREATED"}]`
	for _, who := range []string{"author", "step"} {
		for _, c := range [][3]string{{"POST", "", `{"name":"w","url":"https://example.com",` + events + `}`}, {"GET", "", ""}, {"GET", "/x", ""}, {"PATCH", "/x", "{}"}, {"DELETE", "/x", "{}"}, {"POST", "/x/test", "{}"}} {
			if status, answer := send(who, c[0], c[1], c[2]); status != 403 || !strings.Contains(answer, "PERMISSION_DENIED") {
				t.Errorf("%s %s as %s: %d %s", c[0], c[1], who, status, answer)
			}
		}
	}

	var hits atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer inside.Close()
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1:" + port, "[::ffff:127.0.0.1]:" + port, "169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "0.0.0.0:" + port} {
		if status, answer := send("admin", "POST", "", `{"name":"w","url":"http://`+host+`/latest/meta-data",`+events+`}`); status != 400 || !strings.Contains(answer, "INVALID_PARAMETER_VALUE") {
			t.Errorf("a webhook to %s: %d %s", host, status, answer)
		}
	}
	for _, host := range []string{"localhost:" + port, "2130706433:" + port, "0x7f.1:" + port} { // found out when they are called
		status, answer := send("admin", "POST", "", `{"name":"w","url":"http://`+host+`/",`+events+`,"secret":"never shown"}`)
		if status != 200 || strings.Contains(answer, "never shown") {
			t.Fatalf("a webhook to %s: %d %s", host, status, answer)
		}
		_, id, _ := strings.Cut(answer, `"webhook_id":"`)
		id, _, _ = strings.Cut(id, `"`)
		if status, answer := send("admin", "POST", "/"+id+"/test", `{}`); status != 200 || !strings.Contains(answer, `"success":false`) {
			t.Errorf("a test of %s: %d %s", host, status, answer)
		}
		for _, path := range []string{"/" + id, ""} {
			if status, answer := send("admin", "GET", path, ""); status != 200 || strings.Contains(answer, "secret") || strings.Contains(answer, "never shown") {
				t.Errorf("GET %s: %d %s", path, status, answer)
			}
		}
	}
	if n := hits.Load(); n > 0 {
		t.Errorf("%d calls reached a server on this machine", n)
	}
	for _, token := range []string{"nonsense", "eyJhIjoiIn0"} {
		if status, answer := send("admin", "GET", "?page_token="+token, ""); status != 400 {
			t.Errorf("page token %s: %d %s", token, status, answer)
		}
	}
	if status, answer := send("admin", "GET", "?max_results=2", ""); status != 200 || !strings.Contains(answer, "next_page_token") {
		t.Errorf("a page: %d %s", status, answer)
	}
}
