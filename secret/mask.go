// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"encoding/json"
	"io"
)

// stars stand where a value was.
const stars = "***"

// Masker hides values in text: as they are and in base64 (both alphabets, at
// every position), hex, and the escapes of URLs, JSON, XML, Python and shells,
// also when they are wrapped over lines; of a value of several lines each line
// too. Text that begins as a long value does is hidden as far as it is the
// same. It is safe for concurrent use.
type Masker struct{ a *automaton } // nil = there is nothing to hide

// NewMasker returns a masker of the values. Those shorter than MinBytes are
// left alone.
func NewMasker(values []string) *Masker {
	var patterns []string
	for _, v := range values {
		patterns = append(patterns, forms(v)...)
	}
	if len(patterns) == 0 {
		return &Masker{}
	}
	return &Masker{newAutomaton(patterns)}
}

// Mask returns a writer that passes on to w what it is given without the
// values; it has the form that executors ask for. See Masker.Writer.
func Mask(w io.Writer, values [][]byte) io.WriteCloser {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return NewMasker(texts).Writer(w)
}

// Bytes returns b with every value replaced; b itself when it holds none.
func (m *Masker) Bytes(b []byte) []byte {
	if m.a == nil || len(b) == 0 {
		return b
	}
	var out bytes.Buffer
	w := m.Writer(&out)
	_, _ = w.Write(b) // a buffer takes everything
	_ = w.Close()
	if bytes.Equal(out.Bytes(), b) {
		return b
	}
	return out.Bytes()
}

// String is Bytes for text.
func (m *Masker) String(s string) string { return string(m.Bytes([]byte(s))) }

