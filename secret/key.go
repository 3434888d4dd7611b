// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"

	"lastro"
)

// KeyPlace says where the key is that opens secrets. The first field that is
// not empty counts.
type KeyPlace struct {
	Text string // the key itself: lines of AGE-SECRET-KEY-1..., the first one seals
	File string // a file with such lines, which must be there
	Own  string // a file that is made, mode 0600, when the first secret is set
}

// key seals and opens.
type key struct {
	recipient *age.X25519Recipient
	all       []age.Identity
}

// read reads the key. With create it is made when it is not there yet.
func (p KeyPlace) read(create bool) (*key, error) {
	switch {
	case p.Text != "":
		return parseKey(p.Text, "LASTRO_AGE_KEY")
	case p.File != "":
		raw, err := os.ReadFile(p.File)
		if err != nil {
			return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0371", Msg: "the key file of secrets cannot be read", Hint: "see docs/reference/secrets.md", Err: err}
		}
		return parseKey(string(raw), p.File)
	}
	fi, err := os.Stat(p.Own)
	if errors.Is(err, fs.ErrNotExist) && create {
		if err := makeKey(p.Own); err != nil {
			return nil, fmt.Errorf("make the key of secrets: %w", err)
		}
		fi, err = os.Stat(p.Own)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0371", Msg: "the key of the secrets is gone: there is no " + p.Own,
			Hint: "put it back from its backup; lastro on several machines needs the same key on all of them (LASTRO_AGE_KEY_FILE). Without it: lastro secret ls, lastro secret rm each, and set them again"}
	}
	if err != nil {
		return nil, err
	}
	if fi.Mode().Perm()&0o077 != 0 {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0371", Msg: fmt.Sprintf("the key of the secrets can be read by others (mode %04o)", fi.Mode().Perm()), Hint: "chmod 600 " + p.Own}
	}
	raw, err := os.ReadFile(p.Own)
	if err != nil {
		return nil, err
	}
	return parseKey(string(raw), p.Own)
}

// makeKey writes a new key. The file appears whole or not at all; when two
// make it at once, the first one wins.
func makeKey(name string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".secrets-") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintf(f, "# The key of lastro's secrets: keep a copy in another place than the backups of the database.\n# public key: %s\n%s\n", id.Recipient(), id)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

// parseKey never shows what it read.
func parseKey(text, where string) (*key, error) {
	ids, err := age.ParseIdentities(strings.NewReader(text))
	if err == nil {
		if id, ok := ids[0].(*age.X25519Identity); ok {
			return &key{id.Recipient(), ids}, nil
		}
	}
	return nil, &lastro.Error{Code: lastro.EInvalid, ID: "L0371", Msg: where + " holds no key", Hint: "a key is a line that begins with AGE-SECRET-KEY-1, as age-keygen writes it"}
}

func (k *key) seal(plain []byte) ([]byte, error) {
	var box bytes.Buffer
	w, err := age.Encrypt(&box, k.recipient)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return box.Bytes(), nil
}

func (k *key) open(s Sealed) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(s.Box), k.all...)
	if err == nil {
		var plain []byte
		if plain, err = io.ReadAll(r); err == nil {
			return plain, nil
		}
	}
	if none := (*age.NoIdentityMatchError)(nil); errors.As(err, &none) {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0371", Msg: fmt.Sprintf("the secret %s was sealed for %s, and this key is %s", s.Name, s.Recipient, k.recipient),
			Hint: "give lastro the key of then as well (a second line of the key file), or set the secret again"}
	}
	return nil, &lastro.Error{Code: lastro.ETampered, ID: "L0372", Msg: fmt.Sprintf("the stored bytes of the secret %s were changed", s.Name), Hint: "lastro secret set " + s.Name}
}
