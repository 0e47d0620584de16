package browser

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
)

// A console keeps what pages complain of.
type console struct {
	mu    sync.Mutex // guards what follows
	said  []string
	heard chan struct{} // closed with the next complaint; nil while nobody waits
}

// hear is called by chromedp for every event of the window, and must be quick.
func (c *console) hear(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if o := e.ExceptionDetails.Exception; o != nil {
			text += " " + o.Description
		}
		c.note("exception: %s", text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning || e.Type == runtime.ConsoleAPICalledTypeAssert {
			var words []string
			for _, a := range e.Args {
				words = append(words, strings.Trim(string(a.Value), `"`)+a.Description)
			}
			c.note("console.%s: %s", e.Type, strings.Join(words, " "))
		}
	case *log.EventEntryAdded:
		if bad(e.Entry) {
			c.note("%s %s: %s %s", e.Entry.Source, e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	}
}

// bad reports whether an entry of the browser's log is a fault of the page. That
// the API refuses something is none: the page is there to say so.
func bad(e *log.Entry) bool {
	if e.Level != log.EntryLevelError && e.Level != log.EntryLevelWarning {
		return false
	}
	u, err := url.Parse(e.URL)
	return err != nil || e.Source != log.EntrySourceNetwork || !strings.HasPrefix(u.Path, "/v1/")
}

func (c *console) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said = append(c.said, fmt.Sprintf(format, args...))
	if c.heard != nil {
		close(c.heard)
		c.heard = nil
	}
}

// next is closed when there is a complaint.
func (c *console) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := make(chan struct{})
	switch {
	case len(c.said) > 0:
		close(next)
	case c.heard == nil:
		c.heard = next
	default:
		return c.heard
	}
	return next
}

// ignore takes chromedp's own log, which is about the protocol.
func (c *console) ignore(string, ...any) {}

// Complaints returns and forgets what was wrong on the pages so far: errors and
// warnings on the console, exceptions, violations of content security policies,
// files that did not load. Refusals of the API (/v1/) are none.
func (b *Browser) Complaints() []string {
	b.console.mu.Lock()
	defer b.console.mu.Unlock()
	said := b.console.said
	b.console.said = nil
	return said
}

// Complained is Complaints for who knows that there is one: it may come a moment
// after what the page did. It waits for the first.
func (b *Browser) Complained() ([]string, error) {
	select {
	case <-b.console.next():
		return b.Complaints(), nil
	case <-time.After(b.patience):
		return nil, fmt.Errorf("the browser complained of nothing within %s", b.patience)
	}
}
