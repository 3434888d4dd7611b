// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"lastro"
)

func routingPath(dir string) string { return filepath.Join(dir, "routing.json") }

// readRoutings reads what the last process was told; none is no error.
func readRoutings(dir string) ([]Routing, error) {
	text, err := os.ReadFile(routingPath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Routing
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, &lastro.Error{Code: lastro.EErrored, ID: "L0602", Msg: "the routing on disk cannot be read", Pos: lastro.Pos{File: routingPath(dir)},
			Hint: "remove the file; lastro up writes it again", Err: err}
	}
	for _, r := range list {
		if err := r.check(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// save writes the routings with r in place of its endpoint's old one. g.mu is held.
func (g *Gateway) save(r Routing) error {
	list := []Routing{r}
	for name, ep := range g.endpoints {
		if name != r.Endpoint {
			list = append(list, ep.routing)
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Endpoint < list[j].Endpoint })
	text, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return err
	}
	if err := writeAtomically(routingPath(g.opts.Dir), text); err != nil {
		return &lastro.Error{Code: lastro.EErrored, ID: "L0603", Msg: "the routing cannot be written to disk, so it was not taken",
			Hint: "check the disk's space and the owner of " + g.opts.Dir, Err: err}
	}
	return nil
}

// writeAtomically replaces a file so that a crash leaves the old or the new one.
func writeAtomically(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", filepath.Dir(path), err)
	}
	return nil
}
