// SPDX-License-Identifier: Apache-2.0

package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lastro/secret"
)

func masked(values []string, pieces ...string) string {
	var out bytes.Buffer
	w := secret.NewMasker(values).Writer(&out)
	for _, p := range pieces {
		fmt.Fprint(w, p)
	}
	w.Close()
	return out.String()
}

// TestMask's encodings were written by GNU coreutils 9.1 (base64, basenc),
// xxd and Python 3.11 (urllib.parse.quote, json.dumps, repr).
func TestMask(t *testing.T) {
	const v = `pa$$ wörd/+"x'y\z`
	for name, tc := range map[string]struct {
		value string
		text  []string
		want  string
	}{
		"raw":                     {"hunter2x", []string{"a hunter2x b\n"}, "a *** b\n"},
		"twice, touching":         {"hunter2x", []string{"hunter2xhunter2x."}, "***."},
		"two writes":              {"hunter2x", []string{"a hunt", "er2x b"}, "a *** b"},
		"byte by byte":            {"hunter2x", strings.Split("a hunter2x b hunter2 c", ""), "a *** b hunter2 c"},
		"an end that only begins": {"hunter2x", []string{"a hunter2"}, "a hunter2"},
		"begins again":            {"aabaaab", []string{"aabaabaaab"}, "aab***"},
		"wrapped":                 {"hunter2x", []string{"a hunt\ner2x b"}, "a ***\n*** b"},
		"wrapped, CR LF":          {"hunter2x", []string{"a hunte\r", "\nr2x b"}, "a ***\r\n*** b"},
		"base64":                  {"hunter2x", []string{"Authorization: Basic aHVudGVyMng=."}, "Authorization: Basic ***."},
		"base64 after 1 byte":     {"hunter2x", []string{"aGh1bnRlcjJ4IQ=="}, "aG***IQ=="},
		"base64 after 2 bytes":    {"hunter2x", []string{"OjpodW50ZXIyeCE="}, "Ojp***CE="},
		"base64 of ana:VALUE":     {"hunter2x", []string{"YW5hOmh1bnRlcjJ4"}, "YW5hOm***"},
		"hex":                     {"hunter2x", []string{"68756e7465723278 68756E7465723278"}, "*** ***"},
		"url, quote":              {v, []string{"?k=pa%24%24%20w%C3%B6rd/%2B%22x%27y%5Cz&"}, "?k=***&"},
		"url, quote_plus":         {v, []string{"?k=pa%24%24+w%C3%B6rd%2F%2B%22x%27y%5Cz&"}, "?k=***&"},
		"url, lower case":         {v, []string{"pa%24%24%20w%c3%b6rd%2f%2b%22x%27y%5cz"}, "***"},
		"json":                    {v, []string{`{"k": "pa$$ w\u00f6rd/+\"x'y\\z"}`}, `{"k": "***"}`},
		"json, ensure_ascii off":  {v, []string{`{"k": "pa$$ wörd/+\"x'y\\z"}`}, `{"k": "***"}`},
		"repr":                    {v, []string{`KeyError: 'pa$$ wörd/+"x\'y\\z'`}, `KeyError: '***'`},
		"xml attribute":           {v, []string{`<p v="pa$$ wörd/+&quot;x'y\z"/>`}, `<p v="***"/>`},
		"lines, other order":      {"first line\nsecond line\n", []string{"b second line\nb first line\n"}, "b ***\nb ***\n"},
		"lines, indented":         {"first line\nsecond line\n", []string{"  first line\n  second line\n"}, "  ***\n  ***\n"},
		"too short to hide":       {"abc", []string{"abcdef"}, "abcdef"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := masked([]string{tc.value}, tc.text...); got != tc.want {
				t.Errorf("%q -> %q, want %q", tc.text, got, tc.want)
			}
		})
	}
}

