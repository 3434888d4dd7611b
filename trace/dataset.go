// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastro"
)

// EvaluationDataset is a list of examples that a program is evaluated with.
// Schema and Profile are JSON, "" before there are records.
type EvaluationDataset struct {
	ID          string // "d-" and 32 hex digits
	Name        string // need not be unique
	Schema      string
	Profile     string
	Digest      string // changes with every change
	Tags        map[string]string
	Experiments []string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	CreatedBy   string // as the client says, "" = it did not
	UpdatedBy   string
	By          lastro.Actor
	Origin      Origin
}

// Ref returns "evaluationdataset:ID".
func (d EvaluationDataset) Ref() lastro.Ref { return lastro.NewRef("evaluationdataset", d.ID, "") }

// Record is one example of a dataset. Inputs, Outputs, Expectations, Tags and
// Source are JSON; nil = none. Two records of a dataset never have the same inputs.
type Record struct {
	ID           string // "dr-" and 32 hex digits
	Dataset      string
	Inputs       json.RawMessage
	Outputs      json.RawMessage
	Expectations json.RawMessage
	Tags         json.RawMessage
	Source       json.RawMessage
	SourceID     string
	SourceType   string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	CreatedBy    string
	UpdatedBy    string
}

// DatasetQuery asks for datasets; the keys of attributes are name, created_time,
// last_update_time, created_by and last_updated_by, times in milliseconds.
type DatasetQuery struct {
	Experiments []string // nil = all
	Where       []Clause
	Order       []Order
	PageToken   string
	Limit       int
}

// RecordQuery asks for records in the order of their making.
type RecordQuery struct {
	Dataset   string
	PageToken string
	Limit     int
}

// DatasetTx is what a change of a dataset may do within its transaction.
type DatasetTx interface {
	RecordByInputs(ctx context.Context, hash string) (Record, bool, error)
	PutRecord(ctx context.Context, r Record, hash string) error
	DeleteRecords(ctx context.Context, ids []string) (int, error)
	CountRecords(ctx context.Context) (int, error)
	// AddExperiments fails with lastro.ENotFound for one that does not exist.
	AddExperiments(ctx context.Context, ids []string) error
	RemoveExperiments(ctx context.Context, ids []string) error
}

// Limits of datasets, in characters.
const (
	MaxDatasetName = 255
	MaxDatasetTag  = 5000
	MaxRecords     = 100000 // of one request
)

const tagUser = "mlflow.user"

func newDigest(name string, at time.Time) string {
	sum := sha256.Sum256([]byte(name + ":" + strconv.FormatInt(at.UnixMilli(), 10)))
	return hex.EncodeToString(sum[:4])
}

func (s *Service) now() time.Time { return s.clock.Now().Truncate(time.Millisecond) }

// CreateDataset makes an empty dataset.
func (s *Service) CreateDataset(ctx context.Context, c Caller, name string, experiments []string, tags map[string]string) (EvaluationDataset, error) {
	if err := lastro.CheckText("the name of a dataset", name, 1, MaxDatasetName); err != nil {
		return EvaluationDataset{}, err
	}
	if err := checkDatasetTags(tags); err != nil {
		return EvaluationDataset{}, err
	}
	at := s.now()
	d := EvaluationDataset{ID: "d-" + newID(), Name: name, Digest: newDigest(name, at), Tags: tags, Experiments: experiments, CreatedAt: at, UpdatedAt: at,
		CreatedBy: tags[tagUser], UpdatedBy: tags[tagUser], By: c.By, Origin: c.Origin}
	return d, s.store.CreateDataset(ctx, d, lastro.NewEvent(at, c.By, "evaluationdataset.created", d.Ref(), map[string]any{"name": name}))
}

func checkDatasetTags(tags map[string]string) error {
	for k, v := range tags {
		if err := lastro.CheckText(fmt.Sprintf("tag %.40q", k), k, 1, MaxDatasetName); err != nil {
			return err
		}
		if err := lastro.CheckText("the value of tag "+k, v, 0, MaxDatasetTag); err != nil {
			return err
		}
	}
	return nil
}

// Dataset returns one dataset without its records.
func (s *Service) Dataset(ctx context.Context, id string) (EvaluationDataset, error) {
	return s.store.Dataset(ctx, id)
}

