// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"context"
	"encoding/json"
	"fmt"

	"lastro"
)

// Seal encrypts a value that another room keeps in the database, with the key
// of the secrets. purpose names it for ever, such as "webhook:ID", so that boxes
// cannot be exchanged.
func (s *Service) Seal(ctx context.Context, purpose, value string) ([]byte, error) {
	set, err := s.store.Secrets(ctx, nil)
	if err != nil {
		return nil, err
	}
	k, err := s.keys(len(set) == 0) // beside secrets that another key opens none is made
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(content{Name: purpose, Value: []byte(value)})
	if err != nil {
		return nil, err
	}
	return k.seal(plain)
}

// Unseal opens what Seal made for the same purpose.
func (s *Service) Unseal(_ context.Context, purpose string, box []byte) (string, error) {
	value, err := s.open(Sealed{Secret: Secret{Name: purpose}, Box: box, Recipient: "another key"})
	if lastro.Is(err, lastro.ETampered) {
		return "", &lastro.Error{Code: lastro.ETampered, ID: "L0372", Msg: fmt.Sprintf("the stored secret of %s was changed", purpose), Hint: "set it again"}
	}
	return value, err
}
