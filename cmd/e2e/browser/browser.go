package browser

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Options say what a browser can reach. The zero value reaches loopback by its
// addresses, over plain HTTP.
type Options struct {
	// Map leads names to addresses: "pam.example.test" to "127.0.0.1:8443", whatever
	// port the page's address says, or to "127.0.0.1", at that port. Every name that
	// is not in it does not exist.
	Map map[string]string
	// SPKI pins certificates: whoever shows one of these keys is believed, for any
	// name. Pin makes one.
	SPKI []string
	// Flags are further switches of Chromium, without "--": "lang=de".
	Flags []string
	// Dir holds the profile. It must exist, and is left for its owner to remove.
	Dir string
	// Patience is how long a step may take before it is an error; a minute where 0.
	Patience time.Duration
}

// Pin is the SHA-256 of a certificate's SubjectPublicKeyInfo in base64 (RFC 7469).
func Pin(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// A Browser is a running Chromium with one window. It is for one goroutine.
type Browser struct {
	ctx      context.Context
	console  *console
	ended    context.CancelFunc
	patience time.Duration
}

// Open starts a browser for a test. When the test ends so does the browser, and
// what was wrong on its pages fails the test.
func Open(t testing.TB, o Options) *Browser {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	b, err := Start(context.WithoutCancel(t.Context()), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// Start starts a browser. It ends with the context, or better by Close. An ordinary
// user's runs in Chromium's sandbox where this system allows one; root's can't.
func Start(ctx context.Context, o Options) (*Browser, error) {
	if o.Dir == "" {
		return nil, errors.New("starting chromium: no directory for its profile")
	}
	if os.Geteuid() == 0 {
		return start(ctx, o, []string{"no-sandbox"})
	}
	b, err := start(ctx, o, nil)
	if err != nil && strings.Contains(err.Error(), "sandbox") {
		return start(ctx, o, []string{"no-sandbox"})
	}
	return b, err
}

func start(ctx context.Context, o Options, more []string) (*Browser, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, fmt.Errorf("the browser that this test runs is missing, .ci/deps installs it: %w", err)
	}
	profile, err := os.MkdirTemp(o.Dir, "profile-")
	if err != nil {
		return nil, err
	}
	// The listener is chromedp's: it ends with the browser.
	said := &console{}
	alloc, end := chromedp.NewExecAllocator(ctx, o.switches(path, profile, more)...)
	tab, _ := chromedp.NewContext(alloc, chromedp.WithListener(said.hear), chromedp.WithLogf(said.ignore), chromedp.WithErrorf(said.ignore))
	b := &Browser{ctx: tab, console: said, ended: end, patience: cmp.Or(o.Patience, time.Minute)}
	if err := b.do(); err != nil {
		end()
		return nil, fmt.Errorf("starting chromium: %w", err)
	}
	return b, nil
}

// switches are what Chromium is started with.
func (o Options) switches(path, profile string, more []string) []chromedp.ExecAllocatorOption {
	list := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.Env("TZ=UTC", "HOME="+profile, "XDG_CONFIG_HOME="+profile, "XDG_CACHE_HOME="+filepath.Join(profile, "cache")),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("host-resolver-rules", o.rules()),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en-US"),
	)
	if len(o.SPKI) > 0 {
		list = append(list, chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(o.SPKI, ",")))
	}
	for _, flag := range slices.Concat(o.Flags, more) {
		name, value, has := strings.Cut(flag, "=")
		if !has {
			list = append(list, chromedp.Flag(name, true))
			continue
		}
		list = append(list, chromedp.Flag(name, value))
	}
	return list
}

// rules are Chromium's: names first, then that there are no others.
func (o Options) rules() string {
	var rules []string
	for name, address := range o.Map {
		rules = append(rules, "MAP "+name+" "+address)
	}
	slices.Sort(rules)
	return strings.Join(append(rules, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"), ", ")
}

// do takes steps, within patience.
func (b *Browser) do(steps ...chromedp.Action[chromedp.Void]) error {
	_, err := run(b, chromedp.Steps(steps...))
	return err
}

// run takes one step that returns something, within patience. The first one starts
// the browser, which lives as long as its context: so the time is bounded beside it.
func run[T any](b *Browser, action chromedp.Action[T]) (T, error) {
	return chromedp.Run(b.ctx, func(ctx context.Context, t *chromedp.Target) (T, error) {
		ctx, cancel := context.WithTimeout(ctx, b.patience)
		defer cancel()
		return action(ctx, t)
	})
}

// Close ends the browser, and returns what was wrong on its pages since Start or
// the last Complaints.
func (b *Browser) Close() error {
	ctx, cancel := context.WithTimeout(b.ctx, b.patience)
	defer cancel()
	err := chromedp.Cancel(ctx)
	b.ended()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	for _, c := range b.Complaints() {
		err = errors.Join(err, fmt.Errorf("on a page: %s", c))
	}
	return err
}
