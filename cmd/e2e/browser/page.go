package browser

import (
	"context"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Click clicks on the control with this accessible name, once there is one.
func (b *Browser) Click(name string) error {
	return b.act("clicking on", name, func(ctx context.Context, t *chromedp.Target, c control) error {
		x, y, err := centre(ctx, t, c)
		if err != nil {
			return err
		}
		_, err = chromedp.MouseClickXY(x, y)(ctx, t)
		return err
	})
}

// Fill types text into the field with this accessible name, in place of what stands
// there.
func (b *Browser) Fill(name, text string) error {
	return b.act("filling in", name, func(ctx context.Context, t *chromedp.Target, c control) error {
		if _, err := cdp.Call(ctx, t, dom.Focus, dom.FocusParams{BackendNodeID: c.node}); err != nil {
			return err
		}
		if _, err := chromedp.Evaluate[chromedp.Void]("document.activeElement.select()")(ctx, t); err != nil {
			return err
		}
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	})
}

func (b *Browser) act(what, name string, act func(context.Context, *chromedp.Target, control) error) error {
	err := b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		c, err := find(name)(ctx, t)
		if err != nil {
			return err
		}
		return act(ctx, t, c)
	}))
	if err != nil {
		return fmt.Errorf("%s %q: %w\non the page: %s", what, name, err, b.visible())
	}
	return nil
}

// centre scrolls a control into view, and says where a mouse hits it.
func centre(ctx context.Context, t *chromedp.Target, c control) (x, y float64, err error) {
	if _, err = cdp.Call(ctx, t, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: c.node}); err != nil {
		return 0, 0, err
	}
	box, err := cdp.Call(ctx, t, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: c.node})
	if err != nil {
		return 0, 0, err
	}
	if len(box.Quads) == 0 || len(box.Quads[0]) != 8 {
		return 0, 0, fmt.Errorf("%s %q has no place on the page", c.role, c.name)
	}
	q := box.Quads[0]
	return (q[0] + q[4]) / 2, (q[1] + q[5]) / 2, nil
}

// Keys of Press that are no letters.
const (
	Tab   = kb.Tab
	Enter = kb.Enter
	Space = " "
)

// Press presses keys, one after the other, wherever the focus is.
func (b *Browser) Press(keys ...string) error {
	for _, key := range keys {
		if err := b.do(chromedp.KeyEvent(key)); err != nil {
			return fmt.Errorf("pressing a key: %w", err)
		}
	}
	return nil
}

// Focused is what has the focus: the text that a person reads of it, or for a field
// what it is labelled with.
func (b *Browser) Focused() (string, error) {
	return run(b, chromedp.Evaluate[string](`(() => {
		const e = document.activeElement;
		const label = e.labels?.length ? e.labels[0].textContent : e.innerText;
		return (label ?? "").replace(/\s+/g, " ").trim();
	})()`))
}

// See waits until a page shows all of these texts.
func (b *Browser) See(texts ...string) error {
	err := b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for {
			shown, err := chromedp.Evaluate[string](shownText)(ctx, t)
			missing := absent(shown, texts)
			if err == nil && missing == "" {
				return nil
			}
			if !frame(ctx, t) {
				return fmt.Errorf("there is no %q", missing)
			}
		}
	}))
	if err != nil {
		return fmt.Errorf("looking at the page: %w\non the page: %s", err, b.visible())
	}
	return nil
}

func absent(shown string, texts []string) string {
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			return text
		}
	}
	return ""
}

// shownText is what a person reads: hidden parts are not in it.
const shownText = `document.body.innerText.replace(/\s+/g, " ")`

// Text returns what the page shows now, with single spaces.
func (b *Browser) Text() (string, error) {
	return run(b, chromedp.Evaluate[string](shownText))
}

// visible is for messages.
func (b *Browser) visible() string {
	shown, err := b.Text()
	if err != nil {
		return err.Error()
	}
	return shown
}

// Location is what the address bar shows.
func (b *Browser) Location() (string, error) {
	return run(b, chromedp.Location())
}

// Evaluate runs a script in the page and returns its value.
func Evaluate[T any](b *Browser, script string) (T, error) {
	return run(b, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

// Before has a script run in every page from now on, before the page's own: a
// browser that lacks something.
func (b *Browser) Before(script string) error {
	return b.do(addScript(script))
}
