// SPDX-License-Identifier: Apache-2.0

package mlflow

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"lastro"
	"lastro/blob"
	"lastro/registry"
)

// Clients keep a prompt as a model with a tag, and its text as a tag of a
// version whose source means nothing.
const promptText = "mlflow.prompt.text"

// promptSources are what clients send as the source of a prompt's version.
var promptSources = []string{"dummy-source", "prompt-template"}

// ofPrompt makes the text of a prompt the bytes of its version, so that a
// version points at bytes whatever it is. The tag that calls it a prompt opens
// no other source: the source is one of two words, and nothing is read for it.
func (h *handler) ofPrompt(ctx context.Context, m registry.Model, v *registry.Version, req createVersionRequest) error {
	if !slices.Contains(promptSources, req.Source) {
		return &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("Invalid prompt source: %.200q; a prompt is its text and has no other source", req.Source),
			Hint: "register it as a prompt does: mlflow.genai.register_prompt(name, template)"}
	}
	if !m.IsPrompt() {
		return &lastro.Error{Code: lastro.EInvalid, Msg: fmt.Sprintf("%q is a registered model, so it takes no version of a prompt", m.Name),
			Hint: "register the prompt under another name"}
	}
	d, _, err := h.Blobs.Put(ctx, strings.NewReader(v.Tags[promptText]))
	if err != nil {
		return err
	}
	v.Digest, err = h.Blobs.PutEntries(ctx, []blob.Entry{{Path: "prompt.txt", Digest: d, Size: int64(len(v.Tags[promptText]))}})
	return err
}
