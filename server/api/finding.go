package api

import "time"

// Findings are the weak states that a company is in at a moment, the worst first.
type Findings struct {
	At       time.Time `json:"at"`
	Size     uint64    `json:"size"` // entries that the answer stands on
	Findings []Finding `json:"findings"`
}

// Finding is one of them. The kinds are a closed list: docs/findings.md.
type Finding struct {
	Kind     string   `json:"kind"`
	Severity string   `json:"severity"` // high, medium, low
	Sentence string   `json:"sentence"`
	Why      string   `json:"why"`             // it matters to an auditor
	Entries  []uint64 `json:"entries"`         // that make it true
	Mend     string   `json:"mend"`            // the command that mends it
	Whose    string   `json:"whose,omitempty"` // who types it; empty: an administrator
}
