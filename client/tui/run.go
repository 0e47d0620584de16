package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	tea "charm.land/bubbletea/v2"
)

// A Terminal is where a screen is shown. Env is the environment in the form of
// os.Environ; it says which colours the terminal has (TERM, NO_COLOR).
type Terminal struct {
	In  io.Reader
	Out io.Writer
	Env []string
}

// Pick shows the picker until something was taken or the user left, which the
// second result tells.
func (t Terminal) Pick(ctx context.Context, p Picker) (Choice, bool, error) {
	if t.In == nil || t.Out == nil {
		return Choice{}, false, errors.New("a picker needs a terminal")
	}
	program := tea.NewProgram(p, tea.WithContext(ctx), tea.WithInput(t.In), tea.WithOutput(t.Out), tea.WithEnvironment(t.Env))
	left, err := program.Run()
	switch {
	case errors.Is(err, tea.ErrInterrupted), errors.Is(err, os.ErrClosed):
		return Choice{}, false, nil
	case err != nil:
		return Choice{}, false, fmt.Errorf("showing the picker: %w", err)
	}
	picker, ok := left.(Picker)
	if !ok {
		return Choice{}, false, errors.New("the picker came back as something else")
	}
	choice, taken := picker.Chosen()
	return choice, taken, nil
}
