package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// roles are those that a person can act on.
var roles = []string{"button", "link", "textbox", "checkbox", "DisclosureTriangle", "radio", "combobox"}

// A control is something that a person can act on, as a screen reader tells it.
type control struct {
	role, name string
	node       cdp.BackendNodeID
}

// controls returns what can be acted on now: what is hidden or disabled can't.
func controls(ctx context.Context, t *chromedp.Target) ([]control, error) {
	root, err := cdp.Call(ctx, t, dom.GetDocument, dom.GetDocumentParams{})
	if err != nil {
		return nil, err
	}
	tree, err := cdp.Call(ctx, t, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{BackendNodeID: root.Root.BackendNodeID})
	if err != nil {
		return nil, err
	}
	var found []control
	for _, n := range tree.Nodes {
		c := control{role: text(n.Role), name: text(n.Name), node: n.BackendDOMNodeID}
		if !n.Ignored && slices.Contains(roles, c.role) && !disabled(n) {
			found = append(found, c)
		}
	}
	return found, nil
}

func text(v *accessibility.Value) string {
	var s string
	if v != nil {
		_ = json.Unmarshal([]byte(v.Value), &s) // what is no text is not what somebody looks for
	}
	return s
}

func disabled(n *accessibility.Node) bool {
	for _, p := range n.Properties {
		if p.Name == accessibility.PropertyNameDisabled && string(p.Value.Value) == "true" {
			return true
		}
	}
	return false
}

// find waits until exactly one control has a name. Where several do, it says so at
// once: then a person could not tell them apart either.
func find(name string) chromedp.Action[control] {
	return func(ctx context.Context, t *chromedp.Target) (control, error) {
		var have []control
		for {
			now, err := controls(ctx, t)
			if err == nil {
				have = now
				named := slices.DeleteFunc(slices.Clone(now), func(c control) bool { return c.name != name })
				if len(named) == 1 {
					return named[0], nil
				}
				if len(named) > 1 {
					return control{}, fmt.Errorf("%d controls are named %q", len(named), name)
				}
			}
			// An error is a page that is just being left; the next frame is the next page's.
			if !frame(ctx, t) {
				return control{}, fmt.Errorf("no control named %q, but %s", name, listed(have))
			}
		}
	}
}

func listed(cs []control) string {
	var names []string
	for _, c := range cs {
		names = append(names, fmt.Sprintf("%s %q", c.role, c.name))
	}
	return strings.Join(names, ", ")
}

// frame waits until the page was drawn once more, and reports whether there is time
// for another look. A page that is being left draws nothing, which is no error.
func frame(ctx context.Context, t *chromedp.Target) bool {
	_, _ = cdp.Call(ctx, t, runtime.Evaluate, runtime.EvaluateParams{
		Expression:   "new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))",
		AwaitPromise: new(true),
	})
	return ctx.Err() == nil
}
