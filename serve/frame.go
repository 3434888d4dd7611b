// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// maxFrame bounds what a worker may say at once, in bytes: a broken worker
// must not exhaust the gateway.
const maxFrame = 256 << 20

// WriteFrame writes v as one frame: the length of its JSON as 4 bytes, most
// significant first, and the JSON.
func WriteFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeBytes(w, body)
}

func writeBytes(w io.Writer, body []byte) error {
	if len(body) > maxFrame {
		return fmt.Errorf("frame of %d bytes is over the limit of %d", len(body), maxFrame)
	}
	buf := make([]byte, 4+len(body))
	binary.BigEndian.PutUint32(buf, uint32(len(body)))
	copy(buf[4:], body)
	_, err := w.Write(buf)
	return err
}

// ReadFrame reads one frame into v. io.EOF between frames is the end.
func ReadFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("frame of %d bytes is over the limit of %d", n, maxFrame)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return io.ErrUnexpectedEOF
	}
	return json.Unmarshal(body, v)
}

// WorkerLoad is the first frame to a worker.
type WorkerLoad struct {
	Dir  string `json:"dir"`
	Name string `json:"name"` // of the revision, for messages
}

// WorkerHello is a worker's first frame: it is ready, or Error says why not.
type WorkerHello struct {
	Ready    bool    `json:"ready"`
	Error    string  `json:"error,omitempty"`
	Platform string  `json:"platform,omitempty"`
	Schema   *Schema `json:"schema,omitempty"` // what the model itself says, when the folder does not
}

// WorkerRequest asks a worker to predict. Data has one list of values for each
// column; Matrix has rows.
type WorkerRequest struct {
	ID      int64       `json:"id"`
	Rows    int         `json:"rows"`
	Columns []string    `json:"columns,omitempty"`
	Data    [][]any     `json:"data,omitempty"`
	Matrix  [][]float64 `json:"matrix,omitempty"`
}

// WorkerReply answers a request. With Error set, Kind is "input" when the
// input is at fault and "model" otherwise.
type WorkerReply struct {
	ID     int64  `json:"id"`
	Answer Answer `json:"answer"`
	Error  string `json:"error,omitempty"`
	Kind   string `json:"kind,omitempty"`
}

// UnmarshalJSON reads the data by datatype, so that integers keep all digits
// and null is a missing value.
func (o *Output) UnmarshalJSON(text []byte) error {
	var wire struct {
		Name     string          `json:"name"`
		Datatype string          `json:"datatype"`
		Shape    []int64         `json:"shape"`
		Data     json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		return err
	}
	o.Name, o.Datatype, o.Shape = wire.Name, wire.Datatype, wire.Shape
	var err error
	switch wire.Datatype {
	case "FP64":
		o.Data, err = decodeList[float64](wire.Data)
	case "INT64":
		o.Data, err = decodeList[int64](wire.Data)
	case "BOOL":
		o.Data, err = decodeList[bool](wire.Data)
	case "BYTES":
		o.Data, err = decodeList[string](wire.Data)
	default:
		err = fmt.Errorf("output %q has the unknown datatype %q", wire.Name, wire.Datatype)
	}
	return err
}

func decodeList[T any](raw json.RawMessage) ([]any, error) {
	var list []*T
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, err
	}
	out := make([]any, len(list))
	for i, v := range list {
		if v != nil {
			out[i] = *v
		}
	}
	return out, nil
}