// TestMaskLong hides long values whatever the writes, a prefix too, and lets
// nothing else go.
func TestMaskLong(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	value := text(rng, 64<<10)
	m := secret.NewMasker([]string{value, "hunter2x"})
	before, after := text(rng, 70_000), text(rng, 70_000)
	for _, n := range []int{1, 7, 4096, 1 << 20} {
		var out bytes.Buffer
		w := m.Writer(&out)
		for all := before + value + after; all != ""; all = all[min(n, len(all)):] {
			fmt.Fprint(w, all[:min(n, len(all))])
		}
		w.Close()
		if out.String() != before+"***"+after {
			t.Errorf("writes of %d bytes: %d bytes are left, want %d", n, out.Len(), len(before)+3+len(after))
		}
	}
	if got := m.String(value[:40_000] + "|"); got != "***|" {
		t.Errorf("a part of it leaves %d bytes", len(got))
	}
	same := strings.Repeat("ab", 20_000)
	// So many places where it may have begun are not followed: the line is hidden to its end.
	if got := masked([]string{same}, "x"+same+"y\nz"); got != "x***\nz" {
		t.Errorf("a value that repeats itself leaves %d bytes: %.50q", len(got), got)
	}
}

// TestMaskHolds says what is held back: at the end of a complete line nothing,
// unless it ends with four bytes of a value.
func TestMaskHolds(t *testing.T) {
	var out bytes.Buffer
	w := secret.NewMasker([]string{"hunter2x"}).Writer(&out)
	for _, step := range []struct{ write, want string }{
		{"wish\n", "wish\n"}, {"push", "push"[:3]}, {"h", "pus" + "h"}, {"\n", "h\n"}, {"a hunt\n", "a "}, {"er2x\n", "***\n***\n"},
	} {
		fmt.Fprint(w, step.write)
		if !strings.HasSuffix(out.String(), step.want) {
			t.Errorf("after %q: %q, want ... %q", step.write, out.String(), step.want)
		}
	}
	w.Close()
	if want := "wish\npushh\na ***\n***\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// TestMaskChunks compares random cuts of random text with the text in one piece.
func TestMaskChunks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	letters := []string{"a", "b", "ab", "ba", "c", "\n", "cab", "abcab"}
	for range 2000 {
		value := ""
		for len(value) < 4+rng.IntN(30) {
			value += letters[rng.IntN(5)]
		}
		all := ""
		for range 40 {
			if rng.IntN(6) == 0 {
				all += value
			}
			all += letters[rng.IntN(len(letters))]
		}
		m := secret.NewMasker([]string{value})
		var out bytes.Buffer
		w := m.Writer(&out)
		for rest := all; rest != ""; {
			n := 1 + rng.IntN(len(rest))
			fmt.Fprint(w, rest[:n])
			rest = rest[n:]
		}
		w.Close()
		if strings.Contains(out.String(), value) {
			t.Fatalf("value %q of %q is in %q", value, all, out.String())
		}
		if !strings.Contains(all, "\n") && out.String() != m.String(all) {
			t.Fatalf("value %q of %q: cut %q, whole %q", value, all, out.String(), m.String(all))
		}
	}
}

func TestMaskJSON(t *testing.T) {
	m := secret.NewMasker([]string{"nabcd", "12345678", "hunter2x"})
	for in, want := range map[string]string{
		`{"a":"\nabcd","n":12345678,"m":112345678,"hunter2x":["xhunter2x",null,true]}`: `{"***":["x***",null,true],"a":"\nabcd","m":112345678,"n":"***"}`,
		`{"a":  1.50}`: `{"a":  1.50}`,
		`not hunter2x`: `not ***`,
	} {
		if got := string(m.JSON(json.RawMessage(in))); got != want {
			t.Errorf("%s -> %s, want %s", in, got, want)
		}
	}
}

// text is random and printable.
func text(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(33 + rng.IntN(94))
	}
	return string(b)
}

// BenchmarkMask writes log lines of 100 bytes through a masker.
func BenchmarkMask(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	var log bytes.Buffer
	for log.Len() < 1<<20 {
		fmt.Fprintf(&log, "2026-11-23T12:00:00Z epoch %d loss %.6f valid_rmse %.6f %s\n", rng.IntN(1000), rng.Float64(), rng.Float64(), text(rng, 30))
	}
	for _, n := range []int{1, 3, 30} {
		values := make([]string, n)
		for i := range values {
			values[i] = text(rng, 40)
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := secret.NewMasker(values)
			b.SetBytes(int64(log.Len()))
			for b.Loop() {
				w := m.Writer(discard{})
				w.Write(log.Bytes())
				w.Close()
			}
		})
	}
	b.Run("build 30", func(b *testing.B) {
		values := make([]string, 30)
		for i := range values {
			values[i] = text(rng, 40)
		}
		b.ReportAllocs()
		for b.Loop() {
			secret.NewMasker(values)
		}
	})
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
