// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// inRow is how many bytes of encoded spans stay in the database; more go to the
// content store, so that large inputs do not make the database slow for all.
const inRow = 64 << 10

// maxDecoded bounds what the encoded spans of one request may grow to.
const maxDecoded = 512 << 20

var zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(512<<10))
	if err != nil {
		panic(err) // the options are constant
	}
	return e
})

var zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxDecoded), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err)
	}
	return d
})

// encode turns spans into compressed JSON, with the hash of the spans.
func encode(spans []Span) (Body, error) {
	raw, err := json.Marshal(spans)
	if err != nil {
		return Body{}, fmt.Errorf("encode spans: %w", err)
	}
	sum := sha256.Sum256(raw)
	return Body{Hash: hex.EncodeToString(sum[:16]), Bytes: zstdEncoder().EncodeAll(raw, nil)}, nil
}

// decode is the inverse of encode; fn narrows with the JSON whether it is worth reading.
func decode(compressed []byte, worth func(raw []byte) bool) ([]Span, error) {
	raw, err := zstdDecoder().DecodeAll(compressed, nil)
	if err != nil {
		return nil, fmt.Errorf("decode spans: %w", err)
	}
	if worth != nil && !worth(raw) {
		return nil, nil
	}
	var spans []Span
	if err := json.NewDecoder(bytes.NewReader(raw)).Decode(&spans); err != nil {
		return nil, fmt.Errorf("decode spans: %w", err)
	}
	return spans, nil
}
