// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"lastro"
	"lastro/track"
)

// checkBatch refuses the names that the protocol refuses, and cuts long values
// as it does: some clients write lists of files into a tag, and would stop there.
func checkBatch(b *track.Batch) error {
	for _, m := range b.Metrics {
		if err := checkName("metric", m.Key); err != nil {
			return err
		}
	}
	for i, p := range b.Params {
		if err := checkName("param", p.Key); err != nil {
			return err
		}
		b.Params[i].Value = cutTo(p.Value, track.MaxParam)
	}
	for i, t := range b.Tags {
		if err := checkName("tag", t.Key); err != nil {
			return err
		}
		b.Tags[i].Value = cutTo(t.Value, track.MaxTag)
	}
	// A run keeps its name when a client writes an empty one.
	b.Tags = slices.DeleteFunc(b.Tags, func(t track.Tag) bool { return t.Key == runNameTag && t.Value == "" })
	return nil
}

// runNameTag is where clients read and write the name of a run.
const runNameTag = "mlflow.runName"

// checkName holds the name of a metric, param or tag to MLflow's rule, so that
// what was logged here can also be logged there.
func checkName(what, name string) error {
	if name == "" {
		return missing("key")
	}
	for _, r := range name {
		if r < utf8.RuneSelf && letters[r] || r >= utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.Is(unicode.Mn, r)) {
			continue
		}
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0712", Msg: what + " name " + quoted(name) + " has the character " + quoted(string(r)),
			Hint: "use letters, digits, space and _ - . : /"}
	}
	if clean := path.Clean(name); clean != name || name[0] == '/' || name == "." || strings.HasPrefix(name, "..") {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0712", Msg: what + " name " + quoted(name) + " could be a path to somewhere else",
			Hint: "leave out . and .. and doubled slashes, and a slash at either end"}
	}
	return nil
}

// letters are the ASCII characters of a name.
var letters = func() (set [utf8.RuneSelf]bool) {
	for _, r := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./: " {
		set[r] = true
	}
	return set
}()

// cutTo returns the first n characters of a text.
func cutTo(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

func quoted(text string) string { return "\"" + cutTo(text, 60) + "\"" }

// checkModelName holds the name of a logged model to MLflow's rule: it is part of URIs.
func checkModelName(name string) error {
	if i := strings.IndexAny(name, "/:.%\"'"); i >= 0 {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0712", Msg: "name " + quoted(name) + " has the character " + quoted(name[i:i+1]),
			Hint: "leave / : . % and quotes out of the name of a model"}
	}
	return nil
}

// checkExperimentID refuses what is no id of an experiment before it is looked for.
func checkExperimentID(id string) error {
	if id == "" {
		return missing("experiment_id")
	}
	if strings.Trim(id, "0123456789") != "" {
		return &lastro.Error{Code: lastro.EInvalid, ID: "L0713", Msg: "experiment_id " + quoted(id) + " is not a number", Hint: "mlflow experiments search lists the ids"}
	}
	return nil
}

// Limits of a dataset that is logged as an input, in characters.
const (
	maxDatasetName    = 500
	maxDatasetDigest  = 36
	maxDatasetSource  = 65_535
	maxDatasetSchema  = 1_048_575
	maxDatasetProfile = 16_777_215
	maxInputTagKey    = 255
	maxInputTagValue  = 500
)

func (d datasetInput) check() error {
	for _, field := range []struct {
		name, value string
		needed      bool
		most        int
	}{
		{"dataset.name", d.Dataset.Name, true, maxDatasetName}, {"dataset.digest", d.Dataset.Digest, true, maxDatasetDigest},
		{"dataset.source_type", d.Dataset.SourceType, true, maxDatasetName}, {"dataset.source", d.Dataset.Source, true, maxDatasetSource},
		{"dataset.schema", d.Dataset.Schema, false, maxDatasetSchema}, {"dataset.profile", d.Dataset.Profile, false, maxDatasetProfile},
	} {
		if field.needed && field.value == "" {
			return missing(field.name)
		}
		if err := notLonger(field.name, field.value, field.most); err != nil {
			return err
		}
	}
	for _, t := range d.Tags {
		if err := notLonger("the key of a tag of dataset "+quoted(d.Dataset.Name), t.Key, maxInputTagKey); err != nil {
			return err
		}
		if err := notLonger("tag "+quoted(t.Key)+" of dataset "+quoted(d.Dataset.Name), t.Value, maxInputTagValue); err != nil {
			return err
		}
	}
	return nil
}

func notLonger(what, value string, most int) error {
	if n := utf8.RuneCountInString(value); n > most {
		return lastro.Errorf(lastro.EInvalid, "%s has %d characters; %d is the most", what, n, most)
	}
	return nil
}