// JSON masks the strings and keys of a document, which stays one, and makes
// numbers that are a value strings. What is no JSON is masked as text.
func (m *Masker) JSON(raw json.RawMessage) json.RawMessage {
	if m.a == nil || len(raw) == 0 {
		return raw
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return m.Bytes(raw)
	}
	masked, changed := m.value(v)
	if !changed {
		return raw
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(masked); err != nil {
		return m.Bytes(raw)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

func (m *Masker) value(v any) (any, bool) {
	changed := false
	switch v := v.(type) {
	case string:
		s := m.String(v)
		return s, s != v
	case json.Number:
		if m.String(v.String()) == stars {
			return stars, true
		}
	case []any:
		for i := range v {
			masked, c := m.value(v[i])
			v[i], changed = masked, changed || c
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			masked, c := m.value(inner)
			name := m.String(k)
			out[name] = masked
			changed = changed || c || name != k
		}
		return out, changed
	}
	return v, changed
}

// Writer returns a writer that passes masked text on to w. It holds back the
// few bytes that may begin a value; Close passes these on and does not close w.
// It is not safe for concurrent use.
func (m *Masker) Writer(w io.Writer) io.WriteCloser {
	if m.a == nil {
		return through{w}
	}
	return &writer{w: w, a: m.a}
}

type through struct{ io.Writer }

func (through) Close() error { return nil }

const (
	pieceBytes = 64 << 10 // of text scanned at once
	maxFollow  = 1024     // patterns compared at once; with more, the rest of the line is hidden
	maxBreaks  = 2        // line ends in a row over which a value may go
	// holdBytes is how much of a pattern a complete line must end with to be
	// held back. By chance most lines end with one or two such bytes, and then
	// people would see them late; of a value that is wrapped after fewer bytes,
	// these are shown and the rest is hidden.
	holdBytes = 4
)

// writer masks a stream.
type writer struct {
	w   io.Writer
	a   *automaton
	err error

	state  int32    // times the number of classes
	breaks int      // line ends since the last other byte
	follow []string // what has to come for a long value to go on
	blind  bool     // too many of these: everything is hidden until the line ends

	buf  []byte
	runs []span // masked parts of buf, in order and apart
	out  []byte
	open bool // the last byte passed on was masked
}

type span struct{ from, to int }

// Write takes all of p unless the writer behind failed.
func (w *writer) Write(p []byte) (int, error) {
	for done := 0; done < len(p); {
		if w.err != nil {
			return done, w.err
		}
		n := min(len(p)-done, pieceBytes)
		from := len(w.buf)
		w.buf = append(w.buf, p[done:done+n]...)
		w.scan(from)
		w.pass(w.settled())
		done += n
	}
	return len(p), w.err
}

// Close passes on what was held back.
func (w *writer) Close() error {
	w.pass(len(w.buf))
	return w.err
}

// scan marks what is to be hidden from one position on.
func (w *writer) scan(from int) {
	a, next, state, breaks := w.a, w.a.next, w.state, w.breaks
	for i, c := range w.buf[from:] {
		class := a.class[c]
		if class == lineEnd {
			w.blind = false
			if breaks++; breaks > maxBreaks {
				state, w.follow = 0, w.follow[:0]
			}
			continue
		}
		breaks = 0
		if len(w.follow) > 0 || w.blind {
			w.goOn(from+i, c)
		}
		if state = next[state+int32(class)]; state < 0 {
			state = ^state
			w.found(from+i, &a.hits[a.hit[int(state)/a.classes]])
		}
	}
	w.state, w.breaks = state, breaks
}

// goOn hides the byte at i when it is the next one of a long value.
func (w *writer) goOn(i int, c byte) {
	hide, left := w.blind, w.follow[:0]
	for _, rest := range w.follow {
		if rest[0] != c {
			continue
		}
		hide = true
		if len(rest) > 1 {
			left = append(left, rest[1:])
		}
	}
	if w.follow = left; hide {
		w.mark(i, i+1)
	}
}

// found hides what ends at i.
func (w *writer) found(i int, h *hit) {
	w.mark(w.back(i+1, h.length), i+1)
	if len(w.follow)+len(h.rests) > maxFollow {
		w.blind = true
		return
	}
	w.follow = append(w.follow, h.rests...)
}

// back returns where the n bytes before end begin, line ends not counted; 0
// when they begin in what was passed on already.
func (w *writer) back(end, n int) int {
	for ; n > 0 && end > 0; end-- {
		if c := w.buf[end-1]; c != '\n' && c != '\r' {
			n--
		}
	}
	return end
}

func (w *writer) mark(from, to int) {
	for n := len(w.runs); n > 0 && w.runs[n-1].to >= from; n-- {
		from = min(from, w.runs[n-1].from)
		w.runs = w.runs[:n-1]
	}
	w.runs = append(w.runs, span{from, to})
}

// settled returns how much of buf no later byte can change.
func (w *writer) settled() int {
	held := int(w.a.held[int(w.state)/w.a.classes])
	if held == 0 || held < holdBytes && w.breaks > 0 {
		return len(w.buf)
	}
	return w.back(len(w.buf), held)
}

// pass passes buf on up to end.
func (w *writer) pass(end int) {
	w.out = w.out[:0]
	at, left := 0, w.runs[:0]
	for _, r := range w.runs {
		if r.from < end {
			w.plain(w.buf[at:r.from])
			at = min(r.to, end)
			w.hide(w.buf[r.from:at])
		}
		if r.to > end {
			left = append(left, span{max(r.from, end) - end, r.to - end})
		}
	}
	w.plain(w.buf[at:end])
	w.runs = left
	w.buf = w.buf[:copy(w.buf, w.buf[end:])]
	if len(w.out) > 0 && w.err == nil {
		_, w.err = w.w.Write(w.out)
	}
}

func (w *writer) plain(b []byte) {
	if len(b) > 0 {
		w.out, w.open = append(w.out, b...), false
	}
}

// hide writes stars once for a masked part, and keeps its line ends.
func (w *writer) hide(b []byte) {
	for _, c := range b {
		if c == '\n' || c == '\r' {
			w.out, w.open = append(w.out, c), false
		} else if !w.open {
			w.out, w.open = append(w.out, stars...), true
		}
	}
}
