// SPDX-License-Identifier: Apache-2.0

package webhook_test

import (
	"testing"

	"lastro/store/storetest"
)

// What these tests say holds on both databases.
func TestMain(m *testing.M) { storetest.MainTwice(m) }
