//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func (w *world) doBg(_ *script, args []string) error {
	if len(args) < 3 {
		return errors.New("want NAME WHO PROGRAM…")
	}
	if _, ok := w.processes[args[0]]; ok {
		return fmt.Errorf("there is a %s already", args[0])
	}
	cmd, err := w.command(args[1], args[2:])
	if err != nil {
		return err
	}
	w.processes[args[0]], err = launch(cmd)
	return err
}

func (w *world) process(args []string, least, most int) (*process, error) {
	if err := want(args, least, most); err != nil {
		return nil, err
	}
	p, ok := w.processes[args[0]]
	if !ok {
		return nil, fmt.Errorf("there is no %s", args[0])
	}
	return p, nil
}

func (w *world) doSend(_ *script, args []string) error {
	p, err := w.process(args, 2, 100)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdin, strings.Join(args[1:], " "))
	return err
}

func (w *world) doKeys(_ *script, args []string) error {
	p, err := w.process(args, 2, 2)
	if err != nil {
		return err
	}
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	if err != nil {
		return err
	}
	_, err = io.WriteString(p.stdin, text)
	return err
}

func (w *world) doSendCode(ts *script, args []string) error {
	p, err := w.process(args, 2, 3)
	if err != nil {
		return err
	}
	who, ok := w.people[args[1]]
	if !ok {
		return fmt.Errorf("there is no %s", args[1])
	}
	if len(args) == 3 {
		who.secret = args[2]
	}
	code, err := who.code()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(p.stdin, code)
	return err
}

func (w *world) doSees(ts *script, args []string) error {
	p, err := w.process(args, 2, 2)
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	if err := p.out.sees(pattern, 1); err != nil {
		return err
	}
	_, err = fmt.Fprint(ts.Stdout(), p.out.text())
	return err
}

func (w *world) doOver(ts *script, args []string) error {
	p, err := w.process(args, 2, 3)
	if err != nil {
		return err
	}
	long := patience
	if len(args) == 3 {
		if long, err = time.ParseDuration(args[2]); err != nil {
			return err
		}
	}
	code, err := p.waitFor(long)
	if err != nil {
		return err
	}
	delete(w.processes, args[0])
	w.lastEnd = p.ended
	if _, err := fmt.Fprint(ts.Stdout(), p.out.text()); err != nil {
		return err
	}
	if strconv.Itoa(code) != args[1] {
		return fmt.Errorf("exit code %d, want %s", code, args[1])
	}
	return nil
}

func (w *world) doOverBy(_ *script, args []string) error {
	if err := want(args, 2, 2); err != nil {
		return err
	}
	moment, err := time.Parse(time.RFC3339, args[0])
	if err != nil {
		return err
	}
	most, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	if late := w.lastEnd.Sub(moment); late < 0 || late > most {
		return fmt.Errorf("over %s after %s, want 0s to %s", late, args[0], most)
	}
	return nil
}
