// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Lang is the language of a page.
type Lang string

// The languages; a test fails on a key that one of them lacks.
const (
	English    Lang = "en"
	Portuguese Lang = "pt-BR"
)

var matcher = language.NewMatcher([]language.Tag{language.English, language.BrazilianPortuguese})

// languageOf is the reader's: ?lang= (kept in a cookie), else what the browser asks.
func languageOf(w http.ResponseWriter, r *http.Request) Lang {
	if q := r.URL.Query().Get("lang"); q == string(English) || q == string(Portuguese) {
		http.SetCookie(w, &http.Cookie{Name: "lastro_lang", Value: q, Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, HttpOnly: true})
		return Lang(q)
	}
	if c, err := r.Cookie("lastro_lang"); err == nil && (c.Value == string(English) || c.Value == string(Portuguese)) {
		return Lang(c.Value)
	}
	_, index := language.MatchStrings(matcher, r.Header.Get("Accept-Language"))
	return []Lang{English, Portuguese}[index]
}

// T returns the message of a key, with its arguments in place; a missing key
// shows itself.
func (l Lang) T(key string, args ...any) string {
	text, ok := messages[key]
	if !ok {
		return key
	}
	s := text[0]
	if l == Portuguese {
		s = text[1]
	}
	if len(args) == 0 {
		return s
	}
	return fmt.Sprintf(s, args...)
}

func (l Lang) printer() *message.Printer {
	return message.NewPrinter(language.MustParse(string(l)))
}

// Int writes a whole number with the language's separators: 1,240 or 1.240.
func (l Lang) Int(n int64) string { return l.printer().Sprintf("%d", n) }

// Num writes a number with the given decimals: 0.780 or 0,780.
func (l Lang) Num(v float64, decimals int) string {
	s := fmt.Sprintf("%.*f", decimals, v)
	if l == Portuguese {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s
}

// Percent writes a share of 0 to 1: 12.5 %.
func (l Lang) Percent(share float64, decimals int) string { return l.Num(share*100, decimals) + " %" }

// Time writes a moment in the server's zone.
func (l Lang) Time(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	if l == Portuguese {
		return t.Local().Format("02/01/2006 15:04")
	}
	return t.Local().Format("2006-01-02 15:04")
}

// Day writes a date.
func (l Lang) Day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	if l == Portuguese {
		return t.UTC().Format("02/01/2006")
	}
	return t.UTC().Format("2006-01-02")
}

// Span writes a length of time: 0.4 s, 12.3 s, 3 min 05 s.
func (l Lang) Span(d time.Duration) string {
	if d < time.Minute {
		return l.Num(d.Seconds(), 1) + " s"
	}
	return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
}
