package store_test

import (
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

func TestLength(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Hour: "1h", 90 * time.Minute: "1h30m", 30 * time.Minute: "30m", 90 * time.Second: "1m30s", 30 * time.Second: "30s",
		10 * time.Hour: "10h", 10 * time.Minute: "10m", time.Hour + 10*time.Second: "1h0m10s", 48*time.Hour + 10*time.Minute: "48h10m",
	} {
		if got := store.Length(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
		if back, err := time.ParseDuration(store.Millis(d / time.Millisecond).Length()); err != nil || back != d {
			t.Errorf("%q reads as %s, error %v", want, back, err)
		}
	}
}
