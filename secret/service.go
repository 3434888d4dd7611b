// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"lastro"
)

// Service sets, removes and opens secrets. It is safe for concurrent use.
type Service struct {
	store Store
	place KeyPlace
	clock lastro.Clock

	mu  sync.Mutex
	key *key // once it was needed
}

// NewService returns the service over s. The key is read when it is first
// needed.
func NewService(s Store, place KeyPlace, c lastro.Clock) *Service {
	return &Service{store: s, place: place, clock: c}
}

// content is what a box holds. Name and version are in it so that boxes cannot
// be exchanged in the database.
type content struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Value   []byte `json:"value"`
}

// Set makes value the newest version of name.
func (s *Service) Set(ctx context.Context, by lastro.Actor, name, value string) (Secret, error) {
	if err := CheckName(name); err != nil {
		return Secret{}, err
	}
	if err := checkValue(name, value); err != nil {
		return Secret{}, err
	}
	set, err := s.store.Secrets(ctx, nil)
	if err != nil {
		return Secret{}, err
	}
	k, err := s.keys(len(set) == 0) // beside secrets that another key opens none is made
	if err != nil {
		return Secret{}, err
	}
	var out Secret
	err = s.store.PutSecret(ctx, name, func(version int) (Sealed, []lastro.Event, error) {
		out = Secret{Name: name, Version: version, SetAt: s.clock.Now(), SetBy: by}
		plain, err := json.Marshal(content{name, version, []byte(value)})
		if err != nil {
			return Sealed{}, nil, err
		}
		box, err := k.seal(plain)
		return Sealed{Secret: out, Recipient: k.recipient.String(), Box: box},
			[]lastro.Event{lastro.NewEvent(out.SetAt, by, "secret.set", out.Ref(), nil)}, err
	})
	return out, err
}

// Remove drops a secret; its number is not given again.
func (s *Service) Remove(ctx context.Context, by lastro.Actor, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	err := s.store.RemoveSecret(ctx, name, lastro.NewEvent(s.clock.Now(), by, "secret.removed", lastro.NewRef("secret", name, ""), nil))
	if lastro.Is(err, lastro.ENotFound) {
		return notSet(name)
	}
	return err
}

func notSet(name string) error {
	return &lastro.Error{Code: lastro.ENotFound, ID: "L0370", Msg: fmt.Sprintf("the secret %s is not set", name), Hint: "lastro secret ls lists those that are"}
}

// List returns all that are set, by name.
func (s *Service) List(ctx context.Context) ([]Secret, error) {
	sealed, err := s.store.Secrets(ctx, nil)
	out := make([]Secret, len(sealed))
	for i := range sealed {
		out[i] = sealed[i].Secret
	}
	return out, err
}

// Versions returns the newest version of each name that is set.
func (s *Service) Versions(ctx context.Context, names []string) (map[string]int, error) {
	out := map[string]int{}
	if len(names) == 0 {
		return out, nil
	}
	sealed, err := s.store.Secrets(ctx, names)
	for _, v := range sealed {
		out[v.Name] = v.Version
	}
	return out, err
}

// Values opens secrets for work that is trusted with them. Work that is not, a
// pull request from a fork, gets none and fails with EDenied (SECURITY B7).
func (s *Service) Values(ctx context.Context, names []string, trusted bool) (map[string]string, error) {
	out := map[string]string{}
	if len(names) == 0 {
		return out, nil
	}
	if !trusted {
		return nil, &lastro.Error{Code: lastro.EDenied, ID: "L0376", Msg: fmt.Sprintf("the secret %s is not given to a pull request from a fork", names[0]),
			Hint: "`if:` can leave the step out there; the run after the merge gets it"}
	}
	sealed, err := s.store.Secrets(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, v := range sealed {
		if out[v.Name], err = s.open(v); err != nil {
			return nil, err
		}
	}
	for _, name := range names {
		if _, ok := out[name]; !ok {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0370", Msg: fmt.Sprintf("the secret %s is not set", name), Hint: "lastro secret set " + name}
		}
	}
	return out, nil
}

func (s *Service) open(v Sealed) (string, error) {
	k, err := s.keys(false)
	if err != nil {
		return "", err
	}
	plain, err := k.open(v)
	if err != nil {
		return "", err
	}
	var c content
	if err := json.Unmarshal(plain, &c); err != nil || c.Name != v.Name || c.Version != v.Version {
		return "", &lastro.Error{Code: lastro.ETampered, ID: "L0372", Msg: fmt.Sprintf("the stored bytes of the secret %s are those of another one", v.Name), Hint: "lastro secret set " + v.Name}
	}
	return string(c.Value), nil
}

// keys reads the key once.
func (s *Service) keys(create bool) (*key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.key == nil {
		k, err := s.place.read(create)
		if err != nil {
			return nil, err
		}
		s.key = k
	}
	return s.key, nil
}
