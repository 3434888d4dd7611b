// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"time"

	"lastro"
)

// The tags by which MLflow keeps prompts in its registry. The first two are not
// told to receivers, the third is the template itself.
const (
	tagIsPrompt   = "mlflow.prompt.is_prompt"
	tagPromptType = "_mlflow_prompt_type"
	tagPromptText = "mlflow.prompt.text"
)

// encode is the body of a message, as MLflow's receivers read it.
func encode(e Event, at time.Time, data map[string]any) (string, error) {
	entity, action, _ := strings.Cut(string(e), ".")
	body, err := json.Marshal(struct {
		Entity    string         `json:"entity"`
		Action    string         `json:"action"`
		Timestamp string         `json:"timestamp"`
		Data      map[string]any `json:"data"`
	}{entity, action, at.UTC().Format("2006-01-02T15:04:05.000000+00:00"), data})
	return string(body), err
}

// told is what the registry's events say; each kind fills its own part.
type told struct {
	Prompt     bool   `json:"prompt"`
	Source     string `json:"source"`
	TrackedRun string `json:"trackedrun"`
	Key        string `json:"key"`
	Alias      string `json:"alias"`
	To         int    `json:"to"`
}

// Card is what receivers are told of a model or a version.
type Card struct {
	Tags        map[string]string
	Description string
}

// Lookup returns the card of a model, or of a version when number is not 0; the
// zero Card when it has gone. Events are kept for ever and a model's texts are
// not, so these are read when the message is made.
type Lookup func(ctx context.Context, model string, number int) (Card, error)

// translate returns the event that receivers know for one of the store's, and
// what they are told of it; "" when it is none.
func translate(ctx context.Context, ev lastro.Event, look Lookup) (e Event, data map[string]any, err error) {
	room, model, version := ev.Subject.Parts()
	if room != "model" {
		return "", nil, nil
	}
	var t told
	if len(ev.Data) > 0 {
		if err := json.Unmarshal(ev.Data, &t); err != nil {
			return "", nil, nil
		}
	}
	kind := func(of, ofPrompt Event) Event {
		if t.Prompt {
			return ofPrompt
		}
		return of
	}
	data = map[string]any{"name": model}
	switch ev.Verb {
	case "alias.moved":
		data["alias"] = t.Alias
		if t.To == 0 {
			return kind(AliasDeleted, PromptAliasDeleted), data, nil
		}
		data["version"] = strconv.Itoa(t.To)
		return kind(AliasCreated, PromptAliasCreated), data, nil
	case "version.untagged":
		data["version"], data["key"] = version, t.Key
		return kind(VersionTagDeleted, PromptVersionTagDel), data, nil
	case "model.untagged": // of models MLflow tells nothing
		data["key"] = t.Key
		return kind("", PromptTagDeleted), data, nil
	case "model.created", "version.created", "version.tagged", "model.tagged":
	default:
		return "", nil, nil
	}
	number := 0
	if strings.HasPrefix(ev.Verb, "version.") {
		if number, err = strconv.Atoi(version); err != nil {
			return "", nil, nil
		}
		data["version"] = version
	}
	card, err := look(ctx, model, number)
	if err != nil {
		return "", nil, err
	}
	switch ev.Verb {
	case "version.tagged":
		data["key"], data["value"] = t.Key, card.Tags[t.Key]
		return kind(VersionTagSet, PromptVersionTagSet), data, nil
	case "model.tagged":
		data["key"], data["value"] = t.Key, card.Tags[t.Key]
		return kind("", PromptTagSet), data, nil
	}
	data["tags"], data["description"] = card.shown(t.Prompt), none(card.Description)
	if ev.Verb == "model.created" {
		return kind(ModelCreated, PromptCreated), data, nil
	}
	if t.Prompt {
		data["template"] = card.Tags[tagPromptText]
		return PromptVersion, data, nil
	}
	data["source"], data["run_id"] = t.Source, none(t.TrackedRun)
	return VersionCreated, data, nil
}

// shown are the tags that a receiver is told of.
func (c Card) shown(prompt bool) map[string]string {
	tags := map[string]string{}
	maps.Copy(tags, c.Tags)
	if prompt {
		for _, k := range []string{tagIsPrompt, tagPromptType, tagPromptText} {
			delete(tags, k)
		}
	}
	return tags
}

// none is null for a text that is empty.
func none(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// example is what Try tells of an event.
func example(e Event) map[string]any {
	entity, action, _ := strings.Cut(string(e), ".")
	data := map[string]any{"name": "example_model"}
	if strings.HasPrefix(entity, "prompt") {
		data["name"] = "example_prompt"
	}
	created := action == "created"
	switch {
	case strings.HasSuffix(entity, "_tag"):
		data["key"] = "example_key"
		if action == "set" {
			data["value"] = "example_value"
		}
		if strings.Contains(entity, "version") {
			data["version"] = "1"
		}
	case strings.HasSuffix(entity, "_alias"):
		data["alias"] = "example_alias"
		if created {
			data["version"] = "1"
		}
	default:
		data["tags"], data["description"] = map[string]string{"example_key": "example_value"}, "An example "+strings.ReplaceAll(entity, "_", " ")
		switch e {
		case VersionCreated:
			data["version"], data["source"], data["run_id"] = "1", "models:/123", "abcd1234abcd5678"
		case PromptVersion:
			data["version"], data["template"] = "1", "Hello {{name}}!"
		}
	}
	return data
}

// Concerns reports whether an event may become a message, so that a server does
// not look for messages after each of the many others.
func Concerns(ev lastro.Event) bool {
	about, _, _ := strings.Cut(ev.Verb, ".")
	return about == "alias" || about == "version" || about == "model"
}
