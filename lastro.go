// SPDX-License-Identifier: Apache-2.0

// Package lastro holds the words that every room of the house shares: errors
// that tell a person where, what and what next; references and digests;
// actors; events; the clock. It imports the standard library only and knows
// no capability. What a run, a model or a gate is lives in its own package.
package lastro

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"
)

// Digest names immutable bytes: "sha256:" and 64 lower-case hex digits.
type Digest string

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// ParseDigest checks the form of a digest that came from outside.
func ParseDigest(s string) (Digest, error) {
	h, ok := strings.CutPrefix(s, "sha256:")
	if ok && len(h) == 64 && strings.Trim(h, "0123456789abcdef") == "" {
		return Digest(s), nil
	}
	return "", &Error{Code: EInvalid, Msg: fmt.Sprintf("%q is not a digest", s), Hint: "a digest is sha256: and 64 hex digits"}
}

// Hex returns the 64 hex digits without the algorithm.
func (d Digest) Hex() string { return strings.TrimPrefix(string(d), "sha256:") }

// Short returns the first 7 hex digits, as shown to people.
func (d Digest) Short() string {
	h := d.Hex()
	if len(h) < 7 {
		return h
	}
	return h[:7]
}

// Hasher digests a stream.
type Hasher struct{ h hash.Hash }

// NewHasher returns an empty hasher.
func NewHasher() *Hasher { return &Hasher{sha256.New()} }

func (h *Hasher) Write(p []byte) (int, error) { return h.h.Write(p) }

// Digest returns the digest of what was written so far.
func (h *Hasher) Digest() Digest { return Digest("sha256:" + hex.EncodeToString(h.h.Sum(nil))) }

// DigestReader reads r to its end and returns its digest and size in bytes.
func DigestReader(r io.Reader) (Digest, int64, error) {
	h := NewHasher()
	n, err := io.Copy(h, r)
	return h.Digest(), n, err
}

// CanonicalJSON encodes v so that equal values give equal bytes: object keys
// sorted, no insignificant space, no HTML escapes. Cache keys and decision
// hashes are digests of it.
func CanonicalJSON(v any) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var generic any
	if err := dec.Decode(&generic); err != nil {
		return nil, err
	}
	var out strings.Builder
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(generic); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(out.String(), "\n")), nil
}

// Ref points at a thing of any capability: "kind:name@version". The version
// may be empty, a number, a digest or an alias. Kinds are the glossary's
// nouns: run, step, dataset, experiment, trackedrun, model, decision,
// environment, release, rollout, monitor, alert, user, token.
type Ref string

// NewRef builds a reference; version may be empty.
func NewRef(kind, name, version string) Ref {
	if version == "" {
		return Ref(kind + ":" + name)
	}
	return Ref(kind + ":" + name + "@" + version)
}

// Parts splits a reference into kind, name and version.
func (r Ref) Parts() (kind, name, version string) {
	kind, rest, _ := strings.Cut(string(r), ":")
	if i := strings.LastIndex(rest, "@"); i >= 0 {
		return kind, rest[:i], rest[i+1:]
	}
	return kind, rest, ""
}

// Actor is who did something: "user:ana", "token:ci", "step:142/train",
// "system:engine", "system:monitor".
type Actor string

// System is the actor of what lastro does by itself.
func System(part string) Actor { return Actor("system:" + part) }

// Event is a fact: who did what to which reference, and when. Store commits
// it in the same transaction as the change it explains. Metric points, log
// lines and predictions are not events (SEMANTICS 7).
type Event struct {
	Seq     int64           `json:"seq"` // given by the store, ascending
	At      time.Time       `json:"at"`
	Actor   Actor           `json:"actor"`
	Verb    string          `json:"verb"` // noun.past, such as run.started, alias.moved
	Subject Ref             `json:"subject"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// NewEvent makes an event; data that cannot be encoded is a programming error
// and panics.
func NewEvent(at time.Time, actor Actor, verb string, subject Ref, data any) Event {
	ev := Event{At: at.UTC(), Actor: actor, Verb: verb, Subject: subject}
	if data != nil {
		raw, err := json.Marshal(data)
		if err != nil {
			panic(fmt.Sprintf("event %s on %s: %v", verb, subject, err))
		}
		ev.Data = raw
	}
	return ev
}

// Clock tells the time and waits; tests bring their own.
type Clock interface {
	Now() time.Time
}

// SystemClock is the machine's clock, in UTC.
type SystemClock struct{}

// Now returns the current time in UTC.
func (SystemClock) Now() time.Time { return time.Now().UTC() }

// Micros converts a time to integer microseconds UTC, the form in which every
// time is stored; the zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// FromMicros is the inverse of Micros.
func FromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
