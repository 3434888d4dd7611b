// SPDX-License-Identifier: Apache-2.0

package store_test

import (
	"testing"

	"lastro/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }
