package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// What users type to go past the relay is the target's name, this label and the
// suffix: db1.direct.pam. No target's name ends in it.
const directLabel = "direct"

// directDir is where a Home keeps what is needed for it: the identity of a login in
// LOGIN@HOST/, and where a host is in HOST.json.
const directDir = "direct"

// MaxDirect is the longest validity of a direct certificate that a client puts on
// its disk, whatever the server hands out.
const MaxDirect = 10 * time.Minute

// A DirectHost is where a target itself is, and which keys it was registered with.
type DirectHost struct {
	Target   store.TargetName
	Address  string // HOST:PORT, as the server reaches it
	HostKeys []ssh.PublicKey
}

// savedHost is a DirectHost in its file.
type savedHost struct {
	Target   string   `json:"target"`
	Address  string   `json:"address"`
	HostKeys []string `json:"host_keys"` // authorized_keys form
}

// read holds what a server or a file said to its grammars.
func (s savedHost) read() (DirectHost, error) {
	target, err := store.ParseTargetName(s.Target)
	if err != nil {
		return DirectHost{}, err
	}
	if _, _, err := net.SplitHostPort(s.Address); err != nil || api.CheckHost(s.Address) != nil {
		return DirectHost{}, fmt.Errorf("address %q", Clean(clip(s.Address)))
	}
	if len(s.HostKeys) == 0 {
		return DirectHost{}, errors.New("no host key")
	}
	h := DirectHost{Target: target, Address: s.Address}
	for _, line := range s.HostKeys {
		key, err := ParseHostKey(line)
		if err != nil {
			return DirectHost{}, err
		}
		h.HostKeys = append(h.HostKeys, key)
	}
	return h, nil
}

// DirectCertificate asks for a certificate for the key that opens a login of a target
// past the relay, and where the target is. It is held to what it must be: for this
// key, for exactly this login of this target, and short-lived.
func (c *Client) DirectCertificate(ctx context.Context, key ssh.PublicKey, target store.TargetName, login store.Login) (*ssh.Certificate, DirectHost, error) {
	r, err := call[api.DirectResponse](ctx, c, request{route: api.RouteDirect, body: api.DirectRequest{
		PublicKey: string(ssh.MarshalAuthorizedKey(key)), Target: string(target), Login: string(login),
	}})
	if err != nil {
		return nil, DirectHost{}, err
	}
	cert, err := heldCertificate(r.CertificateResponse, key, MaxDirect)
	if err != nil {
		return nil, DirectHost{}, err
	}
	if len(cert.ValidPrincipals) != 1 || cert.ValidPrincipals[0] != string(login)+"@"+string(target) {
		return nil, DirectHost{}, fmt.Errorf("%w: certificate is not for exactly %s on %s", ErrAnswer, login, target)
	}
	host, err := savedHost{Target: string(target), Address: r.Address, HostKeys: r.HostKeys}.read()
	if err != nil {
		return nil, DirectHost{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return cert, host, nil
}

// DirectName is the host name that stands for a target past the relay.
func DirectName(target store.TargetName, suffix string) string {
	return string(target) + "." + directLabel + "." + suffix
}

// Direct returns the target that a name which ParseHost returned stands for, where it
// is one past the relay.
func Direct(name store.TargetName) (store.TargetName, bool) {
	target, ok := strings.CutSuffix(string(name), "."+directLabel)
	return store.TargetName(target), ok
}

// DirectIdentity is the directory of the identity that opens a login of a target past
// the relay. Its name is made of what ssh knows when it looks for it: %r@%h.
func (h *Home) DirectIdentity(target store.TargetName, login store.Login, suffix string) string {
	return filepath.Join(h.dir, directDir, string(login)+"@"+DirectName(target, suffix))
}

// DirectLock is the directory whose lock is held while hosts are saved.
func (h *Home) DirectLock() string { return filepath.Join(h.dir, directDir) }

// SaveDirectHost keeps where a target is, and its keys.
func (h *Home) SaveDirectHost(d DirectHost) error {
	saved := savedHost{Target: string(d.Target), Address: d.Address}
	for _, key := range d.HostKeys {
		saved.HostKeys = append(saved.HostKeys, strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n"))
	}
	data, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("saving where %s is: %w", d.Target, err)
	}
	return h.write(hostFile(d.Target), append(data, '\n'))
}

// DirectHost returns where a target is. It is fs.ErrNotExist where nobody asked yet.
func (h *Home) DirectHost(target store.TargetName) (DirectHost, error) {
	data, err := h.read(hostFile(target))
	if err != nil {
		return DirectHost{}, err
	}
	var saved savedHost
	err = decode(data, &saved)
	d := DirectHost{}
	if err == nil {
		d, err = saved.read()
	}
	if err != nil || d.Target != target {
		return DirectHost{}, fmt.Errorf("%s is damaged; take it away", h.path(hostFile(target)))
	}
	return d, nil
}

// DirectHosts returns all hosts that are kept, by name.
func (h *Home) DirectHosts() ([]DirectHost, error) {
	files, err := os.ReadDir(h.path(directDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the hosts past the relay: %w", err)
	}
	var all []DirectHost
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".json")
		if target, err := store.ParseTargetName(name); ok && err == nil {
			d, err := h.DirectHost(target)
			if err != nil {
				return nil, err
			}
			all = append(all, d)
		}
	}
	return all, nil
}

// ForgetDirect takes away everything that is kept for going past the relay.
func (h *Home) ForgetDirect() error {
	if err := os.RemoveAll(h.path(directDir)); err != nil {
		return fmt.Errorf("removing what goes past the relay: %w", err)
	}
	return nil
}

func hostFile(target store.TargetName) string {
	return filepath.Join(directDir, string(target)+".json")
}
