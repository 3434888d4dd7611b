// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"lastro"
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

// Count writes a number of things, in the singular for one: the message of the
// key holds both forms, "%s run|%s runs".
func (l Lang) Count(key string, n int) string { return l.Plural(key, n, l.Int(int64(n))) }

// Plural is T with the first form of the message for one thing and the second
// for any other number.
func (l Lang) Plural(key string, n int, args ...any) string {
	one, more, _ := strings.Cut(l.T(key), "|")
	if n == 1 {
		return fmt.Sprintf(one, args...)
	}
	return fmt.Sprintf(more, args...)
}

// Actor writes who did something: ana, lastro gate.
func (l Lang) Actor(a lastro.Actor) string {
	kind, name, ok := strings.Cut(string(a), ":")
	switch {
	case !ok || kind == "user":
		return strings.TrimPrefix(string(a), "user:")
	case kind == "system":
		return "lastro " + name
	}
	return string(a)
}

func (l Lang) printer() *message.Printer {
	return message.NewPrinter(language.MustParse(string(l)))
}

// Int writes a whole number with the language's separators: 1,240 or 1.240.
func (l Lang) Int(n int64) string { return l.printer().Sprintf("%d", n) }

// Num writes a number with the given decimals: 0.780 or 0,780.
func (l Lang) Num(v float64, decimals int) string {
	s := strings.Replace(fmt.Sprintf("%.*f", decimals, v), "-", "−", 1)
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

// Interval writes the ends of a 95% interval: [0.51, 0.62] or [0,51; 0,62].
func (l Lang) Interval(low, high float64, decimals int) string {
	separator := ", "
	if l == Portuguese {
		separator = "; "
	}
	return "[" + l.Num(low, decimals) + separator + l.Num(high, decimals) + "]"
}

// Between is Interval for measurements of any size.
func (l Lang) Between(low, high float64) string {
	separator := ", "
	if l == Portuguese {
		separator = "; "
	}
	return "[" + l.Measured(low) + separator + l.Measured(high) + "]"
}

// Month writes a month with its year: Jul 13 or jul 13.
func (l Lang) Month(t time.Time) string {
	if l == Portuguese {
		return monthsPT[t.UTC().Month()-1] + t.UTC().Format(" 06")
	}
	return t.UTC().Format("Jan 06")
}

// DayMonth writes a day within a year: 12 Jul or 12 jul.
func (l Lang) DayMonth(t time.Time) string {
	if l == Portuguese {
		return t.UTC().Format("2 ") + monthsPT[t.UTC().Month()-1]
	}
	return t.UTC().Format("2 Jan")
}

var monthsPT = [12]string{"jan", "fev", "mar", "abr", "mai", "jun", "jul", "ago", "set", "out", "nov", "dez"}

// Days writes a length of time in days, or hours when it is less than one.
func (l Lang) Days(d time.Duration) string {
	if d < 24*time.Hour {
		return l.Count("count.hours", int(d.Hours()))
	}
	return l.Count("count.days", int(d.Hours()/24))
}

// Span writes a length of time: 0.4 s, 12.3 s, 3 min 05 s, 2 h 10 min.
func (l Lang) Span(d time.Duration) string {
	if d < time.Minute {
		return l.Num(d.Seconds(), 1) + " s"
	}
	if d < time.Hour {
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// Measured writes a measurement: whole numbers whole, others with four digits
// that count.
func (l Lang) Measured(v float64) string {
	switch {
	case math.IsNaN(v):
		return l.T("number.none")
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "−∞"
	case v == math.Trunc(v) && math.Abs(v) < 1e15:
		return strings.Replace(l.Int(int64(v)), "-", "−", 1)
	}
	s := strings.ReplaceAll(fmt.Sprintf("%.4g", v), "-", "−")
	if l == Portuguese {
		s = strings.Replace(s, ".", ",", 1)
	}
	return s
}

// Signed is Measured with its sign, for differences.
func (l Lang) Signed(v float64) string {
	if v <= 0 {
		return l.Measured(v)
	}
	return "+" + l.Measured(v)
}
