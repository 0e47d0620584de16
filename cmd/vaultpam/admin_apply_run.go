package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/accessfile"
	"github.com/vaultpam/vaultpam/server/api"
)

// An application is a plan that is carried out, or rehearsed. Steps are named by
// their places.
type application struct {
	plan    []accessfile.Change
	steps   []accessfile.Step
	done    map[int]bool
	refused map[int]api.RefusedChange
	held    map[int]bool
}

// What became of a change.
const (
	outcomePlanned = "planned"
	outcomeDone    = "done"
	outcomeRefused = "refused"
	outcomeWaits   = "waits"
)

// An applyItem is a change for scripts.
type applyItem struct {
	Action  accessfile.Action  `json:"action"`
	Section accessfile.Section `json:"section"`
	Text    string             `json:"text"`           // as the plan has it
	Line    int                `json:"line,omitempty"` // of the file
	ID      uint64             `json:"id,omitempty"`   // of a grant that goes
	Outcome string             `json:"outcome"`        // planned, done, refused, waits
	Why     []string           `json:"why"`
}

func newApplication(plan []accessfile.Change) *application {
	return &application{plan: plan, steps: accessfile.Steps(plan), done: map[int]bool{}, refused: map[int]api.RefusedChange{}}
}

// left are the steps that can still be taken.
func (x *application) left() []int {
	var all []int
	for i := range x.steps {
		if _, refused := x.refused[i]; !refused && !x.held[i] && !x.done[i] {
			all = append(all, i)
		}
	}
	return all
}

// maxPart bounds the bytes of changes that are sent together, below api.MaxBody.
const maxPart = 48 << 10

// part returns as many of the steps as can be sent together, and one at least.
func (x *application) part(steps []int) ([]int, api.ChangesRequest) {
	var q api.ChangesRequest
	size := 0
	for n, i := range steps {
		change := x.steps[i].Do
		data, err := json.Marshal(change)
		size += len(data)
		if n > 0 && (n == api.MaxChanges || err != nil || size > maxPart) {
			return steps[:n], q
		}
		q.Changes = append(q.Changes, change)
	}
	return steps, q
}

// run takes the steps. Each call to the server takes all of its steps or none, so
// where some are refused the rest is tried again without them and without what has
// to wait for them.
func (x *application) run(ctx context.Context, c *client.Client) error {
	for steps := x.left(); len(steps) > 0; steps = x.left() {
		part, q := x.part(steps)
		if err := x.send(ctx, c, part, q); err != nil {
			return err
		}
	}
	return nil
}

// rehearse asks what run would meet. Of steps that need several calls nothing is
// known before the first of them is taken.
func (x *application) rehearse(ctx context.Context, c *client.Client) error {
	for len(x.left()) > 0 {
		part, q := x.part(x.left())
		if len(part) < len(x.left()) {
			return nil
		}
		q.DryRun = true
		known := len(x.refused)
		if err := x.send(ctx, c, part, q); err != nil || len(x.refused) == known {
			return err
		}
	}
	return nil
}

func (x *application) send(ctx context.Context, c *client.Client, part []int, q api.ChangesRequest) error {
	r, err := c.ChangeAccess(ctx, q)
	if err != nil {
		return err
	}
	for _, one := range r.Refused {
		x.refused[part[one.Change]] = one
	}
	if r.Done {
		for _, i := range part {
			x.done[i] = true
		}
	}
	refused := map[int]bool{}
	for i := range x.refused {
		refused[i] = true
	}
	x.held = accessfile.Held(x.steps, refused)
	return nil
}

// outcome says what became of a change, good where nothing stood against it.
func (x *application) outcome(change int, good string) (string, []string) {
	var why []string
	waits := false
	for i, s := range x.steps {
		if s.Change != change {
			continue
		}
		if r, ok := x.refused[i]; ok {
			why = append(why, r.Detail)
		}
		waits = waits || x.held[i]
	}
	switch {
	case len(why) > 0:
		return outcomeRefused, why
	case waits:
		return outcomeWaits, []string{"it would open more than the file says while something else is refused"}
	}
	return good, nil
}

func (x *application) items(good string) []applyItem {
	items := []applyItem{}
	for i, c := range x.plan {
		outcome, why := x.outcome(i, good)
		item := applyItem{Action: c.Action, Section: c.Section(), Text: c.String(), Outcome: outcome, Why: append([]string{}, why...)}
		if c.Want != nil {
			item.Line = c.Want.Stands().Line
		} else {
			item.ID = c.Have.Stands().ID
		}
		items = append(items, item)
	}
	return items
}

// question asks for what would be done, which is less than the plan where the
// server refuses a part.
func (x *application) question() string {
	planned := 0
	for i := range x.plan {
		if outcome, _ := x.outcome(i, outcomePlanned); outcome == outcomePlanned {
			planned++
		}
	}
	if planned == len(x.plan) {
		return fmt.Sprintf("apply %s?", counted(planned, "change"))
	}
	return fmt.Sprintf("apply %d of %s, without what is refused?", planned, counted(len(x.plan), "change"))
}

// counted says how many changes there are, of each kind.
func (x *application) counted() string {
	n := map[accessfile.Action]int{}
	outcomes := map[string]int{}
	for i, c := range x.plan {
		n[c.Action]++
		outcome, _ := x.outcome(i, outcomePlanned)
		outcomes[outcome]++
	}
	text := fmt.Sprintf("%s: %d to add, %d to change, %d to remove", counted(len(x.plan), "change"), n[accessfile.Add], n[accessfile.Modify], n[accessfile.Remove])
	if outcomes[outcomeRefused] > 0 {
		text += fmt.Sprintf("; the server refuses %d", outcomes[outcomeRefused])
	}
	if outcomes[outcomeWaits] > 0 {
		text += fmt.Sprintf(", and %d wait for that", outcomes[outcomeWaits])
	}
	return text
}
