package client

import (
	"encoding/json"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

const deviceFile = "device"

// savedDevice is the device file.
type savedDevice struct {
	Handle store.Handle `json:"handle"`
	Token  []byte       `json:"token"`
}

// SaveDevice keeps what the server knows this machine by when that user signs in
// again, in a 0600 file: it opens nothing. It stays when the sign-in ends.
func (h *Home) SaveDevice(handle store.Handle, token []byte) error {
	if len(token) == 0 {
		return nil // a server that knows no machines
	}
	data, err := json.Marshal(savedDevice{Handle: handle, Token: token})
	if err != nil {
		return fmt.Errorf("saving what the server knows this machine by: %w", err)
	}
	return h.write(deviceFile, append(data, '\n'))
}

// Device returns what SaveDevice kept for that user, or nil: without it one signs
// in as on a new machine.
func (h *Home) Device(handle store.Handle) []byte {
	data, err := h.read(deviceFile)
	if err != nil {
		return nil
	}
	var saved savedDevice
	if decode(data, &saved) != nil || saved.Handle != handle || len(saved.Token) != tokenSize {
		return nil
	}
	return saved.Token
}
