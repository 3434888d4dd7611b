// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// forms returns the texts in which a value may appear, without line breaks:
// the masker skips these, because tools wrap long lines. Nothing shorter than
// MinBytes is among them.
func forms(value string) []string {
	var out []string
	for _, v := range []string{value, strings.TrimSpace(value)} {
		out = append(out, v, hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))))
		out = append(out, base64Forms(v)...)
		out = append(out, escapes(v)...)
	}
	if strings.ContainsAny(strings.TrimSpace(value), "\r\n") {
		for line := range strings.Lines(value) {
			line = strings.TrimSpace(line)
			out = append(append(out, line), escapes(line)...)
		}
	}
	for i, f := range out {
		out[i] = strings.NewReplacer("\r", "", "\n", "").Replace(f)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.DeleteFunc(out, func(f string) bool { return len(f) < MinBytes })
}

// base64Forms are the encodings of v alone, and what is always the same of the
// encoding of a text with v in it: that depends on the position of v modulo
// three. At each end of such a text up to one digit, which v shares with its
// neighbours, is not part of it.
func base64Forms(v string) []string {
	out := []string{base64.StdEncoding.EncodeToString([]byte(v)), base64.RawStdEncoding.EncodeToString([]byte(v))}
	for before := range 3 {
		raw := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), v...))
		first, end := (before*8+5)/6, (before+len(v))*8/6
		out = append(out, raw[first:end])
	}
	for _, f := range slices.Clone(out) {
		out = append(out, strings.NewReplacer("+", "-", "/", "_").Replace(f))
	}
	return out
}

// escapes are v as URLs, JSON, XML, Python and shells write it.
func escapes(v string) []string {
	out := []string{url.QueryEscape(v), url.PathEscape(v), percent(v, ""), percent(v, "/")}
	for _, f := range slices.Clone(out) {
		out = append(out, lowerPercent(f))
	}
	plain := jsonText(v, false)
	out = append(out, plain, jsonText(v, true), jsonASCII(plain), strings.ReplaceAll(jsonASCII(plain), "/", `\/`), strings.ReplaceAll(plain, "/", `\/`))
	var x bytes.Buffer
	_ = xml.EscapeText(&x, []byte(v)) // a buffer takes everything
	sax := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(v)
	attribute := strings.NewReplacer(`"`, "&quot;", "\n", "&#10;", "\r", "&#13;", "\t", "&#9;").Replace(sax)
	out = append(out, x.String(), html.EscapeString(v), sax, attribute, strings.ReplaceAll(attribute, "'", "&apos;"))
	python := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(v)
	return append(out, python, strings.ReplaceAll(python, "'", `\'`), strings.ReplaceAll(v, "'", `'\''`))
}

// percent encodes every byte but the unreserved ones of RFC 3986 and those of safe.
func percent(v, safe string) string {
	var b strings.Builder
	for _, c := range []byte(v) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~"+safe, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// lowerPercent writes %2F as %2f.
func lowerPercent(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// jsonText is v inside a JSON string, without the quotes.
func jsonText(v string, escapeHTML bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	_ = enc.Encode(v) // a string always encodes
	text := strings.TrimSuffix(b.String(), "\n")
	return text[1 : len(text)-1]
}

// jsonASCII writes what is not ASCII as \uXXXX, as Python does.
func jsonASCII(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf:
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
