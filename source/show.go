// SPDX-License-Identifier: Apache-2.0

package source

import "context"

// Show returns a file of the project at root as a commit has it; path counts
// from root. A commit or file that is not there is an error.
func Show(ctx context.Context, root, commit, path string) ([]byte, error) {
	return git(ctx, root, "show", commit+":./"+path)
}