// DeleteDataset removes a dataset with its records for ever; one that does not
// exist is no error.
func (s *Service) DeleteDataset(ctx context.Context, c Caller, id string) error {
	d, err := s.store.Dataset(ctx, id)
	if lastro.Is(err, lastro.ENotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.store.DeleteDataset(ctx, c, id, lastro.NewEvent(s.clock.Now(), c.By, "evaluationdataset.deleted", d.Ref(), map[string]any{"name": d.Name}))
}

// SearchDatasets returns one page of datasets and the token of the next one, ""
// at the end; the newest come first unless the query orders them.
func (s *Service) SearchDatasets(ctx context.Context, q DatasetQuery) ([]EvaluationDataset, string, error) {
	if len(q.Order) == 0 {
		q.Order = []Order{{Field: Attribute, Key: "created_time", Desc: true}}
	}
	return s.store.SearchDatasets(ctx, q)
}

// ParseDatasetFilter reads MLflow's filter of evaluation datasets.
func ParseDatasetFilter(filter string) ([]Clause, error) {
	return parse(filter, func(name string, c Clause) (Clause, error) {
		if key, ok := strings.CutPrefix(name, "tags."); ok {
			c.Field, c.Key = Tag, unquote(key)
			if !slices.Contains([]Op{Eq, Ne, Like, ILike}, c.Op) || c.IsNumber {
				return c, lastro.Errorf(lastro.EInvalid, "tag %.80q cannot be compared by %s %s", c.Key, c.Op, c.Text)
			}
			return c, nil
		}
		c.Field, c.Key = Attribute, name
		switch name {
		case "created_time", "last_update_time":
			if err := c.wantNumber(name); err != nil {
				return c, err
			}
			if !slices.Contains(numberOps, c.Op) {
				return c, lastro.Errorf(lastro.EInvalid, "%s cannot be compared by %s", name, c.Op)
			}
		case "name", "created_by", "last_updated_by":
			if !slices.Contains([]Op{Eq, Ne, Like, ILike}, c.Op) && !(c.Op == In && name == "name") || c.IsNumber {
				return c, lastro.Errorf(lastro.EInvalid, "%s cannot be compared by %s %s", name, c.Op, c.Text)
			}
		default:
			return c, &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("evaluation datasets have no attribute %.80q", name),
				Hint: "use name, created_time, last_update_time, created_by, last_updated_by or tags.NAME"}
		}
		return c, nil
	})
}

// ParseDatasetOrder reads an order such as "created_time DESC".
func ParseDatasetOrder(text string) (Order, error) {
	parts := strings.Fields(text)
	if len(parts) == 0 || len(parts) > 2 || !slices.Contains([]string{"name", "created_time", "last_update_time"}, parts[0]) ||
		len(parts) == 2 && !strings.EqualFold(parts[1], "ASC") && !strings.EqualFold(parts[1], "DESC") {
		return Order{}, lastro.Errorf(lastro.EInvalid, "evaluation datasets cannot be ordered by %.80q; use name, created_time or last_update_time", text)
	}
	return Order{Attribute, parts[0], len(parts) == 2 && strings.EqualFold(parts[1], "DESC")}, nil
}

// SetDatasetTags adds to and replaces tags.
func (s *Service) SetDatasetTags(ctx context.Context, c Caller, id string, tags map[string]string) error {
	if err := checkDatasetTags(tags); err != nil {
		return err
	}
	_, err := s.store.ChangeDataset(ctx, c, id, func(_ DatasetTx, d *EvaluationDataset) error {
		maps.Copy(d.Tags, tags)
		return nil
	})
	return err
}

// DeleteDatasetTag removes a tag; one that is not there is no error.
func (s *Service) DeleteDatasetTag(ctx context.Context, c Caller, id, key string) error {
	_, err := s.store.ChangeDataset(ctx, c, id, func(_ DatasetTx, d *EvaluationDataset) error {
		delete(d.Tags, key)
		return nil
	})
	return err
}

// AddToExperiments makes a dataset one of the experiments' too.
func (s *Service) AddToExperiments(ctx context.Context, c Caller, id string, experiments []string) (EvaluationDataset, error) {
	return s.store.ChangeDataset(ctx, c, id, func(tx DatasetTx, d *EvaluationDataset) error {
		d.UpdatedAt = s.now()
		return tx.AddExperiments(ctx, experiments)
	})
}

