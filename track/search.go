// SPDX-License-Identifier: Apache-2.0

package track

import "context"

// Datasets lists what the runs of these experiments read, sorted, at most limit.
func (s *Service) Datasets(ctx context.Context, experiments []string, limit int) ([]DatasetUse, error) {
	return s.store.Datasets(ctx, experiments, limit)
}
