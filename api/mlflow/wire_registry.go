// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"slices"
	"strconv"

	"lastro/registry"
)

type modelVersion struct {
	Name        string     `json:"name"`
	Version     string     `json:"version"`
	CreatedAt   int64s     `json:"creation_timestamp"`
	UpdatedAt   int64s     `json:"last_updated_timestamp"`
	User        string     `json:"user_id,omitempty"`
	Stage       string     `json:"current_stage"`
	Description string     `json:"description,omitempty"`
	Source      string     `json:"source"`
	RunID       string     `json:"run_id"`
	RunLink     string     `json:"run_link"`
	Status      string     `json:"status"`
	Tags        []keyValue `json:"tags"`
	Aliases     []string   `json:"aliases"`
	ModelID     string     `json:"model_id,omitempty"`
}

func toVersion(v registry.Version) modelVersion {
	source := v.Source
	if source == "" {
		source = treeURI(v.Digest)
	}
	aliases := v.Aliases
	if aliases == nil {
		aliases = []string{}
	}
	return modelVersion{Name: v.Model, Version: strconv.Itoa(v.Number), CreatedAt: millis(v.CreatedAt), UpdatedAt: millis(v.UpdatedAt), User: string(v.By),
		Stage: v.Stage, Description: v.Description, Source: source, RunID: v.TrackedRun, RunLink: v.RunLink, Status: "READY", Tags: keyValues(v.Tags),
		Aliases: aliases, ModelID: v.LoggedModel}
}

func toVersions(list []registry.Version) []modelVersion {
	out := make([]modelVersion, len(list))
	for i, v := range list {
		out[i] = toVersion(v)
	}
	return out
}

type aliasOf struct {
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

type registeredModel struct {
	Name        string         `json:"name"`
	CreatedAt   int64s         `json:"creation_timestamp"`
	UpdatedAt   int64s         `json:"last_updated_timestamp"`
	User        string         `json:"user_id,omitempty"`
	Description string         `json:"description,omitempty"`
	Latest      []modelVersion `json:"latest_versions"`
	Tags        []keyValue     `json:"tags"`
	Aliases     []aliasOf      `json:"aliases"`
}

func toModel(m registry.Model) registeredModel {
	aliases := make([]aliasOf, len(m.Aliases))
	for i, a := range m.Aliases {
		aliases[i] = aliasOf{a.Name, strconv.Itoa(a.Number)}
	}
	return registeredModel{m.Name, millis(m.CreatedAt), millis(m.UpdatedAt), string(m.By), m.Description, toVersions(slices.Clone(m.Latest)), keyValues(m.Tags), aliases}
}
