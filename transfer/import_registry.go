// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"lastro"
	"lastro/blob"
	"lastro/registry"
	"lastro/track"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// modelClashes says which versions have a number that another version has here.
func (i *Importer) modelClashes(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	i.models = map[string]bool{}
	err := i.source.Models(ctx, func(m registry.Model) error {
		i.models[m.Name] = true
		here, err := i.Registry.VersionsOf(ctx, m.Name)
		if err != nil || len(here) == 0 {
			return err
		}
		numbers := map[int]registry.Version{}
		for _, v := range here {
			numbers[v.Number] = v
		}
		return i.source.Versions(ctx, m.Name, func(v Version) error {
			have, ok := numbers[v.Number]
			if ok && (have.CreatedAt.UnixMilli() != v.CreatedAt.UnixMilli() || have.TrackedRun != v.TrackedRun) && out[m.Name] == "" {
				out[m.Name] = fmt.Sprintf("model %q has another version %d here; give it another name: --rename-model %q", m.Name, v.Number, m.Name+"=NAME")
			}
			return nil
		})
	})
	return out, err
}

// registry moves models, then their versions, then the aliases. What a
// lastro.yaml protects here is not moved.
func (i *Importer) registry(ctx context.Context) error {
	clashes, err := i.modelClashes(ctx)
	if err != nil {
		return err
	}
	var list []registry.Model
	if err := i.source.Models(ctx, func(m registry.Model) error { list = append(list, m); return nil }); err != nil {
		return err
	}
	for _, m := range list {
		i.say("model " + m.Name)
		i.t.add(Registered, Count{Found: 1})
		if why, ok := clashes[m.Name]; ok {
			delete(i.models, m.Name)
			i.t.skip(Registered, string(m.Ref()), why, "all")
			continue
		}
		if err := i.model(ctx, m); err != nil {
			return fmt.Errorf("model %s: %w", m.Name, err)
		}
	}
	return nil
}

func (i *Importer) model(ctx context.Context, m registry.Model) error {
	created, err := i.Registry.ImportModel(ctx, i.By, m)
	if lastro.Is(err, lastro.EInvalid) {
		delete(i.models, m.Name)
		i.t.skip(Registered, string(m.Ref()), err.Error(), "all")
		return nil
	}
	if err != nil {
		return err
	}
	here, err := i.Registry.Model(ctx, m.Name)
	if err != nil {
		return err
	}
	if created {
		i.t.add(Registered, Count{Moved: 1})
	} else {
		i.t.add(Registered, Count{There: 1})
		if here.Description != m.Description || !contains(registry.ClientTags(here.Tags), registry.ClientTags(m.Tags)) {
			i.t.note(string(m.Ref()), "it is here; its description and tags stay as they are here", "description", "tags")
		}
	}
	var list []Version
	if err := i.source.Versions(ctx, m.Name, func(v Version) error { list = append(list, v); return nil }); err != nil {
		return err
	}
	for _, v := range list {
		if err := i.version(ctx, here, v); err != nil {
			return fmt.Errorf("version %d: %w", v.Number, err)
		}
	}
	return i.aliases(ctx, here, m.Aliases)
}

func (i *Importer) version(ctx context.Context, model registry.Model, v Version) error {
	i.t.add(Versions, Count{Found: 1})
	ref := string(v.Ref())
	if have, ok, err := i.have(ctx, v); err != nil || ok {
		if err == nil {
			i.t.add(Versions, Count{There: 1})
			if have.Description != v.Description || have.Stage != v.Stage || !contains(registry.ClientTags(have.Tags), registry.ClientTags(v.Tags)) {
				i.t.note(ref, "it is here; its description, stage and tags stay as they are here", "description", "stage", "tags")
			}
		}
		return err
	}
	digest, why, err := i.digest(ctx, v)
	if err != nil {
		return err
	}
	if why != "" {
		i.t.skip(Versions, ref, why, "all")
		return nil
	}
	out := v.Version
	out.Digest, out.By = digest, i.By
	if model.Declared && out.Stage != "None" && out.Stage != "Archived" {
		i.t.note(ref, fmt.Sprintf("stage %s is not moved: a lastro.yaml declares this model, and what is live there passes its gates", v.Stage), "stage")
	}
	if _, err := i.Registry.ImportVersion(ctx, out); lastro.Is(err, lastro.EInvalid) || lastro.Is(err, lastro.EConflict) {
		i.t.skip(Versions, ref, err.Error(), "all")
		return nil
	} else if err != nil {
		return err
	}
	i.t.add(Versions, Count{Moved: 1})
	return nil
}

// have returns the version of that number that is here.
func (i *Importer) have(ctx context.Context, v Version) (registry.Version, bool, error) {
	list, err := i.Registry.VersionsOf(ctx, v.Model)
	for _, h := range list {
		if h.Number == v.Number {
			return h, true, err
		}
	}
	return registry.Version{}, false, err
}