// RemoveFromExperiments is the inverse; an experiment that has it not is no error.
func (s *Service) RemoveFromExperiments(ctx context.Context, c Caller, id string, experiments []string) (EvaluationDataset, error) {
	return s.store.ChangeDataset(ctx, c, id, func(tx DatasetTx, d *EvaluationDataset) error {
		d.UpdatedAt = s.now()
		return tx.RemoveExperiments(ctx, experiments)
	})
}

// RecordInput is one record as a client sends it. Outputs nil = not given.
type RecordInput struct {
	Inputs       json.RawMessage            `json:"inputs"`
	Outputs      json.RawMessage            `json:"outputs"`
	Expectations map[string]json.RawMessage `json:"expectations"`
	Tags         map[string]json.RawMessage `json:"tags"`
	Source       *struct {
		Type string                     `json:"source_type"`
		Data map[string]json.RawMessage `json:"source_data"`
	} `json:"source"`
}

var recordSources = []string{"UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE"}

// UpsertRecords adds records, all or none. One with the inputs of a record that
// exists changes that one: outputs are replaced, expectations and tags merged.
func (s *Service) UpsertRecords(ctx context.Context, c Caller, id string, records []RecordInput) (inserted, updated int, err error) {
	if len(records) > MaxRecords {
		return 0, 0, lastro.Errorf(lastro.EInvalid, "records has %d entries; %d is the most of one request", len(records), MaxRecords)
	}
	hashes := make([]string, len(records))
	for i := range records {
		if hashes[i], err = records[i].check(i); err != nil {
			return 0, 0, err
		}
	}
	at := s.now()
	_, err = s.store.ChangeDataset(ctx, c, id, func(tx DatasetTx, d *EvaluationDataset) error {
		inserted, updated = 0, 0 // a transaction may run again
		schema := schemaOf(d.Schema)
		for i, in := range records {
			had, found, err := tx.RecordByInputs(ctx, hashes[i])
			if err != nil {
				return err
			}
			if found {
				updated++
			} else {
				inserted++
				had = Record{ID: "dr-" + newID(), Dataset: id, CreatedAt: at, CreatedBy: in.user(), UpdatedBy: in.user()}
			}
			if err := tx.PutRecord(ctx, in.into(had, found, at), hashes[i]); err != nil {
				return err
			}
			schema.learn(in)
			if user := in.user(); user != "" {
				d.UpdatedBy = user
			}
		}
		n, err := tx.CountRecords(ctx)
		if err != nil {
			return err
		}
		if d.Schema, err = schema.json(); err != nil {
			return err
		}
		d.Profile, d.Digest, d.UpdatedAt = profile(n), newDigest(d.Name, at), at
		return nil
	})
	return inserted, updated, err
}

// check refuses what is not a record and returns the hash of its inputs, in
// which the order of keys does not count.
func (in *RecordInput) check(i int) (string, error) {
	if len(in.Inputs) == 0 {
		in.Inputs = json.RawMessage("{}")
	}
	if !isObject(in.Inputs) {
		return "", lastro.Errorf(lastro.EInvalid, "inputs of record %d is not an object", i)
	}
	if in.Source != nil {
		in.Source.Type = strings.ToUpper(in.Source.Type)
		if !slices.Contains(recordSources, in.Source.Type) {
			return "", lastro.Errorf(lastro.EInvalid, "source_type of record %d is %.40q; use %s", i, in.Source.Type, strings.Join(recordSources, ", "))
		}
	}
	canonical, err := sorted(in.Inputs)
	if err != nil {
		return "", lastro.Errorf(lastro.EInvalid, "inputs of record %d: %v", i, err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}

// sorted writes JSON with its keys in order.
func sorted(raw json.RawMessage) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("more than one value")
	}
	return json.Marshal(v)
}

func (in RecordInput) user() string {
	var user string
	if raw, ok := in.Tags[tagUser]; ok {
		_ = json.Unmarshal(raw, &user)
	}
	return user
}

