// SPDX-License-Identifier: Apache-2.0

package track

import (
	"context"
	"regexp"
	"strings"

	"lastro"
)

var (
	runPath   = regexp.MustCompile(`^[0-9]{1,20}/([0-9a-f]{32})/artifacts(?:/|$)`)
	modelPath = regexp.MustCompile(`^[0-9]{1,20}/models/(m-[0-9a-f]{32})/artifacts(?:/|$)`)
)

// MayWriteArtifact reports whether the caller may write or delete path. Ask it
// before the bytes are read. The path must lie below the root of a tracked run
// or logged model that exists.
func (s *Service) MayWriteArtifact(ctx context.Context, c Caller, path string) error {
	if err := CheckPath(path); err != nil {
		return err
	}
	if m := modelPath.FindStringSubmatch(path); m != nil {
		model, err := s.store.LoggedModel(ctx, m[1])
		if err != nil {
			return err
		}
		if !strings.HasPrefix(path, ModelRoot(model.ExperimentID, model.ID)+"/") {
			return noRoot(path)
		}
		return c.mayWrite("logged model", model.ID, model.Origin)
	}
	if m := runPath.FindStringSubmatch(path); m != nil {
		run, err := s.writable(ctx, c, m[1])
		if err != nil {
			return err
		}
		if !strings.HasPrefix(path, RunRoot(run.ExperimentID, run.ID)+"/") {
			return noRoot(path)
		}
		return nil
	}
	return noRoot(path)
}

func noRoot(path string) error {
	return &lastro.Error{Code: lastro.EInvalid, Msg: "artifact " + path + " belongs to no tracked run and no logged model",
		Hint: "artifacts are written below the artifact_uri that the run or model has"}
}

// PutArtifact records that path names the bytes of digest, which are stored already.
func (s *Service) PutArtifact(ctx context.Context, c Caller, path string, digest lastro.Digest, size int64) error {
	if err := s.MayWriteArtifact(ctx, c, path); err != nil {
		return err
	}
	return s.store.PutArtifact(ctx, Artifact{Path: path, Digest: digest, Size: size, At: s.clock.Now()})
}

// Artifact returns the file at path.
func (s *Service) Artifact(ctx context.Context, path string) (Artifact, error) {
	if err := CheckPath(path); err != nil {
		return Artifact{}, err
	}
	return s.store.Artifact(ctx, path)
}

// Artifacts lists every file below dir at any depth, sorted by path.
func (s *Service) Artifacts(ctx context.Context, dir string) ([]Artifact, error) {
	if err := CheckPath(dir); err != nil {
		return nil, err
	}
	return s.store.Artifacts(ctx, dir, 0)
}

// DeleteArtifacts forgets the file or folder at path. The bytes stay as long
// as anything else names them.
func (s *Service) DeleteArtifacts(ctx context.Context, c Caller, path string) error {
	if err := s.MayWriteArtifact(ctx, c, path); err != nil {
		return err
	}
	n, err := s.store.DeleteArtifacts(ctx, path)
	if err == nil && n == 0 {
		return lastro.Errorf(lastro.ENotFound, "there is no artifact %q", path)
	}
	return err
}
