// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"

	"lastro"
	"lastro/blob"
)

// RFC 9110, section 14: ranges from either end, cut at the end of the file,
// refused behind it, ignored when they are not understood.
func TestRangesOfAFile(t *testing.T) {
	content := []byte("0123456789")
	f := blob.Entry{Path: "a", Digest: lastro.DigestOf(content), Size: 10}
	for _, c := range []struct {
		header, value string
		status        int
		body, told    string
	}{
		{"", "", 200, "0123456789", ""},
		{"Range", "bytes=0-0", 206, "0", "bytes 0-0/10"},
		{"Range", "bytes=2-4", 206, "234", "bytes 2-4/10"},
		{"Range", "bytes=7-", 206, "789", "bytes 7-9/10"},
		{"Range", "bytes=7-99", 206, "789", "bytes 7-9/10"},
		{"Range", "bytes=-3", 206, "789", "bytes 7-9/10"},
		{"Range", "bytes=-99", 206, "0123456789", "bytes 0-9/10"},
		{"Range", "bytes=10-", 416, "", "bytes */10"},
		{"Range", "bytes=-0", 416, "", "bytes */10"},
		{"Range", "bytes=4-2", 200, "0123456789", ""},
		{"Range", "bytes=x", 200, "0123456789", ""},
		{"Range", "bytes=0-1,3-4", 200, "0123456789", ""},
		{"Range", "lines=1-2", 200, "0123456789", ""},
		{"Range", "bytes=18446744073709551615-", 200, "0123456789", ""},
		{"If-None-Match", etag(f), 304, "", ""},
		{"If-None-Match", `"sha256:other"`, 200, "0123456789", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		head, body := http.Header{}, bytes.Buffer{}
		status, p, ok := asked(head, r, f)
		if ok {
			if err := send(&body, bytes.NewReader(content), p, f.Size); err != nil {
				t.Error(c, err)
			}
		}
		if status != c.status || body.String() != c.body || head.Get("Content-Range") != c.told {
			t.Errorf("%s %s: %d %q %q, want %d %q %q", c.header, c.value, status, body.String(), head.Get("Content-Range"), c.status, c.body, c.told)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Range", "bytes=2-4")
	r.Header.Set("If-Range", `"sha256:changed"`)
	if status, _, _ := asked(http.Header{}, r, f); status != 200 {
		t.Errorf("a part of a file that has changed: %d", status)
	}
}
