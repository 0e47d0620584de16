//go:build linux

package packaging_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// nfpm is the program that goreleaser has inside, in the version that the
// goreleaser of the Makefile has. It builds in a tenth of goreleaser's time.
const nfpm = "github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.0"

// A release is goreleaser.yaml, as far as it is read here.
type release struct {
	Builds []struct {
		Binary string   `yaml:"binary"`
		Env    []string `yaml:"env"`
		Goos   []string `yaml:"goos"`
		Goarch []string `yaml:"goarch"`
	} `yaml:"builds"`
	Packages []map[string]any `yaml:"nfpms"`
}

func readRelease() (release, error) {
	data, err := os.ReadFile(filepath.Join(top, "goreleaser.yaml"))
	if err != nil {
		return release{}, err
	}
	// The one template in nfpms; any other would be refused by nfpm.
	text := strings.ReplaceAll(string(data), "{{ .CommitDate }}", "2026-01-02T03:04:05Z")
	var r release
	return r, yaml.Unmarshal([]byte(text), &r)
}

// buildDeb builds the package of this machine's architecture in dir, as
// goreleaser would.
func buildDeb(dir string) (string, error) {
	r, err := readRelease()
	if err != nil {
		return "", err
	}
	if len(r.Packages) != 1 {
		return "", fmt.Errorf("%d packages in goreleaser.yaml, want 1", len(r.Packages))
	}
	bin := filepath.Join(dir, "bin")
	if err := command([]string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=0.0.1",
		"-o", bin+string(filepath.Separator), "./cmd/vaultpam", "./cmd/vaultpamd"); err != nil {
		return "", err
	}
	recipe, err := yaml.Marshal(nfpmRecipe(r.Packages[0], bin))
	if err != nil {
		return "", err
	}
	path, made := filepath.Join(dir, "nfpm.yaml"), filepath.Join(dir, "vaultpam.deb")
	if err := os.WriteFile(path, recipe, 0o600); err != nil {
		return "", err
	}
	return made, command(nil, "go", "run", nfpm, "package", "--config", path, "--packager", "deb", "--target", made)
}

// nfpmRecipe is an entry of nfpms in nfpm's own words. nfpm refuses words that
// it does not know.
func nfpmRecipe(entry map[string]any, bin string) map[string]any {
	recipe := maps.Clone(entry)
	for theirs, own := range map[string]string{"package_name": "name", "dependencies": "depends"} {
		recipe[own] = recipe[theirs]
		delete(recipe, theirs)
	}
	contents, _ := recipe["contents"].([]any) // nfpm says what is missing
	for _, program := range []string{"vaultpam", "vaultpamd"} {
		contents = append(slices.Clone(contents), map[string]any{
			"src": filepath.Join(bin, program), "dst": fmt.Sprint(recipe["bindir"], "/", program),
			"file_info": map[string]any{"mode": 0o755},
		})
	}
	for _, word := range []string{"id", "formats", "bindir"} {
		delete(recipe, word)
	}
	recipe["contents"], recipe["arch"], recipe["platform"], recipe["version"] = contents, runtime.GOARCH, "linux", "0.0.1"
	return recipe
}

// command runs a program at the top of the tree.
func command(env []string, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = top, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

// Both programs are released for every system, and without cgo: the package
// names no library that they would need.
func TestReleaseIsForEverySystem(t *testing.T) {
	r, err := readRelease()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, b := range r.Builds {
		got[b.Binary] = slices.Concat(b.Env, b.Goos, b.Goarch)
	}
	everywhere := []string{"CGO_ENABLED=0", "linux", "darwin", "windows", "amd64", "arm64"}
	if diff := cmp.Diff(map[string][]string{"vaultpam": everywhere, "vaultpamd": everywhere}, got); diff != "" {
		t.Error(diff)
	}
}
