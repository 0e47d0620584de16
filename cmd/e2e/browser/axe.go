package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/chromedp/chromedp"
)

// axeVersion is the one that .ci/deps fetches and checks.
const axeVersion = "4.14.1"

// AxeScript reads axe-core from where .ci/deps puts it.
func AxeScript() (string, error) {
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	text, err := os.ReadFile(filepath.Join(cache, "vaultpam-tests", "axe-core@"+axeVersion, "axe.min.js"))
	if err != nil {
		return "", fmt.Errorf("the accessibility rules that this test runs are missing, .ci/deps fetches them: %w", err)
	}
	return string(text), nil
}

// A Finding is a rule of axe-core that a page breaks, and where.
type Finding struct {
	Rule, Help, Where string
}

// Axe holds what the page shows now to all rules of axe-core, the advice too. It
// returns the rules that are broken and how many hold.
func (b *Browser) Axe(script string) (broken []Finding, holds int, err error) {
	type result struct {
		Broken []Finding
		Holds  int
	}
	r, err := run(b, func(ctx context.Context, t *chromedp.Target) (result, error) {
		if _, err := chromedp.Evaluate[chromedp.Void](script+";undefined")(ctx, t); err != nil {
			return result{}, err
		}
		return chromedp.Evaluate[result](`axe.run(document, {resultTypes: ["violations"]}).then((r) => ({
			Holds: r.passes.length,
			Broken: r.violations.flatMap((v) => v.nodes.map((n) => ({Rule: v.id, Help: v.help, Where: n.html + " " + n.failureSummary}))),
		}))`, chromedp.EvalAwaitPromise)(ctx, t)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("running axe-core: %w", err)
	}
	return r.Broken, r.Holds, nil
}
