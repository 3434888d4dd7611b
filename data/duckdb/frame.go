// SPDX-License-Identifier: Apache-2.0

package duckdb

import (
	"encoding/binary"
	encoding "encoding/json"
	"errors"
	"fmt"
	"io"

	"lastro"
)

// A frame is four bytes of length, big-endian, and that much JSON.

// maxFrame bounds one message: sorted values of a column of 20 million rows.
const maxFrame = 512 << 20

// request asks the worker for something; "cancel" stops the request of the
// same ID.
type request struct {
	ID     int64               `json:"id"`
	Method string              `json:"method"`
	Params encoding.RawMessage `json:"params,omitempty"`
}

// response answers the request of the same ID.
type response struct {
	ID       int64               `json:"id"`
	Result   encoding.RawMessage `json:"result,omitempty"`
	Error    *lastro.Error       `json:"error,omitempty"`
	Problems lastro.Problems     `json:"problems,omitempty"`
}

func writeFrame(w io.Writer, v any) error {
	body, err := encoding.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fmt.Errorf("a message of %d bytes is too large for the data worker", len(body))
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("the data worker announced %d bytes: not its protocol", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return encoding.Unmarshal(body, v)
}

// fill puts an error into the response, with what a person reads of it.
func (r *response) fill(err error) {
	var problems lastro.Problems
	if errors.As(err, &problems) {
		r.Problems = problems
		return
	}
	var e *lastro.Error
	if errors.As(err, &e) {
		r.Error = e
		return
	}
	r.Error = &lastro.Error{Code: lastro.EErrored, ID: "L0521", Msg: "the data engine broke: " + tidy(err.Error())}
}

func (r *response) err() error {
	if len(r.Problems) > 0 {
		return r.Problems
	}
	if r.Error != nil {
		return r.Error
	}
	return nil
}
