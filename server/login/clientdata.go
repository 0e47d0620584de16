package login

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// errClientData is found in client data that no browser writes, or that says
// another page than ours.
var errClientData = errors.New("client data that is not this page's")

// checkClientData holds clientDataJSON (WebAuthn Level 3, section 5.8.1) to what a
// browser writes on a page of one of the origins, in no frame of another one's. It
// reads it a second time, beside the library, which takes origins for the same
// that are only alike (in capitals, with a path or a user), and members under
// other spellings or twice, of which one reader takes the first and another the
// last. Members that nobody knows yet may be there.
func checkClientData(data []byte, origins []string) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("%w: no object", errClientData)
	}
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if err != nil || !ok || seen[name] {
			return fmt.Errorf("%w: a member twice, or none", errClientData)
		}
		seen[name] = true
		if err := checkMember(dec, name, origins); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return fmt.Errorf("%w: it does not end", errClientData)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", errClientData)
	}
	if !seen["type"] || !seen["challenge"] || !seen["origin"] {
		return fmt.Errorf("%w: a member is missing", errClientData)
	}
	return nil
}

// isMember reports whether a name is one of the members that mean something here,
// however it is written.
func isMember(name string) bool {
	return slices.ContainsFunc([]string{"type", "challenge", "origin", "crossOrigin", "topOrigin"}, func(m string) bool {
		return strings.EqualFold(m, name)
	})
}

// checkMember reads the value of a member. What the type and the challenge have to
// be, the library compares.
func checkMember(dec *json.Decoder, name string, origins []string) error {
	var value any
	if err := dec.Decode(&value); err != nil {
		return fmt.Errorf("%w: no JSON", errClientData)
	}
	switch name {
	case "type", "challenge":
		return nil
	case "origin":
		if text, ok := value.(string); !ok || !slices.Contains(origins, text) {
			return fmt.Errorf("%w: another origin", errClientData)
		}
	case "crossOrigin":
		if value != false {
			return fmt.Errorf("%w: in a frame of another origin", errClientData)
		}
	case "topOrigin":
		return fmt.Errorf("%w: in a frame", errClientData)
	default:
		if isMember(name) {
			return fmt.Errorf("%w: a member in another spelling", errClientData)
		}
	}
	return nil
}
