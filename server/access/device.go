package access

import "github.com/vaultpam/vaultpam/store"

// MayBeginDevice refuses sign-ins for machines without a browser where the company
// does not want them.
func (s State) MayBeginDevice() error {
	if s.Setting(store.SettingDeviceLogin) == store.DeviceLoginOff {
		return &Refusal{
			Kind: Forbidden, Message: "this server signs nobody in by a code that is typed on another machine", Hint: "vaultpam login, on a machine with a browser; or vaultpam login --totp",
		}
	}
	return nil
}

// MayConfirmDevice refuses who confirms the sign-in of a machine in another network
// where the company asks for the same: a code that a stranger sends to somebody
// would sign the stranger in (RFC 8628, section 5.4). The arguments are prefixes.
func (s State) MayConfirmDevice(asks, confirms string) error {
	if err := s.MayBeginDevice(); err != nil {
		return err
	}
	if s.Setting(store.SettingDeviceLogin) == store.DeviceLoginAny || asks == confirms && asks != "" {
		return nil
	}
	return &Refusal{
		Kind:    Forbidden,
		Message: "the machine that asks is in another network (" + asks + ") than this browser (" + confirms + "), and this server wants them in one",
		Hint:    "if somebody sent you this code, tell an administrator; if it is your own machine: vaultpam login --totp there",
	}
}

// Authenticators returns the models of authenticators that may be enrolled, or nil
// for any.
func (s State) Authenticators() ([]store.AAGUID, error) {
	return store.ParseAAGUIDs(s.Setting(store.SettingAuthenticators))
}
