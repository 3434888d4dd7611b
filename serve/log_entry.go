// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// logEntry is one request with its answer. Its line format is documented in
// docs/formats/request-log.md.
type logEntry struct {
	at        time.Time
	id        string
	endpoint  string
	rev, role string
	status    int
	took      time.Duration
	rows      int      // 0 for a request that could not be read
	columns   []Column // everything that was sent, extra columns included
	eventTime []int64  // one a row, or nil
	out       []any    // one a row, or nil
	err       string
	failedRev string // the candidate that failed before rev answered
	failedErr string
}

func (e *logEntry) lines() int { return max(1, e.rows) }

// size estimates the bytes that the entry holds in the queue.
func (e *logEntry) size() int64 { return int64(256 + e.rows*(96+32*len(e.columns))) }

func (e *logEntry) encode(b *bytes.Buffer) {
	keys := make([][]byte, len(e.columns))
	for i, c := range e.columns {
		keys[i] = appendString(nil, c.Name)
	}
	head := e.head()
	tail := e.tail()
	for row := range e.lines() {
		b.Write(head)
		b.WriteString(`,"row":` + strconv.Itoa(row))
		at := int64(0)
		if row < len(e.eventTime) {
			at = e.eventTime[row]
		}
		b.WriteString(`,"event_time":` + strconv.FormatInt(at, 10) + `,"in":{`)
		for i, c := range e.columns {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(keys[i])
			b.WriteByte(':')
			if row < len(c.Values) {
				b.Write(appendValue(b.AvailableBuffer(), c.Values[row]))
			} else {
				b.WriteString("null")
			}
		}
		b.WriteString(`},"out":`)
		if row < len(e.out) {
			b.Write(appendValue(b.AvailableBuffer(), e.out[row]))
		} else {
			b.WriteString("null")
		}
		b.Write(tail)
	}
}

func (e *logEntry) head() []byte {
	h := append([]byte(`{"t":`), strconv.FormatInt(e.at.UnixMicro(), 10)...)
	h = appendString(append(h, `,"req":`...), e.id)
	h = appendString(append(h, `,"endpoint":`...), e.endpoint)
	h = appendString(append(h, `,"rev":`...), e.rev)
	h = appendString(append(h, `,"role":`...), e.role)
	h = strconv.AppendInt(append(h, `,"status":`...), int64(e.status), 10)
	return strconv.AppendInt(append(h, `,"latency_us":`...), e.took.Microseconds(), 10)
}

func (e *logEntry) tail() []byte {
	t := appendString([]byte(`,"error":`), e.err)
	if e.failedRev != "" {
		t = appendString(append(t, `,"failed_rev":`...), e.failedRev)
		t = appendString(append(t, `,"failed_error":`...), e.failedErr)
	}
	return append(t, "}\n"...)
}

func appendString(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		return append(b, `""`...)
	}
	return append(b, text...)
}

func appendValue(b []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(b, "null"...)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return append(b, "null"...)
		}
		return strconv.AppendFloat(b, x, 'g', -1, 64)
	case int64:
		return strconv.AppendInt(b, x, 10)
	case bool:
		return strconv.AppendBool(b, x)
	case string:
		return appendString(b, x)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, text...)
}
