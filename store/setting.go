package store

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// A Setting is something that a company may decide about the rules. The ledger
// holds what was decided and when.
type Setting string

const (
	// SettingSelfGrant says whether an administrator may grant access to themselves
	// without a second person, for a company with a single administrator.
	SettingSelfGrant Setting = "self-grant"
	// SettingSignInLife is how long a sign-in session lasts.
	SettingSignInLife Setting = "sign-in-life"
	// SettingSignInIdle is how long a sign-in session lasts that nothing is issued to.
	SettingSignInIdle Setting = "sign-in-idle"
	// SettingDeviceLogin says who may confirm a sign-in for a machine without a
	// browser.
	SettingDeviceLogin Setting = "device-login"
	// SettingAuthenticators says which models of authenticators may be enrolled as
	// passkeys.
	SettingAuthenticators Setting = "authenticators"
	// SettingBotSignInLife is how long a bot's sign-in session lasts, whether
	// anything is issued to it or not.
	SettingBotSignInLife Setting = "bot-sign-in-life"
	// SettingApproveWith says what approvers prove themselves with.
	SettingApproveWith Setting = "approve-with"
	// SettingDirectSource says which addresses direct certificates may be used from.
	SettingDirectSource Setting = "direct-source"
)

// Values of settings that are words.
const (
	SelfGrantRefused = "refused"
	SelfGrantAllowed = "allowed"

	DeviceLoginSameSource = "same-source" // from the network that the machine is in
	DeviceLoginAny        = "any"
	DeviceLoginOff        = "off"

	AuthenticatorsAny = "any"

	ApproveWithPasskey = "passkey" // alone, so that anybody can verify it
	ApproveWithTOTP    = "totp"    // or a passkey; then the server's word is the proof

	DirectSourceSeen = "seen" // the one that the server was asked from
	DirectSourceAny  = "any"
)

const (
	minSignInLife = 5 * time.Minute
	maxSignInLife = 7 * 24 * time.Hour
	maxAAGUIDs    = 64
	maxNetworks   = 16
)

// Settings returns all settings in the order in which they are listed.
func Settings() []Setting {
	return []Setting{SettingSelfGrant, SettingSignInLife, SettingSignInIdle, SettingDeviceLogin, SettingAuthenticators, SettingBotSignInLife, SettingApproveWith, SettingDirectSource}
}

// Default returns what counts where nobody has decided.
func (s Setting) Default() string {
	switch s {
	case SettingSelfGrant:
		return SelfGrantRefused
	case SettingSignInLife:
		return "10h"
	case SettingSignInIdle:
		return "4h"
	case SettingDeviceLogin:
		return DeviceLoginSameSource
	case SettingAuthenticators:
		return AuthenticatorsAny
	case SettingBotSignInLife:
		return "1h"
	case SettingApproveWith:
		return ApproveWithPasskey
	case SettingDirectSource:
		return DirectSourceSeen
	}
	return ""
}

// Check returns an error for a value that the setting can't have.
func (s Setting) Check(value string) error {
	switch s {
	case SettingSelfGrant:
		return oneOf(s, value, SelfGrantRefused, SelfGrantAllowed)
	case SettingDeviceLogin:
		return oneOf(s, value, DeviceLoginSameSource, DeviceLoginAny, DeviceLoginOff)
	case SettingSignInLife, SettingSignInIdle, SettingBotSignInLife:
		_, err := ParseSignInLife(value)
		return err
	case SettingAuthenticators:
		_, err := ParseAAGUIDs(value)
		return err
	case SettingApproveWith:
		return oneOf(s, value, ApproveWithPasskey, ApproveWithTOTP)
	case SettingDirectSource:
		_, err := ParseDirectSource(value)
		return err
	}
	return &WordError{What: "setting", Word: clip(string(s)), Want: words(Settings())}
}

func oneOf(s Setting, value string, known ...string) error {
	for _, k := range known {
		if k == value {
			return nil
		}
	}
	return &WordError{What: string(s), Word: clip(value), Want: words(known)}
}

// ParseSignInLife parses how long sign-in sessions last: a duration as Go writes
// it, in whole seconds, from 5 minutes to 7 days.
func ParseSignInLife(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d != d.Truncate(time.Second) || d < minSignInLife || d > maxSignInLife {
		return 0, fmt.Errorf("%q is not a duration from 5m to 168h in whole seconds, such as 10h or 90m", clip(text))
	}
	return d, nil
}

// ParseAAGUIDs parses the models that the setting "authenticators" allows:
// AAGUIDs as UUIDs in lower case, joined by commas, or the word any, which is no
// list.
func ParseAAGUIDs(text string) ([]AAGUID, error) {
	if text == AuthenticatorsAny {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxAAGUIDs {
		return nil, fmt.Errorf("%d AAGUIDs: want at most %d", len(parts), maxAAGUIDs)
	}
	var all []AAGUID
	for _, p := range parts {
		var a AAGUID
		plain := strings.ReplaceAll(p, "-", "")
		if n, err := hex.Decode(a[:], []byte(plain[:min(len(plain), 32)])); err != nil || n != len(a) || a.String() != p {
			return nil, fmt.Errorf("%q is not an AAGUID such as 2fc0579f-8113-47ea-b116-bb5a8db9202a, nor the word %s", clip(p), AuthenticatorsAny)
		}
		all = append(all, a)
	}
	return all, nil
}

// ParseDirectSource parses the networks that the setting "direct-source" allows:
// masked prefixes in canonical text, joined by commas. It returns none for the
// words seen and any, which are no list.
func ParseDirectSource(text string) ([]netip.Prefix, error) {
	if text == DirectSourceSeen || text == DirectSourceAny {
		return nil, nil
	}
	parts := strings.Split(text, ",")
	if len(parts) > maxNetworks {
		return nil, fmt.Errorf("%d networks: want at most %d", len(parts), maxNetworks)
	}
	var all []netip.Prefix
	for _, p := range parts {
		network, err := netip.ParsePrefix(p)
		if err != nil || network.Masked() != network || network.Bits() == 0 || network.Addr().Is4In6() || network.String() != p {
			return nil, fmt.Errorf("%q is not a network such as 192.0.2.0/24, nor one of the words %s and %s", clip(p), DirectSourceSeen, DirectSourceAny)
		}
		all = append(all, network)
	}
	return all, nil
}

// String returns the AAGUID as a UUID in lower case (RFC 9562, section 4).
func (a AAGUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", a[:4], a[4:6], a[6:8], a[8:10], a[10:])
}