// digest stores the folder of a version. why says that it cannot be had.
func (i *Importer) digest(ctx context.Context, v Version) (digest lastro.Digest, why string, err error) {
	if v.Root == "" { // a prompt is its own text
		digest, err = i.Blobs.PutEntries(ctx, nil)
		return digest, "", err
	}
	if v.Unready != "" {
		return "", "it was never complete at the source: " + v.Unready, nil
	}
	if m := versionSource.FindStringSubmatch(v.Root); m != nil {
		return i.copied(ctx, m)
	}
	entries, err := i.namedFiles(ctx, v)
	if err == nil && len(entries) == 0 {
		entries, err = i.filesOf(ctx, v)
	}
	var none *ErrNoFiles
	switch {
	case errors.As(err, &none):
		return "", none.Error(), nil
	case err != nil:
		return "", "", err
	case len(entries) == 0:
		return "", fmt.Sprintf("the source has no files for it at %.200s", v.Root), nil
	}
	digest, err = i.Blobs.PutEntries(ctx, entries)
	return digest, "", err
}

// copied is the folder of the version that another is a copy of.
func (i *Importer) copied(ctx context.Context, m []string) (digest lastro.Digest, why string, err error) {
	name := m[1]
	if to, ok := i.Plan.RenameModels[name]; ok {
		name = to
	}
	number, err := strconv.Atoi(m[2])
	if err != nil {
		return "", "", err
	}
	list, err := i.Registry.VersionsOf(ctx, name)
	for _, v := range list {
		if v.Number == number {
			return v.Digest, "", err
		}
	}
	return "", fmt.Sprintf("it is a copy of models:/%s/%d, which is not here", name, number), err
}

// namedFiles lists the files of a source that names a run or a logged model.
// runs:/RUN/NAME also means the logged model of that name that the run wrote.
func (i *Importer) namedFiles(ctx context.Context, v Version) ([]blob.Entry, error) {
	if m := modelSource.FindStringSubmatch(v.Root); m != nil {
		return i.loggedFiles(ctx, m[1])
	}
	m := runSource.FindStringSubmatch(v.Root)
	if m == nil {
		return nil, nil
	}
	for experiment := range i.only {
		entries, err := i.entriesHere(ctx, track.RunRoot(experiment, m[1])+"/"+safeName(m[2]))
		if err != nil || len(entries) > 0 {
			return entries, err
		}
	}
	if v.LoggedModel != "" {
		return i.loggedFiles(ctx, v.LoggedModel)
	}
	return i.outputFiles(ctx, m[1], m[2])
}

func (i *Importer) loggedFiles(ctx context.Context, id string) ([]blob.Entry, error) {
	for experiment := range i.only {
		entries, err := i.entriesHere(ctx, track.ModelRoot(experiment, id))
		if err != nil || len(entries) > 0 {
			return entries, err
		}
	}
	return nil, nil
}

// outputFiles looks for the logged model of a name among what a run wrote.
func (i *Importer) outputFiles(ctx context.Context, run, name string) ([]blob.Entry, error) {
	for experiment := range i.only {
		after := ""
		for {
			list, err := i.Contents.LoggedModels(ctx, experiment, after, runsAtOnce)
			if err != nil {
				return nil, err
			}
			if len(list) == 0 {
				break
			}
			after = list[len(list)-1].ID
			for _, m := range list {
				if m.SourceRun == run && m.Name == name {
					return i.loggedFiles(ctx, m.ID)
				}
			}
		}
	}
	return nil, nil
}

// aliases points aliases as the source has them. A protected one moves only
// with evidence that was gathered here.
func (i *Importer) aliases(ctx context.Context, here registry.Model, list []registry.Alias) error {
	now := map[string]int{}
	for _, a := range here.Aliases {
		now[a.Name] = a.Number
	}
	for _, a := range list {
		i.t.add(Aliases, Count{Found: 1})
		if now[a.Name] == a.Number {
			i.t.add(Aliases, Count{There: 1})
			continue
		}
		ref := string(here.Ref())
		if here.Declared && slices.Contains(here.Protect, a.Name) {
			i.t.skip(Aliases, ref, fmt.Sprintf("alias %s -> %d is protected here: it moves by `lastro run` and its gates, not by an import", a.Name, a.Number), "alias "+a.Name)
			continue
		}
		err := i.Registry.SetAlias(ctx, i.By, here.Name, a.Name, a.Number, "import of "+i.t.result.Source.Where)
		switch {
		case lastro.Is(err, lastro.EDenied), lastro.Is(err, lastro.EInvalid), lastro.Is(err, lastro.ENotFound):
			i.t.skip(Aliases, ref, fmt.Sprintf("alias %s -> %d: %s", a.Name, a.Number, err), "alias "+a.Name)
		case err != nil:
			return err
		default:
			i.t.add(Aliases, Count{Moved: 1})
		}
	}
	return nil
}
