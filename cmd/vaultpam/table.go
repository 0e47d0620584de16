package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"github.com/vaultpam/vaultpam/client"
)

// A table is what a person reads where a script reads JSON.
type table struct {
	head []string
	rows [][]string
}

// add appends a row, made harmless for a terminal.
func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = client.Clean(c)
	}
	t.rows = append(t.rows, row)
}

// print writes the table with its columns aligned, two spaces between them, and
// a dash where a cell is empty.
func (a *app) print(t table) {
	for _, row := range t.rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
	}
	widths := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], ansi.StringWidth(cell))
		}
	}
	before, after := "", ""
	if a.colours(a.Stdout) {
		before, after = "\x1b[1m", "\x1b[0m"
	}
	fmt.Fprintln(a.Stdout, before+alignRow(t.head, widths)+after)
	for _, row := range t.rows {
		fmt.Fprintln(a.Stdout, alignRow(row, widths))
	}
}

func alignRow(row []string, widths []int) string {
	var b strings.Builder
	for i, cell := range row {
		b.WriteString(cell)
		b.WriteString(strings.Repeat(" ", widths[i]-ansi.StringWidth(cell)+2))
	}
	return strings.TrimRight(b.String(), " ")
}

// csv writes the table as RFC 4180 has it. A cell that a spreadsheet would take
// for a formula gets an apostrophe in front.
func (t *table) csv(w io.Writer) error {
	out := csv.NewWriter(w)
	for _, row := range append([][]string{t.head}, t.rows...) {
		cells := make([]string, len(row))
		for i, c := range row {
			if c != "" && strings.ContainsRune("=+-@", rune(c[0])) {
				c = "'" + c
			}
			cells[i] = c
		}
		if err := out.Write(cells); err != nil {
			return fmt.Errorf("writing CSV: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("writing CSV: %w", err)
	}
	return nil
}

// printJSON writes a value as indented JSON in which nothing acts on a
// terminal. A list without entries is [], never null.
func printJSON[T any](w io.Writer, value T) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	if string(data) == "null" {
		data = []byte("[]")
	}
	if _, err := fmt.Fprintf(w, "%s\n", client.CleanJSON(data)); err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	return nil
}

// local writes a moment for the person at this machine; a zero one is empty.
func (a *app) local(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(a.Zone).Format("2006-01-02 15:04:05 MST")
}

// utc writes a moment as ledgers and auditors of several places compare it.
func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
