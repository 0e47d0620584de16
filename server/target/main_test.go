package target_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails the tests when a stopped host, or a scan, left a goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