// into writes a client's record over one that exists, or into a new one.
func (in RecordInput) into(r Record, found bool, at time.Time) Record {
	r.UpdatedAt = at
	switch {
	case string(in.Outputs) == "null":
		r.Outputs = nil
	case in.Outputs != nil:
		r.Outputs = in.Outputs
	case !found:
		r.Outputs = json.RawMessage("{}")
	}
	r.Expectations = merged(r.Expectations, in.Expectations, in.Expectations != nil && !found)
	r.Tags = merged(r.Tags, in.Tags, !found)
	if found {
		if user := in.user(); user != "" {
			r.UpdatedBy = user
		}
		return r
	}
	r.Inputs = in.Inputs
	if in.Source != nil {
		if in.Source.Data == nil {
			in.Source.Data = map[string]json.RawMessage{}
		}
		r.Source, _ = json.Marshal(map[string]any{"source_type": in.Source.Type, "source_data": in.Source.Data}) // raw JSON and a word always encode
		r.SourceType = in.Source.Type
		key := "source_id"
		if in.Source.Type == "TRACE" {
			key = "trace_id"
		}
		if raw, ok := in.Source.Data[key]; ok {
			r.SourceID = cut(attributeText(raw), 255)
		}
	}
	return r
}

// merged puts add over had, both objects; empty says to keep an empty object.
func merged(had json.RawMessage, add map[string]json.RawMessage, empty bool) json.RawMessage {
	if len(add) == 0 && !empty {
		return had
	}
	all := map[string]json.RawMessage{}
	if had != nil {
		_ = json.Unmarshal(had, &all)
	}
	maps.Copy(all, add)
	raw, err := json.Marshal(all)
	if err != nil {
		return had // raw JSON always encodes
	}
	return raw
}

// schema is the names and kinds of the fields that a dataset's records have had.
type schema struct {
	Inputs       map[string]any `json:"inputs"`
	Outputs      any            `json:"outputs"` // fields, or the kind of outputs that are no object
	Expectations map[string]any `json:"expectations"`
	Version      string         `json:"version"`
}

func schemaOf(text string) *schema {
	s := &schema{}
	if text != "" {
		_ = json.Unmarshal([]byte(text), s)
	}
	if s.Inputs == nil {
		s.Inputs = map[string]any{}
	}
	if s.Expectations == nil {
		s.Expectations = map[string]any{}
	}
	if s.Outputs == nil {
		s.Outputs = map[string]any{}
	}
	s.Version = "1.0"
	return s
}

func (s *schema) learn(in RecordInput) {
	var inputs map[string]json.RawMessage
	_ = json.Unmarshal(in.Inputs, &inputs)
	learn(s.Inputs, inputs)
	learn(s.Expectations, in.Expectations)
	known, fields := s.Outputs.(map[string]any)
	switch {
	case in.Outputs == nil || string(in.Outputs) == "null" || !fields:
	case isObject(in.Outputs):
		var outputs map[string]json.RawMessage
		_ = json.Unmarshal(in.Outputs, &outputs)
		learn(known, outputs)
	case len(known) == 0:
		s.Outputs = kindOf(in.Outputs)
	}
}

func learn(known map[string]any, fields map[string]json.RawMessage) {
	for k, raw := range fields {
		if known[k] == nil {
			known[k] = kindOf(raw)
		}
	}
}

func kindOf(raw json.RawMessage) string {
	switch text := string(bytes.TrimSpace(raw)); {
	case text == "null" || text == "":
		return "null"
	case text == "true" || text == "false":
		return "boolean"
	case text[0] == '"':
		return "string"
	case text[0] == '[':
		return "array"
	case text[0] == '{':
		return "object"
	case strings.ContainsAny(text, ".eE"):
		return "float"
	}
	return "integer"
}

func (s *schema) json() (string, error) {
	raw, err := json.Marshal(s)
	return pythonJSON(raw), err
}

func profile(records int) string {
	if records == 0 {
		return ""
	}
	return fmt.Sprintf(`{"num_records": %d}`, records)
}

// DeleteRecords removes records and returns how many there were.
func (s *Service) DeleteRecords(ctx context.Context, c Caller, id string, records []string) (n int, err error) {
	if len(records) > MaxRecords {
		return 0, lastro.Errorf(lastro.EInvalid, "dataset_record_ids has %d entries; %d is the most of one request", len(records), MaxRecords)
	}
	_, err = s.store.ChangeDataset(ctx, c, id, func(tx DatasetTx, d *EvaluationDataset) error {
		if n, err = tx.DeleteRecords(ctx, records); err != nil || n == 0 {
			return err
		}
		left, err := tx.CountRecords(ctx)
		if d.Profile = profile(left); d.Profile == "" {
			d.Profile = "null"
		}
		return err
	})
	return n, err
}

// Records returns one page of a dataset's records, the oldest first, and the
// token of the next one, "" at the end.
func (s *Service) Records(ctx context.Context, q RecordQuery) ([]Record, string, error) {
	return s.store.Records(ctx, q)
}
