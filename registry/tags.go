// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"lastro"
)

// Bounds of tags, as MLflow has them.
const (
	maxTagKey   = 250     // bytes
	maxTagValue = 100_000 // characters
)

// The tags of a version that say where it comes from. Clients read them and
// search by them; they cannot write them.
const (
	TagDigest  = "lastro.digest"  // of its bytes
	TagRun     = "lastro.run"     // pipeline run,
	TagStep    = "lastro.step"    // step
	TagCell    = "lastro.cell"    // and matrix cell that made it
	TagTracked = "lastro.tracked" // tracked run
	TagCommit  = "lastro.commit"  // of the code
	TagLock    = "lastro.lock"    // digest of the dependency lock
	tagData    = "lastro.data."   // + dataset: digest of its version

	reserved = "lastro."
)

// tagKey is what MLflow lets a key hold: word characters, - . space : and /.
var tagKey = regexp.MustCompile(`^[\pL\pN_\-. :/]+$`)

func checkTag(key, value string) error {
	bad := func(format string, args ...any) error {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0722", Msg: fmt.Sprintf(format, args...), Hint: fmt.Sprintf("a key has 1 to %d bytes: letters, digits, space and _ - . : /", maxTagKey)}
	}
	switch {
	case len(key) > maxTagKey:
		return bad("the key of a tag has %d bytes", len(key))
	case !tagKey.MatchString(key) || strings.HasPrefix(key, "/") || strings.HasPrefix(key, ".."):
		return bad("%q cannot be the key of a tag", key)
	case utf8.RuneCountInString(value) > maxTagValue:
		return bad("the value of tag %q has %d characters; %d is the most", key, utf8.RuneCountInString(value), maxTagValue)
	case strings.ContainsRune(value, 0) || !utf8.ValidString(value):
		return bad("the value of tag %q is no text", key)
	}
	return nil
}

// ValidTag reports whether a version or model can have a tag.
func ValidTag(key, value string) bool { return checkTag(key, value) == nil }

func checkTags(tags map[string]string) error {
	for k, v := range tags {
		if err := checkTag(k, v); err != nil {
			return err
		}
	}
	return nil
}

// ClientTags leaves out the tags that only lastro writes: a client that copies a
// version sends those of the original.
func ClientTags(tags map[string]string) map[string]string {
	out := make(map[string]string, len(tags))
	for k, v := range tags {
		if !strings.HasPrefix(k, reserved) {
			out[k] = v
		}
	}
	return out
}

// tagged returns the version's tags with those that say where it comes from. A
// prompt is its own text and has none.
func (v Version) tagged() map[string]string {
	tags := ClientTags(v.Tags)
	if v.IsPrompt() {
		return tags
	}
	for k, text := range map[string]string{TagDigest: string(v.Digest), TagRun: v.Run, TagStep: v.Step, TagCell: v.Cell, TagTracked: v.TrackedRun,
		TagCommit: v.Commit, TagLock: string(v.Lock)} {
		if text != "" {
			tags[k] = text
		}
	}
	for _, d := range v.DataVersions {
		if key := tagData + d.Dataset; checkTag(key, string(d.Digest)) == nil {
			tags[key] = string(d.Digest)
		}
	}
	return tags
}

// refuseReserved keeps clients from saying where something comes from.
func refuseReserved(key string) error {
	if !strings.HasPrefix(key, reserved) {
		return nil
	}
	return &lastro.Error{Code: lastro.EInvalid, ID: "L0723", Msg: fmt.Sprintf("the tag %q is written by lastro only", key), Hint: "choose a key that does not begin with lastro."}
}

// SetModelTag writes one tag of a model.
func (s *Service) SetModelTag(ctx context.Context, by lastro.Actor, model, key, value string) error {
	m, err := s.taggable(ctx, model, key, value)
	if err != nil {
		return err
	}
	if m.Declared && key == tagIsPrompt { // it would be hidden from those who search for models
		return &lastro.Error{Code: lastro.EDenied, ID: "L0726", Msg: fmt.Sprintf("model %q is declared in a lastro.yaml, so it cannot become a prompt", model), Hint: "register the prompt under another name"}
	}
	return s.store.SetModelTag(ctx, model, key, value, s.tagEvent(by, "model.tagged", m, m.Ref(), key))
}

// DeleteModelTag removes one tag of a model; one that is not there is no error.
func (s *Service) DeleteModelTag(ctx context.Context, by lastro.Actor, model, key string) error {
	m, err := s.taggable(ctx, model, key, "")
	if err != nil {
		return err
	}
	if _, there := m.Tags[key]; !there {
		return nil
	}
	return s.store.DeleteModelTag(ctx, model, key, s.tagEvent(by, "model.untagged", m, m.Ref(), key))
}

// SetVersionTag writes one tag of a version.
func (s *Service) SetVersionTag(ctx context.Context, by lastro.Actor, model string, number int, key, value string) error {
	m, err := s.taggable(ctx, model, key, value)
	if err != nil {
		return err
	}
	return s.store.SetVersionTag(ctx, model, number, key, value, s.tagEvent(by, "version.tagged", m, lastro.NewRef("model", model, strconv.Itoa(number)), key))
}

// DeleteVersionTag removes one tag of a version; one that is not there is no error.
func (s *Service) DeleteVersionTag(ctx context.Context, by lastro.Actor, model string, number int, key string) error {
	m, err := s.taggable(ctx, model, key, "")
	if err != nil {
		return err
	}
	v, err := s.store.Version(ctx, model, number)
	if err != nil {
		return err
	}
	if _, there := v.Tags[key]; !there {
		return nil
	}
	return s.store.DeleteVersionTag(ctx, model, number, key, s.tagEvent(by, "version.untagged", m, v.Ref(), key))
}

// taggable returns the model that a tag belongs to, directly or by a version.
func (s *Service) taggable(ctx context.Context, model, key, value string) (Model, error) {
	if err := checkTag(key, value); err != nil {
		return Model{}, err
	}
	if err := refuseReserved(key); err != nil {
		return Model{}, err
	}
	return s.store.Model(ctx, model)
}

// tagEvent names the key and not the value: events are kept for ever, and a
// tag is not.
func (s *Service) tagEvent(by lastro.Actor, verb string, m Model, subject lastro.Ref, key string) lastro.Event {
	return lastro.NewEvent(s.clock.Now(), by, verb, subject, map[string]any{"key": key, "prompt": m.IsPrompt()})
}
